# Reading orders: in a chapter's rows | `file` | lines | ... | the number is the file's own, within
# 10 lines or a tenth. Input: `wc -l` of all files, then chapters. With fix=1 one chapter is printed
# with the right numbers in it.
NR == FNR { if ($2 != "total") lines[$2] = $1; next }
FNR == 1 {
  folder = FILENAME
  if (!sub(/\/[^\/]*$/, "/", folder)) folder = ""
}
/^\| `[^`]+` \| [0-9]+ \|/ {
  split($0, part, /`/)
  file = part[2]
  path = (folder file) in lines ? folder file : file
  n = $0
  sub(/^\| `[^`]+` \| /, "", n)
  n += 0
  if (!(path in lines)) {
    if (!fix) print FILENAME ":" FNR ": " file " is in the reading order and not in the folder"
  } else if (fix) {
    rest = $0
    sub(/^\| `[^`]+` \| [0-9]+/, "", rest)
    $0 = "| `" file "` | " lines[path] rest
  } else {
    off = n > lines[path] ? n - lines[path] : lines[path] - n
    if (off > 10 && off > lines[path] / 10)
      print FILENAME ":" FNR ": " file " has " lines[path] " lines, not " n "; run 'make format'"
  }
}
fix { print }

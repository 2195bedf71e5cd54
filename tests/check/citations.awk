# What comments and chapters point at must be there. Input: a list of all files, then the files to
# look at, first all *.md (their headings). Complaints:
#   a link [text](path#anchor) in a *.md whose file or heading does not exist
#   a file's name, say core/tensor.h, that is not the end of any file's path
#   a section, say nn/rmt/README.md, "Decay", that is no heading of that file
# Names of ops that texts invent, to show how one is written, are in `invented`.
function folder(path) { return path ~ /\// ? substr(path, 1, match(path, /\/[^\/]*$/)) : "" }
function complain(what) { print file ":" at ": " what }
function resolve(path, base,    parts, n, i, out, depth) {  # base is "a/b/" or ""
  n = split((path ~ /^\// ? substr(path, 2) : base path), parts, "/")
  depth = 0
  for (i = 1; i <= n; ++i) {
    if (parts[i] == "..") --depth
    else if (parts[i] != "." && parts[i] != "") stack[++depth] = parts[i]
  }
  out = ""
  for (i = 1; i <= depth; ++i) out = out (i > 1 ? "/" : "") stack[i]
  return out
}
function slug(heading,    s) {  # as GitHub makes anchors of headings
  s = tolower(heading)
  gsub(/[^a-z0-9 _-]/, "", s)
  gsub(/ /, "-", s)
  return s
}
function check_link(target,    path, anchor, hash) {
  if (target ~ /^(https?:|mailto:)/) return
  hash = index(target, "#")
  anchor = hash ? substr(target, hash + 1) : ""
  path = hash ? substr(target, 1, hash - 1) : target
  path = path == "" ? file : resolve(path, folder(file))
  if (!(path in exists) && !(path in folders)) complain("a dead link: " target)
  else if (anchor != "" && path ~ /\.md$/ && !((path, anchor) in anchors))
    complain("no such heading: " target)
}
function check_links(s) {
  gsub(/`[^`]*`/, "", s)
  while (match(s, /\]\([^)]*\)|(src|href)="[^"]*"/)) {
    found = substr(s, RSTART, RLENGTH)
    s = substr(s, RSTART + RLENGTH)
    sub(/^\]\(|^(src|href)="/, "", found)
    check_link(substr(found, 1, length(found) - 1))
  }
}
function check_files(s,    cited, before) {
  while (match(s, /[A-Za-z0-9_.\/-]*[A-Za-z0-9_]\.(cuh|cpp|cu|h|sh|awk|md|py)/)) {
    before = RSTART > 1 ? substr(s, RSTART - 1, 1) : ""
    cited = substr(s, RSTART, RLENGTH)
    s = substr(s, RSTART + RLENGTH)
    if (s ~ /^[A-Za-z0-9_]/ || before ~ /[>*{$}~:"=<%]/) continue  # <name>.cpp, *.h, std::x.h...
    sub(/^(\.\.?\/)+/, "", cited)
    if (cited ~ /\.py$/ && cited !~ /golden\//) continue  # programs of others, PyTorch's say
    if (cited ~ /^\/|NAME|<|^build\//) continue
    if (invented != "" && cited ~ invented) continue
    if (!(cited in tails)) complain("cites " cited ", which is not there")
  }
}
function check_sections(    s, path, section, base) {  # of a whole paragraph
  s = paragraph
  gsub(/  +/, " ", s)
  while (match(s, /[A-Za-z0-9_.\/-]+\.md`?(\]\([^)]*\))?, "[^"]+"/)) {
    path = substr(s, RSTART, RLENGTH)
    s = substr(s, RSTART + RLENGTH)
    section = path
    sub(/\.md.*/, ".md", path)
    sub(/^[^"]*"/, "", section)
    do {
      sub(/"$/, "", section)
      base = (path in exists) ? path : resolve(path, folder(file))
      if ((base in exists) && !((base, section) in headings))
        complain("cites " path ", \"" section "\", which is no heading there")
      section = ""
      if (match(s, /^(,| and|, and) "[^"]+"/)) {
        section = substr(s, RSTART, RLENGTH)
        s = substr(s, RSTART + RLENGTH)
        sub(/^[^"]*"/, "", section)
      }
    } while (section != "")
  }
  paragraph = ""
}
function add(text) {
  if (paragraph == "") at = FNR
  paragraph = paragraph " " text
}
NR == FNR {  # the list of all files
  exists[$0] = 1
  path = $0
  while (sub(/\/[^\/]*$/, "", path)) folders[path] = 1
  for (path = $0; ; sub(/^[^\/]*\//, "", path)) {
    tails[path] = 1
    if (path !~ /\//) break
  }
  next
}
FNR == 1 {
  if (FILENAME in seen_once) first_pass = 0
  else first_pass = FILENAME ~ /\.md$/
  seen_once[FILENAME] = 1
  fenced = 0
  check_sections()  # the last of the file before
  file = FILENAME
}
END { check_sections() }
/^ *```/ && FILENAME ~ /\.md$/ { fenced = !fenced }
first_pass {
  if (!fenced && /^#+ /) {
    text = $0
    sub(/^#+ +/, "", text)
    headings[FILENAME, text] = 1
    gsub(/`/, "", text)
    headings[FILENAME, text] = 1
    anchor = slug(text)
    if ((FILENAME, anchor) in anchors) anchor = anchor "-" ++again[FILENAME, anchor]
    anchors[FILENAME, anchor] = 1
  }
  next
}
{
  if (FILENAME ~ /\.md$/) {
    text = $0
    is_comment = !/^ *$/
  } else if (FILENAME ~ /\.(h|cuh|cpp|cu)$/) {
    is_comment = match($0, /\/\/( |\/|$)/)
    text = substr($0, RSTART + 2)
  } else {
    is_comment = match($0, /(^|[ \t])#/)
    text = substr($0, RSTART + RLENGTH)
  }
  if (!is_comment) { check_sections(); next }
  add(text)
  saved = at
  at = FNR
  check_files(text)
  if (FILENAME ~ /\.md$/ && !fenced) check_links(text)
  at = saved
}

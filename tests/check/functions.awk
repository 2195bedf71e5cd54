# Names every function of more than `limit` lines and every file of more than `most`. It trusts
# clang-format: a function's brace stands behind a space, an initialiser's does not or follows "=".
# Brackets are counted outside comments, literals and preprocessor lines; `head` is the text since
# the last statement ended, by which a brace is judged when it opens:
#   c  a namespace, class or enum: functions may stand in it      f  a function      i  any other
function open_brace(space,    plain) {
  if (depth > 0 && kind[depth] != "c" || round > 0) return "i"
  plain = head
  while (gsub(/<[^<>]*>/, "", plain)) {}  # template arguments say "class" too
  sub(/^ *template */, "", plain)
  if (plain ~ /namespace|^ *extern|^ *(class|struct|union|enum) /) return "c"
  if (!space || plain ~ /= *$/ || plain !~ /\(/) return "i"
  return "f"
}
function name_of(    s) {
  s = head
  sub(/^ */, "", s)
  sub(/__launch_bounds__\([^)]*\)/, "", s)
  if (s ~ /^TEST/) return substr(s, 1, index(s, ")"))
  s = substr(s, 1, index(s, "(") - 1)
  sub(/^.*[ *&]/, "", s)
  return s
}
function finish() {  # of the file before
  if (file == "") return
  if (depth != 0) print file ": its braces do not balance, its functions were not measured"
  if (lines > most) print file ": " lines " lines, " most " are the most: split it"
}
FNR == 1 {
  finish()
  file = FILENAME
  depth = round = ifs = 0
  head = raw = ""
  continued = 0
}
{ lines = FNR }
continued || /^ *#/ {
  if (!continued && /^ *# *if/) at_if[++ifs] = depth
  if (!continued && /^ *# *(else|elif)/) depth = at_if[ifs]
  if (!continued && /^ *# *endif/) --ifs
  continued = /\\$/
  next
}
{
  s = $0
  if (raw != "") {  # within a raw string of several lines
    if (!(at = index(s, raw))) next
    s = "\"\"" substr(s, at + length(raw))
    raw = ""
  }
  while (match(s, /R"[a-z]*\(/)) {
    before = substr(s, 1, RSTART - 1)
    raw = ")" substr(s, RSTART + 2, RLENGTH - 3) "\""
    rest = substr(s, RSTART + RLENGTH)
    at = index(rest, raw)
    s = before "\"\"" (at ? substr(rest, at + length(raw)) : "")
    if (!at) break
    raw = ""
  }
  gsub(/'"'|'\\"'|'.'|'\\.'/, "0", s)
  gsub(/"([^"\\]|\\.)*"/, "\"\"", s)
  sub(/\/\/.*/, "", s)
  gsub(/\/\*[^*]*\*\//, "", s)
  if (s ~ /^ *(public|private|protected):$/ || s ~ /^ *$/) next
  while (match(s, /[{}();]/)) {
    bracket = substr(s, RSTART, 1)
    if (head == "" && substr(s, 1, RSTART) !~ /^ *[;}]$/) first = FNR
    head = head substr(s, 1, RSTART - 1)
    space = substr(s, 1, RSTART - 1) ~ /(^| )$/
    s = substr(s, RSTART + 1)
    if (bracket == "(") { ++round; head = head "(" }
    else if (bracket == ")") { --round; head = head ")" }
    else if (bracket == ";") { if (round == 0) head = "" }
    else if (bracket == "{") {
      opened = open_brace(space)
      kind[++depth] = opened
      start[depth] = first
      name[depth] = name_of()
      rounds[depth] = round
      if (kind[depth] != "i") head = ""
      round = 0
    } else if (depth > 0) {
      n = FNR - start[depth] + 1
      if (kind[depth] == "f" && n > limit)
        print file ":" start[depth] ": " name[depth] " has " n " lines, " limit " are the most"
      round = rounds[depth]
      if (kind[depth--] != "i") head = ""
    }
  }
  if (head == "" && s ~ /[^ ]/) first = FNR
  head = head s " "
  if (head ~ /^ *$/) head = ""
}
END { finish() }

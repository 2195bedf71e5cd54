#!/bin/sh
# What the tests cannot see: formatting, sizes, the layers of includes, that every op is proved,
# and that what comments and chapters point at is there. Prints what is wrong; exit 1 if anything
# is.
#   check.sh          all of it
#   check.sh tables   rewrites the numbers of lines in the chapters' reading orders (make format)
#   STRICT=0          what concerns sizes, folders and prose warns and does not fail
set -u
cd "$(dirname "$0")/.." || exit
: "${STRICT:=1}"
columns=100 most_lines=400 most_function=60 most_words=1200
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

report() {  # stdin: complaints; $1: "fail", or "new" for one that may be only a warning
  while read -r line; do
    [ -n "$line" ] || continue
    if [ "$1" = new ] && [ "$STRICT" = 0 ]; then
      echo "warning: $line" >&2
    else
      echo "check: $line" >&2
      : >"$tmp/bad"
    fi
  done
}

# Every file that git knows or would add; outside a checkout, all that is not built.
{ git ls-files -co --exclude-standard 2>/dev/null || find . -type f ! -path './build/*' |
  sed 's|^\./||'; } | sort -u | while read -r f; do [ -f "$f" ] && echo "$f"; done >"$tmp/all"
files() { grep -E "$1" "$tmp/all"; }
code='\.(h|cpp|cu|cuh)$'
files '\.md$' >"$tmp/chapters"

tables() { files "$code|\.(def|sh|py|awk)$" | xargs wc -l >"$tmp/counts"; }
if [ "${1:-}" = tables ]; then
  tables
  while read -r chapter; do
    awk -v fix=1 -f tests/check/tables.awk "$tmp/counts" "$chapter" >"$tmp/fixed"
    cmp -s "$tmp/fixed" "$chapter" || cat "$tmp/fixed" >"$chapter"
  done <"$tmp/chapters"
  exit 0
fi

# --- form ---
if command -v clang-format >/dev/null 2>&1; then
  files "$code" | xargs -P "$(nproc)" -n 40 clang-format --dry-run --Werror 2>&1 |
    sed -n 's/^\([^: ]*\):[0-9]*:[0-9]*: error: .*/\1/p' | sort -u |
    sed "s/$/ is not formatted; run 'make format'/" | report fail
else
  echo "check: clang-format is not installed, formatting was not checked" >&2
fi
files "$code" | LC_ALL=C.UTF-8 xargs grep -nE "^.{$((columns + 1)),}" |
  sed -E "s/^([^:]*:[0-9]*):.*/\1: over $columns columns/" | report new
files "$code" | xargs awk -v limit=$most_function -v most=$most_lines -f tests/check/functions.awk |
  report new

# --- layers: what each folder may include ---
{
  below="core core/cuda"
  echo "core: $below"
  echo "core/cuda: $below core/cuda/emulator"
  echo "core/cuda/emulator: $below core/cuda/emulator"
  echo "core/cuda/model: $below core/cuda/emulator core/cuda/model"
  echo "core/files: $below core/files"
  echo "core/processes: $below core/processes"
  echo "autograd: $below autograd"
  echo "ops/kernels: $below autograd ops/kernels"
  echo "ops: $below core/processes autograd ops/kernels ops"
  echo "ops/attention: $below autograd ops ops/kernels ops/attention"
  echo "ops/retention: $below autograd ops/kernels ops/retention"
  net="core/processes autograd ops ops/attention ops/retention nn"
  echo "nn: $below core/processes autograd ops nn"
  echo "nn/rmt: $below $net nn/rmt"
  echo "nn/models: $below $net ops/kernels nn/rmt nn/models"
  echo "nn/pyramid: $below $net nn/rmt nn/pyramid"
  echo "nn/segmentation: $below $net nn/rmt nn/pyramid nn/segmentation"
  echo "nn/detection: $below $net nn/rmt nn/pyramid nn/detection"
  echo "data/images: $below core/files data/images"
  echo "data/masks: $below core/files data/masks"
  echo "data/segmentation: $below core/files data/images data/masks data data/segmentation"
  echo "data/detection: $below core/files data/images data/masks data data/detection"
  echo "data/labels: $below core/files data/images data data/labels"
  echo "data/sets: $below core/files data/images data/masks data data/sets"
  echo "data: $below core/files core/processes data/images data/labels data/masks data/sets data"
  echo "train/run: $below core/files train/run"
  sets="data/images data data/labels"
  echo "train/weights: $below core/files $net nn/rmt nn/models $sets train/weights train"
  trained="core/files core/processes data/sets train/weights train/run train"
  echo "train: $below $net nn/rmt nn/models $sets $trained"
  dense="nn/rmt nn/models nn/pyramid $sets $trained"
  echo "train/segmentation: $below $net $dense nn/segmentation data/segmentation train/segmentation"
  echo "train/detection: $below $net $dense nn/detection data/masks data/detection train/detection"
} >"$tmp/layers"
files "^(core|autograd|ops|nn|data|train|examples)/.*$code" | xargs awk '
  FILENAME == ARGV[1] { sub(/:/, "", $1); may[$1] = " " substr($0, index($0, " ") + 1) " "; next }
  FNR == 1 { folder = FILENAME; sub(/\/[^\/]*$/, "", folder) }
  /^ *#include "/ {
    split($0, part, "\"")
    to = part[2]
    if ((getline line < to) < 0)
      print FILENAME " includes \"" to "\", which is not a path from the root"
    else if (folder !~ /^examples/) {
      close(to)
      sub(/\/[^\/]*$/, "", to)
      if (!(folder in may)) print folder " has no line in tests/check.sh, which says the layers"
      else if (!index(may[folder], " " to " "))
        print FILENAME " includes " part[2] ": " folder " may include only" may[folder]
    }
  }' "$tmp/layers" >"$tmp/found"
# An arrow between top-level folders has always been an error.
awk '{ split($1, a, "/"); split($3, b, "/"); print (a[1] == b[1] ? "new" : "fail") "\t" $0 }' \
  "$tmp/found" >"$tmp/arrows"
for kind in fail new; do sed -n "s/^$kind	//p" "$tmp/arrows" | report $kind; done

# --- libraries, each where it belongs ---
library() {  # name, pattern of its include, the folder that may
  files "$code" | grep -vE "^(tests|$3)/" | xargs grep -lE "#include <$2" |
    while read -r f; do echo "$f: $1 is for $3 alone"; done | report "$4"
}
library nlohmann/json nlohmann/ 'train|data/detection' fail
library CLI11 CLI/ examples fail
library stb stb/ data/images new

# --- the dialect of the kernels ---
kernels() {  # pattern, what is wrong with it, the files, one of them that may
  files "$3" | grep -v "^$4$" | xargs grep -nE "$1" | sed "s|$|  <- $2|" | report fail
}
kernels '<<<' 'kernels are started by launch() (core/cuda/launch.h), which checks' '\.cuh?$' -
kernels '\basm\b' 'inline PTX is for core/cuda/ptx.h alone, where it is emulated' \
  '\.(cu|cuh|h)$' core/cuda/ptx.h
kernels 'atomicAdd\([^)]*float' 'no atomics on floats: results are the same on every run' \
  '\.cuh?$' -

# --- proofs ---
files '^ops/.*\.cpp$' | xargs grep -l 'record(' | while read -r f; do
  proof=tests/${f%.cpp}_test.cpp
  grep -q 'check_op(' "$proof" 2>/dev/null ||
    echo "$f records an op that no check_op in $proof proves"
done | report fail

# --- prose ---
files "$code" | grep -v '^tests/' | sed 's|/[^/]*$||' | sort -u | while read -r folder; do
  [ -f "$folder/README.md" ] || echo "$folder/ has no README.md, its chapter"
done | report new
[ -f tests/README.md ] || echo "tests/ has no README.md, its chapter" | report new
words=$(wc -w <README.md)
[ "$words" -le $most_words ] ||
  echo "README.md has $words words, $most_words are the most" | report new
files "$code|\.(sh|awk)$|^Makefile$" | cat "$tmp/chapters" "$tmp/chapters" - |
  xargs awk -v invented='softplus|mish' -f tests/check/citations.awk "$tmp/all" | report new
tables
xargs awk -f tests/check/tables.awk "$tmp/counts" <"$tmp/chapters" | report new

# --- every kernel through nvcc, warnings as errors, and its registers ---
if [ -n "${NVCC:-}" ]; then
  if ARCHS=90 make --no-print-directory ptxas >build/ptxas.log 2>&1; then
    tail -n 1 build/ptxas.log
  else
    tail -n 20 build/ptxas.log >&2
    echo "kernels do not pass nvcc, see build/ptxas.log" | report fail
  fi
else
  echo "check: nvcc is not installed, the kernels were not compiled for a GPU" >&2
fi
[ ! -e "$tmp/bad" ] || exit 1
echo "check: form, layers, proofs and prose are in order"

#!/bin/sh
# What the tests cannot see: formatting, the layers of includes, and that every op is proved. Prints what is wrong; exit 1 if anything is.
set -u
bad=0
fail() { echo "check: $*" >&2; bad=1; }

if command -v clang-format >/dev/null 2>&1; then
  for f in $(git ls-files '*.h' '*.cpp' '*.cu' '*.cuh'); do
    clang-format --dry-run --Werror "$f" >/dev/null 2>&1 || fail "$f is not formatted; run 'make format'"
  done
else
  echo "check: clang-format is not installed, formatting was not checked" >&2
fi

# folder: the folders that it may include
layer() {
  for f in $(git ls-files "$1/*.h" "$1/*.cpp" "$1/*.cu" "$1/*.cuh"); do
    sed -n 's/^#include "\([^"]*\)".*/\1/p' "$f" | while read -r inc; do
      [ -f "$inc" ] || { echo "$f includes \"$inc\", which is not a path from the root"; continue; }
      case " $2 " in *" ${inc%%/*} "*) ;; *) echo "$f includes $inc: $1 may include only $2" ;; esac
    done
  done
}
found=$(
  layer core "core"
  layer autograd "core autograd"
  layer ops "core autograd ops"
  layer nn "core autograd ops nn"
  layer data "core data"
  layer train "core autograd ops nn data train"
  layer examples "core autograd ops nn data train examples"
)
[ -z "$found" ] || fail "$found"

# libraries only where DESIGN allows them
json=$(git grep -ln 'nlohmann/' -- '*.h' '*.cpp' ':!train' ':!tests') && fail "nlohmann/json is for train/ alone: $json"
cli=$(git grep -ln 'CLI/CLI.hpp' -- '*.h' '*.cpp' ':!examples') && fail "CLI11 is for examples/ alone: $cli"

# the dialect of the kernels
launches=$(git grep -n '<<<' -- '*.cu' '*.cuh') && fail "kernels are started by launch() (core/cuda/launch.h), which checks: $launches"
assembly=$(git grep -nE '\basm\b' -- '*.cu' '*.cuh' '*.h' ':!core/cuda/ptx.h') && fail "inline PTX is for core/cuda/ptx.h alone, where it is emulated too: $assembly"
atomics=$(git grep -nE 'atomicAdd\([^)]*float' -- '*.cu' '*.cuh') && fail "no atomics on floats, results are the same on every run: $atomics"

for f in ops/*.cpp ops/*/*.cpp; do
  grep -q 'record(' "$f" || continue
  proof=tests/${f%.cpp}_test.cpp
  grep -q 'check_op(' "$proof" 2>/dev/null || fail "$f records an op that no check_op in $proof proves"
done
# every kernel through nvcc, warnings as errors, and its registers
if [ -n "${NVCC:-}" ]; then
  ARCHS=90 make --no-print-directory ptxas >build/ptxas.log 2>&1 && tail -n 1 build/ptxas.log || { tail -n 20 build/ptxas.log >&2; fail "kernels do not pass nvcc, see build/ptxas.log"; }
else
  echo "check: nvcc is not installed, the kernels were not compiled for a GPU" >&2
fi
[ $bad = 0 ] && echo "check: formatting, layers and ops are in order"
exit $bad

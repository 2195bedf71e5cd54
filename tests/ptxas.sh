#!/bin/sh
# A line for every kernel and architecture: registers, static shared memory, spills; from nvcc's
# assembler, so no GPU is needed. Exit 1 when a kernel spills, or one for bf16 passes its budget of
# registers. NVCC and FLAGS come from the Makefile (make ptxas).
#   ARCHS="80 90"  architectures to look at
#   budget: 168, with which 12 warps fit on a multiprocessor (65,536 registers), enough to hide the
#   latency of memory behind one another. f32 has half the numbers in a load and f64 is for proofs:
#   they may take what there is. Exceptions, with the reason:
#   layer_norm_backward_kernel<bf16, 8, 4>   184   rows of 769 to 1024 columns, wider than any of
#                                                  RMT's, kept in registers to read them once
set -u
: "${ARCHS:=80 90}" "${JOBS:=$(nproc)}"
[ -n "${NVCC:-}" ] || { echo "ptxas: no nvcc on PATH; install the CUDA toolkit" >&2; exit 1; }
out=build/ptxas
mkdir -p $out
# An architecture and a file at a time, unless nothing that the file may include is newer.
compile='
  log="'$out'/$(echo "$2" | tr / _).$1.log"
  newer=$(find "$2" "$(dirname "$2")" core -newer "$log" -name "*.cu*" -o -newer "$log" -name "*.h" 2>/dev/null)
  [ -s "$log" ] && [ -z "$newer" ] && exit 0
  "$0" $FLAGS -arch=sm_$1 -Xptxas -v -cubin "$2" -o /dev/null >"$log.tmp" 2>&1 || {
    echo "ptxas: $2 does not compile for sm_$1:" >&2
    cat "$log.tmp" >&2
    exit 255
  }
  mv "$log.tmp" "$log"'
for arch in $ARCHS; do for file in "$@"; do echo "$arch $file"; done; done |
  xargs -P "$JOBS" -L 1 sh -c "$compile" "$NVCC" || exit 1

# "Compiling entry function 'mangled' for 'sm_90'", then "N bytes stack frame, N bytes spill stores,
# ...", then "Used N registers, ..., N bytes smem"
for arch in $ARCHS; do
  for file in "$@"; do
    c++filt <"$out/$(echo "$file" | tr / _).$arch.log" | awk -v arch="$arch" -v file="$file" '
      /Compiling entry function/ {
        name = $0
        sub(/.*function .(void )?/, "", name)
        sub(/. for .sm_.*/, "", name)
        gsub(/rmt::|gpu::|cuda::|\(anonymous namespace\)::/, "", name)
        sub(/\(.*/, "", name)
      }
      /spill stores/ { for (i = 1; i <= NF; ++i) if ($i == "spill") { n = $(i - 2); spilled += n } }
      /Used [0-9]+ registers/ {
        for (i = 1; i <= NF; ++i) { if ($i ~ /^registers/) r = $(i - 1); if ($i ~ /^smem/) s = $(i - 2) }
        printf "sm_%s %4d registers %6d bytes shared %5d spilled  %-26s %s\n", arch, r, s, spilled, file, name
        spilled = 0; s = 0
      }'
  done
done | sort -k 8,8 -k 9 -k 1,1 | tee $out/table.txt
if awk '$7 > 0 { bad = 1 } END { exit !bad }' $out/table.txt; then
  echo "ptxas: these kernels spill registers:" >&2
  awk '$7 > 0' $out/table.txt >&2
  exit 1
fi
over='/bf16/ && $2 > (/layer_norm_backward_kernel<bf16, 8, 4>/ ? 184 : 168) { print; bad = 1 }
  END { exit !bad }'
if awk "$over" $out/table.txt >$out/over.txt; then
  echo "ptxas: over their budget of registers:" >&2
  cat $out/over.txt >&2
  exit 1
fi
awk 'END { print "ptxas: " NR " kernels, none spills or passes its budget" }' $out/table.txt

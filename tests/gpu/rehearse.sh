#!/bin/sh
# Runs a bundle here as a bare machine would: unpacked elsewhere by python3 alone, in an environment
# without variables, with no header and no CUDA toolkit in sight. Root only (a mount namespace).
#   rehearse.sh FILE.tar.xz OUT   folder of the results
#   PROGRAMS="run profile"   those to run; MINUTES=9 and the like go through by VARS="MINUTES=2"
#   PYTHON=DIR               folder of the python3 that has PyTorch
set -eu
: "${PROGRAMS:=run profile}" "${VARS:=}" "${PYTHON:=/usr/bin}"
file=$(readlink -f "$1")
mkdir -p "$2"
out=$(readlink -f "$2")
there=$(mktemp -d)
trap 'rm -rf "$there"' EXIT
(cd "$there" && python3 -m tarfile -e "$file" .)
for program in $PROGRAMS; do
  # shellcheck disable=SC2016
  unshare -m sh -c '
    for hidden in /usr/include /usr/local/include /usr/local/cuda-* /usr/local/cuda; do
      [ -L "$hidden" ] || [ ! -d "$hidden" ] || mount -t tmpfs none "$hidden"
    done
    cd "$1"/rmt-gpu-* && exec env -i PATH="$2:/usr/bin:/bin" OUT="$3" $4 sh "$5.sh"
  ' sh "$there" "$PYTHON" "$out" "$VARS" "$program"
done

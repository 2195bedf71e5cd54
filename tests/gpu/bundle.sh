#!/bin/sh
# One file with all that a machine with a GPU needs to run rmt's tests and measurements: nothing but
# its driver, CUDA's libraries and python3 (README.md beside this). Called by make gpu-bundle.
#   bundle.sh BIN TESTS WHAT   folder of the programs, the test program, in words what they are
#   EMULATED=1                 they are for the emulated GPU: a rehearsal
#   OFFICIAL=DIR RIVAL=FILE    the official code's folder and the script that measures it go along
#   PHOTOS=DIR                 so does this data set, as far as PHOTOS_MB (8) go
set -eu
bin=$1 tests=$2 what=$3
: "${EMULATED:=0}" "${OFFICIAL:=}" "${RIVAL:=}" "${PHOTOS:=}" "${PHOTOS_MB:=8}" "${CXX:=g++}"
most_mb=40
commit=$(git rev-parse --short HEAD)
name=rmt-gpu-$commit
[ "$EMULATED" = 0 ] || name=$name-emulated
into=build/gpu-bundle/$name
rm -rf "$into"
mkdir -p "$into/bin" "$into/deps/include" "$into/deps/lib"

git ls-files -co --exclude-standard | tar -cf - -T - | tar -xf - -C "$into"
for program in rmt-train rmt-bench rmt-eval bench-kernels bench-loader; do
  strip -o "$into/bin/$program" "$bin/$program"
done
strip -o "$into/bin/rmt-tests" "$tests"

# Headers and libraries that a machine without a network may lack, to build there with nvcc.
found() { echo "#include <$1>" | "$CXX" -E -x c++ -std=c++20 - | sed -n "s|^# 1 \"\(.*/$1\)\".*|\1|p" |
  head -n 1; }
for header in stb/stb_image.h gtest/gtest.h nlohmann/json.hpp CLI/CLI.hpp; do
  cp -R "$(dirname "$(found $header)")" "$into/deps/include/"
done
for library in libgtest.a libgtest_main.a; do
  cp "$("$CXX" -print-file-name=$library)" "$into/deps/lib/"
done

if [ -n "$OFFICIAL" ] && [ -n "$RIVAL" ]; then
  mkdir "$into/rival"
  cp "$OFFICIAL"/*.py "$into/rival/"
  cp "$RIVAL" "$into/rival/rival.py"
fi
if [ -n "$PHOTOS" ]; then
  # Every n-th file, so that each class keeps some.
  (cd "$PHOTOS" && find . -type f | sort) >build/gpu-bundle/photos
  every=$(du -sm "$PHOTOS" | awk -v most="$PHOTOS_MB" '{ print int(($1 + most - 1) / most) }')
  awk -v n="$every" 'NR % n == 0' build/gpu-bundle/photos |
    tar -C "$PHOTOS" -cf - -T - | { mkdir "$into/photos" && tar -xf - -C "$into/photos"; }
fi

for script in run profile; do
  printf '#!/bin/sh\nexec sh "$(dirname "$0")/tests/gpu/%s.sh" "$@"\n' $script >"$into/$script.sh"
done
printf '%s\n' "commit $commit$(git diff --quiet HEAD || echo ' and changes')" "$what" \
  "emulated $EMULATED" >"$into/bundle.txt"
# The programs hold the same kernels: a dictionary that spans them all keeps one copy.
tar -C build/gpu-bundle --owner=0 --group=0 -cf - "$name" |
  xz -T 1 --lzma2=preset=6,dict=256MiB >"build/$name.tar.xz"
size=$(($(wc -c <"build/$name.tar.xz") / 1000000 + 1))
echo "build/$name.tar.xz: $size MB; there: python3 -m tarfile -e $name.tar.xz . && sh $name/run.sh"
if [ $size -gt $most_mb ]; then
  echo "gpu-bundle: over $most_mb MB; fewer CUDA_ARCHS or photographs make it smaller. Largest:" >&2
  find "$into" -type f -size +1000k -exec du -m {} + | sort -nr | head >&2
  exit 1
fi

#!/bin/sh
# Installs what the build needs and the system lacks, by the system's package manager, and says so.
# Silent when all is there. MPI=1: for several processes, too.
set -eu
cxx=${1:-g++}
have() { echo "#include <$1>" | "$cxx" -std=c++20 -E -x c++ - >/dev/null 2>&1; }
missing=""
command -v "$cxx" >/dev/null 2>&1 || missing="$missing g++"
have stb/stb_image.h && have stb/stb_image_write.h || missing="$missing libstb-dev"
have gtest/gtest.h || missing="$missing libgtest-dev"
have nlohmann/json.hpp || missing="$missing nlohmann-json3-dev"
have CLI/CLI.hpp || missing="$missing libcli11-dev"
if [ "${MPI:-0}" = 1 ] && { ! command -v mpicxx || ! command -v mpirun; } >/dev/null 2>&1; then
  missing="$missing libopenmpi-dev openmpi-bin"
fi
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "missing:$missing (Debian's package names)." >&2
  echo "Install them with this system's package manager, then run make again." >&2
  exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
echo "installing what is missing:$missing"
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null

#!/bin/sh
# Runs the test program and closes with one line of counts. Keeps its exit status.
set -u
log=$(mktemp)
trap 'rm -f "$log"' EXIT
{ "$@"; echo "status $?"; } 2>&1 | tee "$log" | grep -v -e '^\[ RUN  ' -e '^\[-----' -e '^status '
status=$(sed -n 's/^status //p' "$log" | tail -n 1)
count() { sed -n "s/^\[  $1 *\] \([0-9]*\) tests\{0,1\}.*/\1/p" "$log" | tail -n 1; }
passed=$(count PASSED) failed=$(count FAILED) skipped=$(count SKIPPED)
[ "$status" = 0 ] || [ "${failed:-0}" != 0 ] || failed=1
echo "${passed:-0} passed, ${failed:-0} failed, ${skipped:-0} skipped"
exit "${status:-1}"

#!/bin/sh
# Runs the test program in two halves at once, for the emulated GPU keeps one processor busy and no
# more, and closes with one line of counts. A filter that matches no test is an error.
#   run.sh PROGRAM [--gtest_filter=...]
set -u
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
"$@" --gtest_list_tests >"$log/list" || exit 1
if ! grep -q '^  ' "$log/list"; then
  echo "no test matches ${2#--gtest_filter=} (the names: $1 --gtest_list_tests)" >&2
  exit 1
fi

quiet() { grep -v -e '^\[ RUN  ' -e '^\[-----' -e '^$'; }
run() {
  shard=$1
  shift
  GTEST_TOTAL_SHARDS=2 GTEST_SHARD_INDEX=$shard "$@"
  echo $? >"$log/status.$shard"
}
run 1 "$@" >"$log/1" 2>&1 &
run 0 "$@" 2>&1 | tee "$log/0" | quiet
wait
quiet <"$log/1"
count() {
  sed -n "s/^\[  $1 *\] \([0-9]*\) tests\{0,1\}.*/\1/p" "$log/0" "$log/1" |
    awk '{ n += $1 } END { print n + 0 }'
}
passed=$(count PASSED) failed=$(count FAILED) skipped=$(count SKIPPED)
status=0
for shard in 0 1; do
  s=$(cat "$log/status.$shard" 2>/dev/null || echo 1)
  [ "$s" = 0 ] || status=$s
done
[ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"

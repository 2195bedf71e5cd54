#!/bin/sh
# run.sh with faults that are planted: each must show in the summary, in a line of its own, and spoil
# nothing else. Stand-ins for the programs answer at once, so that this takes seconds (make check);
# with BIN and TESTS those programs run, the faults laid over them.
#   faults.sh [BIN TESTS]
set -u
: "${LIMIT:=2}"
cd "$(dirname "$0")/../.." || exit 1
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/bin"
real=${1:-} tests=${2:-}
minutes=$([ -z "$real" ] && echo 1 || echo 4)

# --- the programs: the real ones or stand-ins, which read in $tmp/plant what is planted ---
cat >"$tmp/bin/rmt-tests" <<END
#!/bin/sh
plant=\$(cat "$tmp/plant")
case "\$plant \$*" in
  abort*=Softmax.*)
    echo "softmax: an illegal memory access was encountered"
    kill -ABRT \$\$
    ;;
  hang*=Linear.*) sleep 100 ;;
esac
[ -z "$tests" ] || exec "$tests" "\$@"
case "\$*" in
  *list_tests*) printf '%s.\n  Op\n' Gelu Softmax Linear GraphTest Resize ;;
  *) echo "[  PASSED  ] 1 test." ;;
esac
END
cat >"$tmp/bin/rmt-bench" <<END
#!/bin/sh
if [ "\$(cat "$tmp/plant")" = library ]; then
  echo "rmt-bench: error while loading shared libraries: libcublasLt.so.13: cannot open shared" \
    "object file: No such file or directory"
  exit 127
fi >&2
[ -z "$real" ] || exec "$real/rmt-bench" "\$@"
echo '{"model": "rmt_n", "mode": "train", "device": "a stand-in", "batch": 2, "images_per_s": 9,' \
  '"spread": 0.01, "peak_MiB": 7}'
END
cat >"$tmp/bin/compute-sanitizer" <<END
#!/bin/sh
case "\$*" in
  *--help*) echo "--kernel-name" ;;
  *memcheck*Gelu*) [ "\$(cat "$tmp/plant")" != access ] || ! echo "Invalid __global__ read" || exit 3 ;;
esac
END
cat >"$tmp/rival.py" <<END
plant = open("$tmp/plant").read().strip()
if plant == "import": import a_module_that_is_not_there
print('{"model": "RMT_N", "mode": "train", "torch": "2", "compile": "none", "batch": 2,',
      '"images_per_s": 3, "peak_MiB": 70}')
END
chmod +x "$tmp"/bin/*

bad=0
run() {  # fault, then lines that the summary must have
  echo "$1" >"$tmp/plant"
  fault=$1
  shift
  began=$(date +%s)
  PATH=$tmp/bin:$PATH EMULATED=1 MINUTES=$minutes LIMIT=$LIMIT BIN=$tmp/bin OUT=$tmp/$fault REBUILD=0 \
    RIVAL=$tmp/rival.py OFFICIAL=$tmp SUITES="Gelu Softmax Linear GraphTest Resize" \
    STEPS="tests ours pytorch sanitizers" sh tests/gpu/run.sh >"$tmp/log" 2>&1
  for line in "$@"; do
    if found=$(grep -e "$line" "$tmp/$fault/summary.txt"); then
      [ -z "${SHOW:-}" ] || echo "$fault: $found" | head -n 1
    else
      echo "faults.sh: $fault is planted and the summary has no line \"$line\":" >&2
      cat "$tmp/log" >&2
      bad=1
    fi
  done
  [ $(($(date +%s) - began)) -le $((60 * minutes)) ] || { echo "faults.sh: $fault took over $minutes min" >&2 && bad=1; }
}

right='correctness: suites: 5 ok; '
tests_but_one='correctness: suites: 4 ok, 1 '
fast='^ours: [12] ok$' rival='^pytorch: 1 ok$' clean='memcheck: suites: 3 ok$'
run none "^RUNS" "$right" "$fast" "$rival" "$clean" 'initcheck: suites: 2 ok$'
run abort "${tests_but_one}killed by signal 6" \
  '  Softmax: killed by signal 6: softmax: an illegal memory access' "$fast" "$rival" "$clean"
run hang "${tests_but_one}over its $LIMIT s" "  Linear: over its $LIMIT s" \
  "$fast" "$rival" "$clean"
run library '^DOES NOT RUN: .*libcublasLt.so.13: cannot open' \
  '^tests: left out: the programs do not run here' "$rival"
run import '  RMT_T3 train 2 .*: failed: ModuleNotFoundError: .*a_module_that_is_not_there' \
  "$right" "$fast" "$clean"
run access 'memcheck: suites: 2 ok, 1 failed$' '  Gelu memcheck: failed: Invalid __global__' \
  'racecheck: suites: 3 ok$' "$right" "$fast" "$rival"
[ $bad = 0 ] && echo "faults.sh: six runs, each fault in its line and nowhere else"
exit $bad

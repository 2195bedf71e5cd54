#!/bin/sh
# Runs of several processes, started by mpirun: what they make has the bits that one process makes, and whatever happens
# to one of them ends all, within 30 s and with one message, and leaves a checkpoint to go on from.
#   KILLS=2   times that one of three processes is killed (kill -9) at a random moment
#   STOPS=1   the same by SIGSTOP: it does nothing more, and does not end
#   TERMS=2   the same by SIGTERM: all save and exit with 0
# BIN is the folder of the programs, TESTS the test program, both linked with MPI. SEED chooses the moments. Prints a line
# for each kind; exit 1 at the first difference.
set -eu
BIN=$(cd "${BIN:-build/mpi/bin}" && pwd)
TESTS=$(cd "$(dirname "${TESTS:-build/mpi/tests/rmt-tests}")" && pwd)/$(basename "${TESTS:-rmt-tests}")
WORK=$(mktemp -d "${TMPDIR:-/tmp}/rmt-processes.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 1' INT TERM
cd "$WORK"

many="mpirun"
case $(mpirun --version 2>&1) in
  *"Open MPI"*) many="mpirun --oversubscribe --allow-run-as-root --bind-to none" ;;
esac
export ASAN_OPTIONS=detect_leaks=0 OMPI_MCA_btl_base_warn_component_unused=0
# Signals sent to mpirun's children are not its own: it waits a minute before it kills what it ends.
unset RMT_THREADS

fail() {  # what is wrong, log
  echo "FAILED: $1"
  tail -n 30 "$2"
  trap - EXIT
  exit 1
}

# --- the room itself ---
for n in 2 3 4; do
  timeout 300 $many -np "$n" "$TESTS" --gtest_filter='Room*' >room.log 2>&1 || fail "the room of $n" room.log
done
echo "rooms of 2, 3 and 4 processes: sums in the order of ranks, broadcast, gather"

# --- 10 classes of 4 + 2 drawn images ---
"$BIN/rmt-data" --help >/dev/null
mkdir drawn
(cd drawn && timeout 300 "$BIN/rmt-train" --epochs 1 -b 4000 --warmup-epochs 0 --img-size 32 --output none) \
  >draw.log 2>&1 || fail "drawing" draw.log
for split in train val; do
  for class in drawn/build/drawings/$split/*/; do
    mkdir -p "data/$split/$(basename "$class")"
    for f in $(ls "$class" | head -n "$([ $split = train ] && echo 5 || echo 2)"); do
      cp "$class$f" "data/$split/$(basename "$class")/"
    done
  done
done

FLAGS="--data-dir data --img-size 32 --threads 1 -j 1 --log-interval 0 --warmup-epochs 0 --lr 1e-3 --aa rand-m9-mstd0.5-inc1
  --mixup 0.8 --drop-path 0.2 --model-ema --model-ema-decay 0.9 --clip-grad 1"
alone() {  # name, flags
  name=$1
  shift
  # shellcheck disable=SC2086
  timeout 300 "$BIN/rmt-train" $FLAGS --experiment "$name" "$@" >"$name.log" 2>&1
}
together() {  # processes, name, flags
  n=$1 name=$2
  shift 2
  # shellcheck disable=SC2086
  timeout 300 $many -np "$n" "$BIN/rmt-train" $FLAGS --experiment "$name" "$@" >"$name.log" 2>&1
}
weights() {  # name: all that is learned, without what the file says of its run
  "$BIN/rmt-convert" "output/$1/last.safetensors" "$1.safetensors" >/dev/null 2>&1
  cksum <"$1.safetensors"
}
same() {  # name, name, what
  [ "$(weights "$1")" = "$(weights "$2")" ] || fail "$3: other weights" "$1.log"
}

# --- n processes and n batches one after the other add the same gradients in the same order ---
for n in 2 3; do
  alone "parts$n" --model vit_n --epochs 2 -b 4 --grad-accum-steps "$n" || fail "$n parts" "parts$n.log"
  together "$n" "processes$n" --model vit_n --epochs 2 -b 4 || fail "$n processes" "processes$n.log"
  same "processes$n" "parts$n" "$n processes and one with $n parts"
done
echo "2 and 3 processes: the bits of one with 2 and 3 parts"

# --- a run goes on with another number of processes, in mid-epoch: 2 x 6 images a step, then 3 x 4 ---
# Which images a step has does not change, so its loss does not: within rounding, the run is the same one.

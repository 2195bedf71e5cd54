#!/bin/sh
# Runs of several processes, started by mpirun: what they make has the bits that one process makes, and whatever happens
# to one of them ends all, within 30 s and with one message, and leaves a checkpoint to go on from.
#   KILLS=2   times that one of three processes is killed (kill -9) at a random moment
#   STOPS=1   the same by SIGSTOP: it does nothing more, and does not end
#   TERMS=2   the same by SIGTERM: all save and exit with 0
# BIN is the folder of the programs, TESTS the test program, both linked with MPI. SEED chooses the moments. Prints a line
# for each kind; exit 1 at the first difference.
# $many and $FLAGS are several words.
# shellcheck disable=SC2086
set -eu
BIN=$(cd "${BIN:-build/mpi/bin}" && pwd)
TESTS=$(cd "$(dirname "${TESTS:-build/mpi/tests/rmt-tests}")" && pwd)/$(basename "${TESTS:-rmt-tests}")
WORK=$(mktemp -d "${TMPDIR:-/tmp}/rmt-processes.XXXXXX")
run=""
trap '[ -z "$run" ] || kill "$run" 2>/dev/null; rm -rf "$WORK"' EXIT
trap 'exit 1' INT TERM
cd "$WORK"

many="mpirun"
case $(mpirun --version 2>&1) in
  *"Open MPI"*) many="mpirun --oversubscribe --allow-run-as-root --bind-to none" ;;
esac
export ASAN_OPTIONS=detect_leaks=0 OMPI_MCA_btl_base_warn_component_unused=0
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
mkdir drawn
(cd drawn && timeout 300 "$BIN/rmt-train" --epochs 1 -b 4000 --warmup-epochs 0 --img-size 32 --output none) \
  >draw.log 2>&1 || fail "drawing" draw.log
for split in train val; do
  for class in drawn/build/drawings/"$split"/*/; do
    mkdir -p "data/$split/$(basename "$class")"
    find "$class" -type f | sort | head -n "$([ $split = train ] && echo 5 || echo 2)" | while read -r f; do
      cp "$f" "data/$split/$(basename "$class")/"
    done
  done
done

FLAGS="--data-dir data --img-size 32 --threads 1 -j 1 --log-interval 0 --warmup-epochs 0 --lr 1e-3 --aa rand-m9-mstd0.5-inc1
  --mixup 0.8 --drop-path 0.2 --model-ema --model-ema-decay 0.9 --clip-grad 1"
alone() {  # name, flags
  name=$1
  shift
  timeout 300 "$BIN/rmt-train" $FLAGS --experiment "$name" "$@" >"$name.log" 2>&1
}
together() {  # processes, name, flags
  n=$1 name=$2
  shift 2
  timeout 300 $many -np "$n" "$BIN/rmt-train" $FLAGS --experiment "$name" "$@" >"$name.log" 2>&1
}
weights() {  # name: all numbers of the checkpoint, without what its header says of the run
  header=$(od -An -tu8 -N8 "output/$1/last.safetensors" | tr -d ' ')
  tail -c +$((header + 9)) "output/$1/last.safetensors" | cksum
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

# --- with synchronised batch norms, and the same twice ---
RMT="--model rmt_n --sync-bn --epochs 2"
for i in 1 2; do together 2 "sync$i" $RMT -b 6 || fail "2 processes" "sync$i.log"; done
same sync1 sync2 "the same run twice"
echo "2 processes, twice: the same bits"

# --- a run of 2 processes goes on with 3, in mid-epoch: the images of a step are the same 12 ---
end_of() {  # name: epochs that are done
  wc -l <"output/$1/log.jsonl"
}
until_step() {  # name: waits until the run has a checkpoint
  i=0
  while [ ! -e "output/$1/last.safetensors" ] && [ $i -lt 600 ]; do sleep 0.1 && i=$((i + 1)); done
}
rank() {  # pid of mpirun, rank: the process
  pgrep -P "$1" rmt-train | sed -n "$(($2 + 1))p"
}
start() {  # processes, name, flags: in the background; $run is mpirun
  n=$1 name=$2
  shift 2
  $many -np "$n" "$BIN/rmt-train" $FLAGS --experiment "$name" "$@" >"$name.log" 2>&1 &
  run=$!
}
ended() {  # name, statuses that are right: within 30 s
  seconds=0
  while kill -0 "$run" 2>/dev/null && [ $seconds -lt 30 ]; do sleep 1 && seconds=$((seconds + 1)); done
  kill -0 "$run" 2>/dev/null && fail "it has not ended within 30 s" "$1.log"
  status=0
  wait "$run" || status=$?
  case " $2 " in *" $status "*) ;; *) fail "exit status $status, not $2" "$1.log" ;; esac
  run=""
  for _ in 1 2 3 4 5; do
    pgrep -f "rmt-train.* --experiment $1 " >/dev/null || return 0
    sleep 1
  done
  fail "processes are left" "$1.log"
}
start 2 from2 --model vit_n --epochs 20 -b 6 --recovery-interval 1
until_step from2
kill -TERM "$(rank "$run" 1)"
ended from2 0
grep -q "stopped by SIGTERM" from2.log || fail "it has not stopped" from2.log
timeout 300 $many -np 3 "$BIN/rmt-train" --resume output/from2 -b 4 --epochs 3 >to3.log 2>&1 ||
  fail "2 processes, resumed with 3" to3.log
timeout 300 $many -np 2 "$BIN/rmt-train" --resume output/from2 -b 8 --epochs 4 >to25.log 2>&1 ||
  fail "3 processes, resumed with 2 between two epochs" to25.log
[ "$(end_of from2)" -ge 4 ] || fail "epochs are missing" from2.log
echo "stopped by SIGTERM to one of 2 processes, resumed with 3"

# --- one of three is killed, stopped or asked to stop at a random moment; the run goes on to the same bits ---
VIT="--model vit_n --epochs 6 -b 4 --recovery-interval 2"
together 3 whole $VIT || fail "3 processes" whole.log
WANT=$(weights whole)
moment() {  # i: seconds from 1 to 5, and a rank
  awk -v seed="$((${SEED:-1} * 1000 + $1))" 'BEGIN { srand(seed); printf "%.2f %d\n", 1 + 4 * rand(), int(3 * rand()) }'
}
i=0
disturb() {  # signal, times, right statuses
  for _ in $(seq "$2"); do
    i=$((i + 1))
    name=$(echo "$1$i" | tr '[:upper:]' '[:lower:]')
    # shellcheck disable=SC2046
    set -- "$1" "$2" "$3" $(moment $i)
      start 3 "$name" $VIT --resume auto
    sleep "$4"
    one=$(rank "$run" "$5")
    [ -z "$one" ] || kill "-$1" "$one" 2>/dev/null || true
    ended "$name" "$3 0"
      together 3 "$name" $VIT --resume auto || fail "SIG$1, and resumed" "$name.log"
    [ "$(weights "$name")" = "$WANT" ] || fail "SIG$1: other weights than the undisturbed run's" "$name.log"
  done
  echo "SIG$1 to one of 3 processes, $2 times: all end within 30 s, resumed to the same bits"
}
disturb KILL "${KILLS:-2}" "137 1"
disturb TERM "${TERMS:-2}" "0"
disturb STOP "${STOPS:-1}" "1"

# --- what was started wrongly: an error, once, and exit status 1 ---
wrong() {  # what it says, mpirun's arguments
  says=$1
  shift
  status=0
  timeout 60 $many "$@" >wrong.log 2>&1 || status=$?
  [ $status = 1 ] || fail "exit status $status for: $says" wrong.log
  [ "$(grep -c "$says" wrong.log)" = 1 ] || fail "not once: $says" wrong.log
}
ONE="-np 1 $BIN/rmt-train $FLAGS --model vit_n --output wrong"
{
  wrong "has other options than process 0" $ONE -b 4 : $ONE -b 4 --seed 3
  wrong "data folder nowhere does not exist" -np 3 "$BIN/rmt-train" --data-dir nowhere
  wrong "fewer than one batch for each" -np 3 "$BIN/rmt-train" $FLAGS --model vit_n -b 40 --output wrong
}
cp "$BIN/rmt-train" other-train
echo >>other-train
wrong "has other program than process 0" $ONE -b 4 : -np 1 ./other-train $FLAGS --model vit_n --output wrong -b 4
[ ! -e wrong ] || fail "something was written" wrong.log
echo "wrong starts: one message, exit status 1, nothing written"

# --- a process without a GPU ---
{
  wrong "was built without CUDA" $ONE -b 4 --device cpu : $ONE -b 4 --device cuda
  wrong "has other device (GPU or CPU) than process 0" $ONE -b 4 --device cpu : $ONE -b 4 --device emulated
}
[ ! -e wrong ] || fail "something was written" wrong.log
echo "one of 2 processes without a GPU: one message, exit status 1"

# --- two emulated GPUs, 2 steps: sums and products in other orders than the CPU's, by SGD, which passes on the rounding
# of f32, some 1e-7 each, and does not divide by it ---
for split in train val; do
  for class in data/"$split"/circle data/"$split"/ring; do
    mkdir -p "few/$split/$(basename "$class")"
    find "$class" -type f | sort | head -n "$([ $split = train ] && echo 4 || echo 1)" | while read -r f; do
      cp "$f" "few/$split/$(basename "$class")/"
    done
  done
done
FEW="--data-dir few --img-size 32 --threads 1 -j 1 --log-interval 0 --warmup-epochs 0 --opt sgd --lr 1e-2 --model vit_n
  --epochs 1 -b 2"
for device in cpu emulated; do
  timeout 300 $many -np 2 "$BIN/rmt-train" $FEW --device $device --experiment on-$device >on-$device.log 2>&1 ||
    fail "2 processes on $device" on-$device.log
done
loss() {  # experiment: the loss of the images of the validation after the last epoch
  tail -n 1 "output/$1/log.jsonl" | sed 's/.*"test_loss": *\([0-9.e-]*\).*/\1/'
}
awk -v a="$(loss on-cpu)" -v b="$(loss on-emulated)" 'BEGIN { d = (a - b) / a; exit !(a > 0 && d < 1e-5 && d > -1e-5) }' ||
  fail "losses on the CPU and on emulated GPUs: $(loss on-cpu) $(loss on-emulated)" on-emulated.log
echo "2 emulated GPUs: the loss of 2 processes on CPUs"

# --- without MPI: each process is told what torchrun would tell it ---
PORT=$((20000 + $$ % 10000))
killed=""
by_tcp() {  # processes, log, program and flags; where $killed is a run, the last is killed at its first checkpoint
  n=$1 log=$2 status=0 told=""
  shift 2
  rm -f "$log".?
  PORT=$((PORT + 1))
  for r in $(seq 0 $((n - 1))); do
    RANK=$r WORLD_SIZE=$n LOCAL_RANK=$r MASTER_ADDR=localhost MASTER_PORT=$PORT "$@" >"$log.$r" 2>&1 &
    told="$told $!"
  done
  if [ -n "$killed" ]; then
    until_step "$killed"
    kill -KILL "$!"
  fi
  for pid in $told; do wait "$pid" || status=$?; done
  cat "$log".? >"$log"
  return $status
}
for n in 2 3; do
  by_tcp "$n" tcp.log "$TESTS" --gtest_filter='Room*' || fail "the room of $n by TCP" tcp.log
  by_tcp "$n" "tcp$n.log" "$BIN/rmt-train" $FLAGS --experiment "tcp$n" --model vit_n --epochs 2 -b 4 ||
    fail "$n processes by TCP" "tcp$n.log"
  same "tcp$n" "parts$n" "$n processes by TCP and one with $n parts"
done
echo "2 and 3 processes by TCP: the bits of one with 2 and 3 parts"

killed=tcp-kill
if by_tcp 3 killed.log "$BIN/rmt-train" $FLAGS --experiment tcp-kill $VIT; then
  fail "one of 3 was killed, and the others ended well" killed.log
fi
killed=""
[ "$(grep -c "process 2 of 3 has ended" killed.log)" = 1 ] || fail "not once: one of 3 has ended" killed.log
by_tcp 3 tcp.log "$BIN/rmt-train" $FLAGS --experiment tcp-kill $VIT --resume auto || fail "resumed by TCP" tcp.log
[ "$(weights tcp-kill)" = "$WANT" ] || fail "killed: other weights than the undisturbed run's" tcp.log
if by_tcp 2 tcp.log "$BIN/rmt-train" --data-dir nowhere; then fail "no error" tcp.log; fi
[ "$(grep -c "data folder nowhere does not exist" tcp.log)" = 1 ] || fail "not once: no data" tcp.log
echo "one of 3 by TCP killed: all end, resumed to the same bits; what is wrong is said once"

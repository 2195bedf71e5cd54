#!/bin/sh
# Runs of several processes, started by mpirun: what they make has the bits that one process makes, and whatever happens
# to one of them ends all, within 30 s and with one message, and leaves a checkpoint to go on from.
#   KILLS=2   times that one of three processes is killed (kill -9) at a random moment
#   STOPS=1   the same by SIGSTOP: it does nothing more, and does not end
#   TERMS=2   the same by SIGTERM: all save and exit with 0
# BIN is the folder of the programs, TESTS the test program, both linked with MPI; ALONE rmt-train without MPI. SEED chooses
# the moments. Prints a line for each kind; exit 1 at the first difference.
# $many and $FLAGS are several words.
# shellcheck disable=SC2086
set -eu
BIN=$(cd "${BIN:-build/mpi/bin}" && pwd)
TESTS=$(cd "$(dirname "${TESTS:-build/mpi/tests/rmt-tests}")" && pwd)/$(basename "${TESTS:-rmt-tests}")
ALONE=$(pwd)/${ALONE:-build/bin/rmt-train}
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

# --- 10 classes of 5 + 2 drawn images ---
timeout 300 "$BIN/tour_loader" >draw.log 2>&1 || fail "drawing" draw.log
mv build/tour data
rm data/train/*/000[5-9].jpg data/train/*/001?.jpg data/val/*/000[2-4].jpg

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

# --- the same of segmentation and detection, which draw regions and drop channels by chance; the images of the test are
# divided, and its scores are the same. Batch norms are frozen, the backbone's and the head's: their running statistics see
# another number of batches ---
RMT_SCENES=scenes timeout 300 "$TESTS" --gtest_filter='DenseScenes*' >scenes.log 2>&1 || fail "writing scenes" scenes.log
scores() {  # name: those of all epochs
  grep -o '"test_[a-zA-Z0-9_]*":[^,}]*' "output/$1/log.jsonl"
}
DENSE="--data-dir scenes --model rmt_n --fpn-channels 8 --long-side 64 --short-side 64 --bn frozen --drop-path 0.2 -b 2 --epochs 2
  --lr 1e-3 --threads 1 -j 1 --log-interval 0"
for head in semantic_fpn mask_rcnn; do
  program=rmt-seg own="--crop-size 64 --freeze decode_head.scale_heads"
  [ $head = semantic_fpn ] || program=rmt-det own="--fc-channels 16 --anchor-scale 4 --milestones 1 --warmup-steps 2"
  timeout 300 "$BIN/$program" train $DENSE --head $head $own --grad-accum-steps 2 --experiment "$head" >"$head.log" 2>&1 ||
    fail "$head in 2 parts" "$head.log"
  timeout 300 $many -np 2 "$BIN/$program" train $DENSE --head $head $own --experiment "${head}2" >"${head}2.log" 2>&1 ||
    fail "$head in 2 processes" "${head}2.log"
  same "${head}2" $head "$head, 2 processes and one with 2 parts"
  [ "$(scores "${head}2")" = "$(scores $head)" ] || fail "$head, 2 processes: other scores" "${head}2.log"
done
echo "2 processes of segmentation and of detection: the bits of one with 2 parts, and its scores"

# --- with synchronised batch norms, the same twice, and as one process with all images of a step ---
SYNC="--model rmt_n --sync-bn --epochs 5 --mixup 0 --opt-eps 1e-2"  # 20 steps
for i in 1 2; do together 2 "sync$i" $SYNC -b 6 || fail "2 processes" "sync$i.log"; done
same sync1 sync2 "the same run twice"
echo "2 processes, twice: the same bits"
# The order of sums is another: tests/train/shared_batch_test.cpp bounds what it does to weights and losses of f32 by 1e-4 of
# the way; the losses, about 2.4, are compared to 1e-3.
near() {  # name, name, what: the losses of all epochs
  paste -d ' ' "output/$1/log.jsonl" "output/$2/log.jsonl" | awk '
    function loss(key, which) {
      n = split($0, part, "\"" key "\":")
      return n == 3 ? part[which] + 0 : -1
    }
    {
      split("train_loss test_loss test_ema_loss", keys, " ")
      for (i in keys) {
        d = loss(keys[i], 2) - loss(keys[i], 3)
        if (loss(keys[i], 2) <= 0 || d > 1e-3 || d < -1e-3) exit bad = 1
      }
    }
    END { exit bad || !NR }' || fail "$3: other losses" "$1.log"
}
alone whole12 $SYNC -b 12 || fail "one process" whole12.log
together 4 sync4 $SYNC -b 3 || fail "4 processes" sync4.log
for n in 1 4; do near "sync$n" whole12 "synchronised processes and one"; done
echo "2 and 4 processes of 6 and 3 images, and one of 12: the same losses but for rounding"

# --- a run of 2 processes goes on with 1 and with 3, in mid-epoch: the images of a step are the same 12 ---
# One process adds two gradients of 6 images in the order of the two: the same bits. Three take 4 images each, whose sums have
# another order.
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
ON="--model vit_n --epochs 12 -b 6 --mixup 0"
together 2 through $ON || fail "2 processes" through.log
start 2 from2 $ON --recovery-interval 1
until_step from2
kill -TERM "$(rank "$run" 1)"
ended from2 0
grep -q "stopped by SIGTERM" from2.log || fail "it has not stopped" from2.log
cp -r output/from2 output/to1
cp -r output/from2 output/to3
timeout 300 "$BIN/rmt-train" --resume output/to1 >to1.log 2>&1 || fail "2 processes, resumed with 1" to1.log
same to1 through "2 processes, resumed with 1"
timeout 300 $many -np 3 "$BIN/rmt-train" --resume output/to3 -b 4 >to3.log 2>&1 || fail "2 processes, resumed with 3" to3.log
near to3 through "2 processes, resumed with 3"
timeout 300 $many -np 2 "$BIN/rmt-train" --resume output/to3 -b 8 --epochs 13 >to2.log 2>&1 ||
  fail "3 processes, resumed with 2 between two epochs" to2.log
[ "$(end_of to3)" = 13 ] || fail "epochs are missing" to2.log
echo "stopped by SIGTERM to one of 2 processes; resumed with 1 to the same bits, with 3 to the same losses"

# --- Open MPI's mpirun itself is asked to end: it waits for 5 s, passes the signal on, and kills 5 s later ---
case $many in
  *oversubscribe*)
    usual=$many
    many="$many --mca odls_base_sigkill_timeout 5"
    start 2 cluster --model vit_n --epochs 1000 -b 6
    many=$usual
    while [ ! -e output/cluster/log.jsonl ] && kill -0 "$run"; do sleep 0.1; done
    kill -TERM "$run"
    ended cluster "0 1 143"
    grep -q "stopped by SIGTERM" cluster.log || fail "it has not stopped" cluster.log
    timeout 300 $many -np 2 "$BIN/rmt-train" --resume output/cluster --epochs "$(($(end_of cluster) + 1))" >to_end.log 2>&1 ||
      fail "SIGTERM to mpirun, and resumed" to_end.log
    echo "SIGTERM to mpirun: saved and resumed"
    ;;
esac

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
    early=0  # before the run has begun nobody catches SIGTERM
    grep -q "run folder" "$name.log" || early=143
    [ -z "$one" ] || kill "-$1" "$one" 2>/dev/null || true
    ended "$name" "$3 0 $early"
      together 3 "$name" $VIT --resume auto || fail "SIG$1, and resumed" "$name.log"
    [ "$(weights "$name")" = "$WANT" ] || fail "SIG$1: other weights than the undisturbed run's" "$name.log"
  done
  echo "SIG$1 to one of 3 processes, $2 times: all end within 30 s, resumed to the same bits"
}
disturb KILL "${KILLS:-2}" "137 1"
disturb TERM "${TERMS:-2}" "0"
disturb STOP "${STOPS:-1}" "1"

# --- the first process alone writes ---
TWO="-np 1 $BIN/rmt-train $FLAGS --experiment one --model vit_n --epochs 1 -b 6 --output"
timeout 300 $many $TWO first : $TWO second >one.log 2>&1 || fail "2 processes" one.log
[ -e first/one/last.safetensors ] || fail "the first has written nothing" one.log
[ ! -e second ] || fail "the second has written" one.log
[ "$(grep -c '^epoch 1/1' one.log)" = 1 ] || fail "more than one has printed" one.log
echo "of 2 processes the first alone writes and prints"

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
if [ -x "$ALONE" ]; then
  wrong "was built without MPI; build it by make MPI=1" -np 2 "$ALONE" $FLAGS --output wrong
fi
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

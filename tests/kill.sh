#!/bin/sh
# Runs that are killed at random moments and resumed must end with the weights of one that was not, bit for bit.
#   KILLS=100   times that a run is killed (kill -9), each at a moment of its own, checkpoints being
#               written at every other step
#   TERMS=20    times that a run is asked to stop (SIGTERM): it exits with 0, and goes on
#   FAULTS=40   times that a run dies in, or right after, one of its system calls that write
#               (core/files/file_calls.h): calls 1, 2, ...
#   DISKS=20    times that one of these calls finds the disk full: the run goes on, says so, and
#               ends with 1
# BIN is the folder of the programs. Images are those that rmt-train draws. Prints a line for each
# kind; exit 1 at the first difference.
set -eu
BIN=$(cd "${BIN:-build/bin}" && pwd)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/rmt-kill.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
trap 'exit 1' INT TERM
cd "$WORK"

# A few of the drawn images: 10 classes, 8 + 4 each, so that a run takes a second or two.
mkdir drawn
draw() {
  timeout 300 "$BIN/rmt-train" --epochs 1 -b 4000 --warmup-epochs 0 --img-size 32 --output none --threads 0
}
(cd drawn && draw > drawn.log 2>&1) || { cat drawn/drawn.log; exit 1; }
for split in train val; do
  n=$([ $split = train ] && echo 8 || echo 4)
  for class in drawn/build/drawings/$split/*/; do
    mkdir -p "data/$split/$(basename "$class")"
    ls "$class" | head -n "$n" | while read -r f; do cp "$class$f" "data/$split/$(basename "$class")/"; done
  done
done

# Everything of the recipe that a resumed run could lose.
run() {  # name
  "$BIN/rmt-train" --data-dir data --model rmt_n --img-size 32 -b 16 --epochs 4 --warmup-epochs 1 \
    --lr 1e-3 --aa rand-m9-mstd0.5-inc1 --reprob 0.25 --mixup 0.8 --cutmix 1 --drop-path 0.2 \
    --model-ema --model-ema-decay 0.9 --clip-grad 1 --recovery-interval 2 --checkpoint-hist 2 \
    --threads 1 -j 1 --log-interval 0 --experiment "$1" --resume auto > "$1.log" 2>&1
}
weights() {  # name: the final weights' bytes, and the best ones'
  "$BIN/rmt-convert" "output/$1/last.safetensors" "$1.safetensors" > /dev/null 2>&1
  cat "$1.safetensors" "output/$1/best.safetensors" | cksum
  rm -f "$1.safetensors"
}
same() {  # name, what was done to it
  if [ "$(weights "$1")" != "$WANT" ]; then
    echo "FAILED: $2: other weights than the uninterrupted run's (see $WORK/$1.log)"
    cat "$1.log"
    trap - EXIT
    exit 1
  fi
  for kept in "output/$1"/*.tmp; do
    [ ! -e "$kept" ] || { echo "FAILED: $2: $kept is left"; exit 1; }
  done
  rm -rf "output/$1" "$1.log"
}
resume() {  # name, what was done to it
  run "$1" || { echo "FAILED: $2: the resumed run ended with $?"; cat "$1.log"; exit 1; }
  same "$1" "$2"
}
now() { date +%s.%N; }
moment() { awk -v seed="$1" -v most="$2" 'BEGIN { srand(seed); print rand() * most }'; }  # seconds

start=$(now)
run straight || { cat straight.log; exit 1; }
seconds=$(awk -v a="$start" -v b="$(now)" 'BEGIN { print b - a }')
WANT=$(weights straight)
run again0 && rm -rf again0.log
[ "$(weights again0)" = "$WANT" ] || { echo "FAILED: two uninterrupted runs differ"; exit 1; }

# Each is killed three times at most before it may end, the first time within the run's usual length.
landed=0
for i in $(seq 1 "${KILLS:-100}"); do
  for again in 1 2 3; do
    run "kill$i" & pid=$!
    sleep "$(moment "$i$again" "$seconds")"
    kill -9 "$(pgrep -P $pid 2> /dev/null || echo $pid)" 2> /dev/null && landed=$((landed + 1))
    wait $pid 2> /dev/null || true
  done
  resume "kill$i" "killed"
done
[ "${KILLS:-100}" = 0 ] ||
  echo "kill -9: ${KILLS:-100} runs, killed $landed times, all ended with the weights of the uninterrupted one"

for i in $(seq 1 "${TERMS:-20}"); do
  run "term$i" & pid=$!
  sleep "$(moment "$i" "$seconds")"
  kill -TERM "$(pgrep -P $pid 2> /dev/null || echo $pid)" 2> /dev/null || true
  code=0
  wait $pid || code=$?
  case $code in
    0 | 143) ;;  # 143: it came before the run had begun
    *) echo "FAILED: SIGTERM: exit status $code"; cat "term$i.log"; exit 1 ;;
  esac
  resume "term$i" "SIGTERM"
done
[ "${TERMS:-20}" = 0 ] ||
  echo "SIGTERM: ${TERMS:-20} runs stopped, saved and gone on with, all the same weights"

for i in $(seq 1 "${FAULTS:-40}"); do
  for kind in kill killed; do
    RMT_FAULT=$i:$kind run "fault$i$kind" && { echo "FAILED: the run was not killed in call $i"; exit 1; }
    resume "fault$i$kind" "killed in call $i"
  done
done
[ "${FAULTS:-40}" = 0 ] ||
  echo "killed in and after each of the first ${FAULTS:-40} system calls that write: all the same weights"

for i in $(seq 1 "${DISKS:-20}"); do
  RMT_FAULT=$i:ENOSPC run "disk$i" || true
  resume "disk$i" "a full disk in call $i"
done
[ "${DISKS:-20}" = 0 ] ||
  echo "a full disk in each of the first ${DISKS:-20} of these calls: all the same weights"

#!/bin/sh
# Runs that are killed at random moments and resumed must end with the weights of one that was not, bit for bit; what
# else may happen to a run must leave it unharmed, or end it with the last good checkpoint, from which the same follows.
#   KILLS=100   times that a run is killed (kill -9), each at a moment of its own, checkpoints being
#               written at every other step
#   TERMS=20    times that a run is asked to stop (SIGTERM): it exits with 0, and goes on
#   HUPS=10     the same by SIGHUP, as of a terminal that closes
#   FAULTS=40   times that a run dies in, or right after, one of its system calls that write
#               (core/files/file_calls.h): calls 1, 2, ...
#   DISKS=20    times that one of these calls finds the disk full: the run goes on, says so, and
#               ends with 1
#   READONLY=20 times that from one of these calls on the file system is read-only: likewise
#   LIMITS=10   times that a run may write no file beyond a limit (ulimit -f: SIGXFSZ): likewise
#   PIPES=10    times that nobody reads what a run prints (SIGPIPE): it ends with 0
#   PAIRS=20    times that two runs are started in one folder; every other time both are killed
#   CROWDS=5    times that twelve runs are started at once: each gets a folder of its own
#   MOVES=10    times that a run's folder is moved away: the run follows, or says what is wrong
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
DATA="--data-dir data --model rmt_n --img-size 32 -b 16 --threads 1 -j 1 --log-interval 0"
RECIPE="--epochs 4 --warmup-epochs 1 --lr 1e-3 --aa rand-m9-mstd0.5-inc1 --reprob 0.25 --mixup 0.8 --cutmix 1
  --drop-path 0.2 --model-ema --model-ema-decay 0.9 --clip-grad 1 --recovery-interval 2 --checkpoint-hist 2"
train() { "$BIN/rmt-train" $DATA $RECIPE --experiment "$1" --resume auto; }  # name
run() { train "$1" > "${2:-$1}.log" 2>&1; }                                  # name, its log's name

fail() {  # what is wrong, name
  echo "FAILED: $1 (see $WORK/$2.log)"
  cat "$2.log"
  trap - EXIT
  exit 1
}
weights() {  # name: the final weights' bytes, and the best ones'
  "$BIN/rmt-convert" "output/$1/last.safetensors" "$1.safetensors" > /dev/null 2>&1
  cat "$1.safetensors" "output/$1/best.safetensors" | cksum
  rm -f "$1.safetensors"
}
same() {  # name, what was done to it
  [ "$(weights "$1")" = "$WANT" ] || fail "$2: other weights than the uninterrupted run's" "$1"
  [ "$(cut -d , -f 1 "output/$1/log.jsonl" | tr -d '\n')" = '{"epoch":0{"epoch":1{"epoch":2{"epoch":3' ] ||
    fail "$2: the log has not each epoch once" "$1"
  for kept in "output/$1"/*.tmp "output/$1"/next.*; do
    [ ! -e "$kept" ] || fail "$2: $kept is left" "$1"
  done
  rm -rf "output/$1" "$1".log "$1"-*.log
}
resume() {  # name, what was done to it
  run "$1" || fail "$2: the resumed run ended with $?" "$1"
  same "$1" "$2"
}
begun() { [ -e "output/$1/last.safetensors" ]; }  # name
ended() {  # pid, what was done to it, name, the statuses that it may have
  code=0
  wait "$1" 2> /dev/null || code=$?
  case " $4 " in *" $code "*) ;; *) fail "$2: exit status $code" "$3" ;; esac
}
now() { date +%s.%N; }
moment() { awk -v seed="$1" -v most="$2" 'BEGIN { srand(seed); print rand() * most }'; }  # seconds
signal() { kill "-$1" "$(pgrep -P "$2" 2> /dev/null || echo "$2")" 2> /dev/null; }        # to a run's pid
count() { seq 1 "$1"; }

start=$(now)
run straight || fail "the uninterrupted run" straight
seconds=$(awk -v a="$start" -v b="$(now)" 'BEGIN { print b - a }')
WANT=$(weights straight)
run again0
[ "$(weights again0)" = "$WANT" ] || fail "two uninterrupted runs differ" again0

# Each is killed three times at most before it may end, the first time within the run's usual length.
kills() {
  landed=0
  for i in $(count "$1"); do
    for again in 1 2 3; do
      run "kill$i" & pid=$!
      sleep "$(moment "$i$again" "$seconds")"
      signal 9 $pid && landed=$((landed + 1))
      wait $pid 2> /dev/null || true
    done
    resume "kill$i" "killed"
  done
  echo "kill -9: $1 runs, killed $landed times, all ended with the weights of the uninterrupted one"
}

stops() {  # how often, signal, the status of a shell's child that it ends before the run has begun
  for i in $(count "$1"); do
    run "$2$i" & pid=$!
    sleep "$(moment "$i" "$seconds")"
    signal "$2" $pid || true
    ended $pid "SIG$2" "$2$i" "0 $3"
    [ $code = 0 ] || ! begun "$2$i" || fail "SIG$2 ended a run that had begun" "$2$i"
    resume "$2$i" "SIG$2"
  done
  echo "SIG$2: $1 runs stopped, saved and gone on with, all the same weights"
}

faults() {
  for i in $(count "$1"); do
    for kind in kill killed; do
      RMT_FAULT=$i:$kind run "fault$i$kind" && fail "the run was not killed in call $i" "fault$i$kind"
      resume "fault$i$kind" "killed in call $i"
    done
  done
  echo "killed in and after each of the first $1 system calls that write: all the same weights"
}

disks() {
  for i in $(count "$1"); do
    RMT_FAULT=$i:ENOSPC run "disk$i" || true
    resume "disk$i" "a full disk in call $i"
  done
  echo "a full disk in each of the first $1 of these calls: all the same weights"
}

# Every seventh call, so that some come before the first checkpoint and some after it. (A file system
# cannot be made read-only while a file on it is open for writing, and the run's lock is.)
readonly_from() {
  for i in $(count "$1"); do
    call=$((7 * i - 6))
    RMT_FAULT=$call+:EROFS run "ro$i" && fail "read-only from call $call on: exit status 0" "ro$i"
    grep -q "Read-only file system" "ro$i.log" || fail "read-only from call $call on: not said" "ro$i"
    resume "ro$i" "read-only from call $call on"
  done
  echo "a file system that is read-only from a call on ($1 calls): said, exit status 1, then all the same weights"
}

# Checkpoints of 8 and 34 MB: some limits stop both of them, some the larger.
limits() {
  for i in $(count "$1"); do
    (ulimit -f $((i * 4000)) && run "limit$i") && fail "ulimit -f: exit status 0" "limit$i"
    grep -q "File too large" "limit$i.log" || fail "ulimit -f: not said" "limit$i"
    resume "limit$i" "ulimit -f"
  done
  echo "a limit of file sizes: $1 runs went on, said so and ended with 1; then all the same weights"
}

pipes() {
  for i in $(count "$1"); do
    { { train "pipe$i" 2> "pipe$i.log"; echo $? > "pipe$i.status"; } | head -n $((i % 3)) > /dev/null; } || true
    [ "$(cat "pipe$i.status")" = 0 ] || fail "a closed pipe: exit status $(cat "pipe$i.status")" "pipe$i"
    same "pipe$i" "a closed pipe"
  done
  echo "a reader that leaves: $1 runs went on to the end, all the same weights"
}

pairs() {
  refused=0
  for i in $(count "$1"); do
    run "pair$i" "pair$i-a" & a=$!
    run "pair$i" "pair$i-b" & b=$!
    if [ $((i % 2)) = 0 ]; then
      sleep "$(moment "$i" "$seconds")"
      signal 9 $a || true
      signal 9 $b || true
    fi
    ended $a "two runs in one folder" "pair$i-a" "0 1 137"
    ended $b "two runs in one folder" "pair$i-b" "0 1 137"
    grep -q -e "trains in this folder" -e "another process has" -e "exists;" "pair$i-a.log" "pair$i-b.log" &&
      refused=$((refused + 1))
    resume "pair$i" "two runs in one folder"
  done
  echo "two runs in one folder: $1 times, one of them refused $refused times, all the same weights"
}

crowds() {
  for i in $(count "$1"); do
    rm -rf crowd
    pids=
    for k in $(count 12); do
      "$BIN/rmt-train" $DATA --epochs 1 --warmup-epochs 0 --output crowd > "crowd$k.log" 2>&1 & pids="$pids $!"
    done
    k=0
    for pid in $pids; do k=$((k + 1)); ended "$pid" "twelve at once" "crowd$k" 0; done
    [ "$(ls -d crowd/*/last.safetensors | wc -l)" = 12 ] || fail "twelve at once: not twelve folders" crowd1
  done
  echo "twelve runs at once: $1 times, each in a folder of its own"
}

# Its old name may be nobody's then, or that of a new folder.
moves() {
  for i in $(count "$1"); do
    run "move$i" & pid=$!
    sleep "$(moment "$i" "$seconds")"
    mv "output/move$i" "away$i" 2> /dev/null && [ $((i % 2)) = 0 ] && mkdir "output/move$i"
    ended $pid "a folder that was moved" "move$i" "0 1"
    [ ! -e "away$i" ] || { rm -rf "output/move$i" && mv "away$i" "output/move$i"; }
    [ $code = 0 ] || ! begun "move$i" || fail "a run did not follow its folder" "move$i"
    resume "move$i" "a folder that was moved"
  done
  echo "a folder that is moved away: $1 runs, each followed, all the same weights"
}

each() {  # how often, and what else it needs: nothing is said of what is not done
  what=$1 times=$2
  shift 2
  [ "$times" = 0 ] || $what "$times" "$@"
}
each kills "${KILLS:-100}"
each stops "${TERMS:-20}" TERM 143
each stops "${HUPS:-10}" HUP 129
each faults "${FAULTS:-40}"
each disks "${DISKS:-20}"
each readonly_from "${READONLY:-20}"
each limits "${LIMITS:-10}"
each pipes "${PIPES:-10}"
each pairs "${PAIRS:-20}"
each crowds "${CROWDS:-5}"
each moves "${MOVES:-10}"

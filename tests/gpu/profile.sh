#!/bin/sh
# Where the time of a training step goes on this GPU, in MINUTES (9) at most: every kernel's time and
# bandwidth by ncu, every op beside a plain copy, the official code compiled at batch 256, and the
# loader. README.md beside this says how to read it; run.sh is the first call.
#   OUT=DIR        where the results go (out): profile.txt, kernels.txt (every kernel), ops.txt
#   BIN=DIR, OFFICIAL=DIR, RIVAL=FILE   as for run.sh
#   PHOTOS=DIR     a data set for the loader (photos/)
#   STEPS="kernels ops compiled loader"   those to run
set -u
: "${OUT:=out}" "${STEPS:=kernels ops compiled loader}"
case $OUT in /*) ;; *) OUT=$PWD/$OUT ;; esac
cd "$(dirname "$0")/../.." || exit 1
. tests/gpu/common.sh
if [ "$EMULATED" = 1 ]; then
  models=rmt_n batch=2 size=64 batches=2
else
  models="rmt_s rmt_t" batch=256 size=224 batches=60
fi

# One step, not recorded as a graph: ncu runs each launch by itself. The caches stay as the kernel
# before left them, and the clocks as they are.
kernels() {
  for model in $models; do
    printf '%s\t%s\n' "$model" "'$ncu' --csv --page raw --print-units base --clock-control none \
--cache-control none --metrics gpu__time_duration.sum,dram__bytes_read.sum,dram__bytes_write.sum \
'$BIN/rmt-bench' --device $device --model $model --mode train --batch $batch --img-size $size \
--amp bf16 --no-cuda-graph --warmup 0 --iters 1 --json"
  done | tasks kernels 1 $((MINUTES * 16))
  : >"$OUT/kernels.txt"
  for log in $(logs kernels); do
    echo "$(basename "$log" .log), a training step of $batch images" >>"$OUT/kernels.txt"
    awk -f tests/gpu/kernels.awk "$log" >"$log.table"
    sort -t "$tab" -k 1,1nr "$log.table" | tr '\t' ' ' >>"$OUT/kernels.txt"
  done
}
kernels_table() {
  echo "kernels: $(outcomes kernels)"
  not_ok kernels
  awk '/^[a-z]/ { n = 0 } n++ < 32' "$OUT/kernels.txt"
}

ops() {
  toy=$([ "$EMULATED" = 0 ] || echo --iters 1 --stages 4)
  for model in $models; do
    printf '%s\t%s\n' "$model" "'$BIN/bench-kernels' --device $device --model $model --amp bf16 \
--batch $batch --img-size $size $toy"
  done | tasks ops 1 $((MINUTES * 8))
  # shellcheck disable=SC2046
  cat $(logs ops) /dev/null >"$OUT/ops.txt"
}
ops_table() {
  echo "ops: $(outcomes ops)"
  not_ok ops
  cat "$OUT/ops.txt"
}

compiled() {
  for how in default max-autotune; do for mode in train infer; do for model in RMT_S RMT_T3; do
    printf '%s\t%s\n' "$model $mode $batch $how" "python3 '$RIVAL' --official '$OFFICIAL' \
--device cuda --model $model --mode $mode --batch $batch --amp bf16 --channels-last \
--fused-adamw --compile $how"
  done; done; done | tasks compiled 1 $((MINUTES * 16))
  collect compiled
}
compiled_table() { echo "compiled: $(outcomes compiled)" && not_ok compiled; }

loader() {
  split=$([ -d "$PHOTOS/train" ] && echo train || echo val)
  for how in "" "--aug-repeats 3" "--eval"; do
    printf '%s\t%s\n' "${how:-augmented}" "'$BIN/bench-loader' --data-dir '$PHOTOS' --split $split \
--workers $processors --batches $batches $how"
  done | tasks loader 1 $((MINUTES * 4))
}
loader_table() {
  echo "loader, $processors threads: $(outcomes loader)"
  not_ok loader
  awk -F '\t' '$3 == "ok" { getline said <$5; print "  " $2 ": " said }' "$work/loader/results"
}

why_not() {
  case $1 in
    kernels) [ -n "$ncu" ] || echo "there is no ncu" ;;
    compiled)
      [ -n "$RIVAL" ] && [ -n "$OFFICIAL" ] || echo "RIVAL and OFFICIAL were not given"
      [ "$EMULATED" = 0 ] || echo "a rehearsal compiles nothing"
      ;;
    loader) [ -n "$PHOTOS" ] || echo "there are no photographs (PHOTOS)" ;;
  esac
  [ "$1" = compiled ] || [ "$runs" = 1 ] || echo "the programs do not run here"
}
weight() { case $1 in kernels) echo 200 ;; ops) echo 60 ;; compiled) echo 240 ;; *) echo 40 ;; esac }

ncu=$(tool ncu)
start
run_steps profile.txt

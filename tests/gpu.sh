#!/bin/sh
# Everything that only a real GPU can show, in one command (make gpu), meant for eight minutes on a
# machine with one and 16 processors (an estimate until it has run there): builds for it, runs the
# tests there, looks for races and bad accesses, measures the kernels and the models, and the official
# code in PyTorch beside them in turn. Results: build/gpu-report/ (report.txt; bench.jsonl, one line a
# configuration; kernels.txt).
#   OFFICIAL=DIR   folder of the official RMT.py, and RIVAL=FILE the script that measures it
#                  (--official DIR --model .. -> one JSON line): left out without them
#   FULL=1         the official code compiled (torch.compile, a minute and more each) in every
#                  configuration, not only in training at the first batch size
#   DATA=FOLDER    a folder of small images: rmt_t is trained on it at 64 px, EPOCHS epochs in f32, in
#                  bf16, and on the CPU: left out without it; a command of its own
#   EMULATED=1     a rehearsal on the emulated device, at toy sizes
#   PARTS="build tests sanitize kernels bench train"   those to run
set -u
cd "$(dirname "$0")/.."
: "${EMULATED:=0}" "${OFFICIAL:=}" "${RIVAL:=}" "${DATA:=}" "${EPOCHS:=3}" "${FULL:=0}"
: "${PARTS:=build tests sanitize kernels bench train}"
report=build/gpu-report
mkdir -p $report
say() { echo "== $* ($(date +%T))" | tee -a $report/report.txt; }
want() { case " $PARTS " in *" $1 "*) return 0 ;; *) return 1 ;; esac; }
: >$report/report.txt
failed=0
run() {
  "$@" >>$report/report.txt 2>&1 && return
  failed=1
  say "FAILED: $*"
  tail -n 5 $report/report.txt
}

if [ "$EMULATED" = 1 ]; then
  build=build make="make"
  device=emulated models="rmt_n" batches="2" size=64
  iterations="--iters 3 --warmup 3"
  filter='Gelu.Op:Linear.Op:OfficialModelOnGpu.*eval*'
else
  arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
  build=build/cuda make="make CUDA=1 CUDA_ARCHS=$arch"
  device=cuda models="rmt_t rmt_s" batches="128 256" size=224
  iterations="--iters 20 --warmup 5" filter='*'
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv |
    tee -a $report/report.txt
  nvcc --version | tail -n 2 >>$report/report.txt
fi

if want build; then
  say "build"
  run $make -j "$(nproc)" all $build/tests/rmt-tests
fi

if want tests; then
  say "tests"
  BIN=$build/bin run $build/tests/rmt-tests --gtest_filter="$filter" --gtest_brief=1
  grep -E "error over PyTorch|PASSED|FAILED" $report/report.txt
fi

# memcheck and racecheck on the op tests, at the sizes of check_op
if want sanitize && [ "$EMULATED" = 0 ]; then
  ops='Gelu.Op:Softmax.Op:LayerNorm.Op:BatchNorm.Op'
  ops="$ops:Linear.Op:Conv2d.Op:DepthwiseConv2d.Op:GeluDepthwise*.Op"
  ops="$ops:ManhattanAttention.TensorCores*:CrossEntropy.Op:ResidualLayerNorm.Op:AdamW.*"
  for tool in memcheck racecheck; do
    say "compute-sanitizer $tool"
    run timeout 75 compute-sanitizer --tool $tool --error-exitcode 3 $build/tests/rmt-tests \
      --gtest_filter="$ops" --gtest_brief=1
    grep "ERROR SUMMARY\|RACECHECK SUMMARY" $report/report.txt | tail -n 1
  done
fi

if want kernels; then
  say "kernels: time, bytes and flops beside the peaks"
  toy=$([ "$EMULATED" = 1 ] && echo --batch 1 --iters 1 --stages 4)
  $build/bin/bench-kernels --device $device $toy >$report/kernels.txt 2>&1 || failed=1
  cat $report/kernels.txt
fi

if want bench; then
  say "models, ours and PyTorch's in turn"
  : >$report/bench.jsonl
  for model in $models; do for mode in train infer; do for batch in $batches; do
    for amp in bf16 none; do
      [ $amp = none ] && [ "$batch" = 256 ] && continue
      $build/bin/rmt-bench --device $device --model $model --mode $mode --batch "$batch" \
        --img-size $size --amp $amp $iterations --json 2>>$report/report.txt |
        tee -a $report/bench.jsonl
    done
    [ -n "$OFFICIAL" ] && [ -n "$RIVAL" ] || continue
    official=$([ $model = rmt_t ] && echo RMT_T3 || echo RMT_S)
    tuned="--amp bf16 --channels-last --fused-adamw"
    for how in "--amp fp16" "$tuned" "$tuned --compile default"; do
      case "$FULL $mode $batch $how" in 0*infer*compile* | "0 train 256"*compile*) continue ;; esac
      python3 "$RIVAL" --official "$OFFICIAL" --device cuda --model $official --mode $mode \
        --batch "$batch" $how 2>>$report/report.txt | tee -a $report/bench.jsonl
    done
  done; done; done
fi

if want train && [ -n "$DATA" ]; then
  for how in "cuda bf16" "cuda none" "cpu none"; do
    set -- $how
    say "rmt_t at 64 px on $DATA, $EPOCHS epochs, $1 $2"
    $build/bin/rmt-train --data-dir "$DATA" --model rmt_t --img-size 64 --epochs "$EPOCHS" \
      --batch-size 128 --lr 1e-3 --warmup-epochs 1 --scale 0.35 1 --seed 0 --device "$1" --amp "$2" \
      --workers "$(nproc)" --output $report/runs --log-interval 0 2>>$report/report.txt |
      tee -a $report/report.txt
  done
fi
[ $failed = 0 ] && say "done, nothing failed: $report" || say "done, with failures: see $report/report.txt"
exit $failed

#!/bin/sh
# What only a real GPU can show, in MINUTES (9) at most: does this run here, are the results right, how
# fast is it beside PyTorch, and what does compute-sanitizer see. README.md beside this says how to
# read the report; profile.sh is the second call.
#   OUT=DIR        where the results go (out): summary.txt, bench.jsonl, results.tsv, failures.txt
#   BIN=DIR        the programs, and TESTS=FILE the test program (bin/, bin/rmt-tests)
#   OFFICIAL=DIR   folder of the official RMT.py, RIVAL=FILE the script that measures it (rival/)
#   JOBS=8         suites side by side; SUITES="Gelu Softmax" only these
#   STEPS="tests ours pytorch sanitizers twice"   those to run
#   LIMIT=72       seconds for a suite
#   REBUILD=0      where the programs do not start, do not build them again
set -u
: "${OUT:=out}" "${STEPS:=tests ours pytorch sanitizers twice}" "${SUITES:=}"
case $OUT in /*) ;; *) OUT=$PWD/$OUT ;; esac
cd "$(dirname "$0")/../.." || exit 1
. tests/gpu/common.sh
: "${LIMIT:=$((MINUTES * 8))}"
if [ "$EMULATED" = 1 ]; then
  models=rmt_n batches=2 size=64 iterations="--warmup 3 --iters 3"
  epochs=1 trainer="cpu"
  [ -n "$SUITES" ] || SUITES="Gelu Softmax LayerNorm Linear DeviceTensor Memory Resize Splits"
else
  models="rmt_s rmt_t" batches="128 256" size=224 iterations="--warmup 5 --iters 20"
  epochs=3 trainer="cuda --amp bf16"
fi
tuned="--amp bf16 --channels-last --fused-adamw"
for file in results.tsv failures.txt bench.jsonl; do : >"$OUT/$file"; done

# Tasks from the suites of the classes $1, started by $2; $3 is added to their names.
suites() {
  for class in $1; do
    awk -F '\t' -v class="$class" -v only=" $SUITES " '
      $1 == class && (only == "  " || index(only, " " $2 " ")) { print $2 }' "$work/suites"
  done | while read -r suite; do
    printf '%s\t%s\n' "$suite$3" "$2 '$TESTS' --gtest_filter='$suite.*' --gtest_brief=1"
  done
}

tests() {
  [ -s "$work/suites" ] || echo "gpu${tab}*" >"$work/suites"  # which says why there are none
  [ -z "$RIVAL" ] || [ "$EMULATED" = 1 ] || compile_ahead
  threads=RMT_THREADS=$((processors > JOBS ? processors / JOBS : 1))
  suites "gpu product op cpu" "$threads" "" | tasks tests "$JOBS" "$LIMIT" 85
  suites alone "$threads" "" | tasks tests 1 "$LIMIT"
  [ -z "${ahead:-}" ] || kill "$ahead" 2>/dev/null
}
# The compiler of torch.compile keeps what it makes. It starts while the tests run, so that the
# measurements find its work done.
compile_ahead() {
  for model in RMT_S RMT_T3; do
    echo "python3 '$RIVAL' --official '$OFFICIAL' --device cuda --model $model --mode train \
--batch 128 $tuned --compile default --warmup 1 --iters 1"
  done >"$work/ahead.sh"
  timeout "$(budget tests)" sh "$work/ahead.sh" >"$work/ahead.log" 2>&1 &
  ahead=$!
}
tests_table() {
  # shellcheck disable=SC2046
  counts=$(cat $(logs tests) /dev/null | awk '
    /^\[  PASSED  \] [0-9]/ { passed += $4 }
    /^\[  SKIPPED \] [0-9]+ test/ { skipped += $4 }
    /^\[  FAILED  \] [0-9]+ test/ { failed += $4 }
    END { printf "%d tests passed, %d failed, %d skipped", passed, failed, skipped }')
  echo "correctness: suites: $(outcomes tests); $counts"
  not_ok tests
}

ours() {
  for batch in $batches; do for mode in train infer; do for model in $models; do
    printf '%s\t%s\n' "$model $mode $batch" "'$BIN/rmt-bench' --device $device --model $model \
--mode $mode --batch $batch --img-size $size --amp bf16 $iterations --json"
  done; done; done | tasks ours 1 $((MINUTES * 5))
  collect ours
}
ours_table() { echo "ours: $(outcomes ours)" && not_ok ours; }

rival() {  # model, mode, batch, how
  printf '%s\t%s\n' "$1 $2 $3 $4" "python3 '$RIVAL' --official '$OFFICIAL' --device $rival_device \
--model $1 --mode $2 --batch $3 $4"
}
pytorch() {
  if [ "$EMULATED" = 1 ]; then
    rival_device=cpu
    rival RMT_T3 train 2 "--warmup 1 --iters 1"
  else
    rival_device=cuda
    # What the bars are about first; what there is no time left for, last.
    for batch in $batches; do for mode in train infer; do for model in RMT_S RMT_T3; do
      rival $model $mode "$batch" "--amp fp16"
      [ "$mode $batch" != "train 128" ] || rival $model $mode "$batch" "$tuned --compile default"
    done; done; done
  fi | tasks pytorch 1 $((MINUTES * 14))
  collect pytorch
}
pytorch_table() { echo "pytorch: $(outcomes pytorch)" && not_ok pytorch; }

# Two runs of training, loaders and all, must end with the same bits.
twice() {
  run="'$BIN/rmt-train' --epochs $epochs --workers $processors --device $trainer"
  echo "rmt-train twice${tab}mkdir '$work/runs' && cd '$work/runs' &&
    $run --output . --experiment a && $run --output . --experiment b &&
    cmp a/last.safetensors b/last.safetensors" | tr '\n' ' ' | tasks twice 1 $((MINUTES * 10))
}
twice_table() { echo "the same bits twice: $(outcomes twice)" && not_ok twice; }

sanitizers() {
  # Every kernel of ours is in namespace rmt; cuBLAS's are not looked at. Older ones say
  # --kernel-regex.
  only=--kernel-name
  "$sanitizer" --help 2>&1 | grep -q -e "$only" || only=--kernel-regex
  for check in memcheck racecheck synccheck initcheck; do
    # initcheck must see who wrote, so it sees every kernel, in suites without matrix products.
    classes="op product" filter="$only kns=3rmt"
    [ $check != initcheck ] || classes=op filter=""
    suites "$classes" "'$sanitizer' --tool $check $filter --error-exitcode 3" " $check"
  done | sort -t "$tab" -k 1,1 |
    tasks sanitizers $((processors > 2 ? processors : 2)) $((MINUTES * 6))
}
sanitizers_table() {
  for check in memcheck racecheck synccheck initcheck; do
    mkdir -p "$work/$check"
    grep " $check$tab" "$work/sanitizers/results" >"$work/$check/results"
    echo "compute-sanitizer $check: suites: $(outcomes $check)"
    not_ok $check
  done
}

why_not() {
  case $1 in
    pytorch) [ -n "$RIVAL" ] && [ -n "$OFFICIAL" ] || echo "RIVAL and OFFICIAL were not given" ;;
    sanitizers) [ -n "$sanitizer" ] || echo "there is no compute-sanitizer" ;;
  esac
  [ "$1" = pytorch ] || [ "$runs" = 1 ] || echo "the programs do not run here"
}
weight() {
  case $1 in tests) echo 150 ;; ours) echo 60 ;; pytorch) echo 200 ;; twice) echo 30 ;; *) echo 90 ;; esac
}

sanitizer=$(tool compute-sanitizer)
start
[ "$runs" = 1 ] || build_again
"$TESTS" --gtest_list_tests >"$work/list" 2>&1
sh tests/gpu/suites.sh "$work/list" >"$work/suites"
run_steps summary.txt

#!/bin/sh
# Trains rmt_t at 64 px on DATA, a folder of small images, on the GPU in bf16 and in f32 and on the
# CPU, EPOCHS (3) epochs each: the same accuracy up to chance. The logs' last lines are the result.
#   DATA=DIR EPOCHS=3 BIN=DIR OUT=DIR HOW="cuda:bf16 cuda:none cpu:none"   those to run
set -u
: "${DATA:?a folder of images}" "${EPOCHS:=3}" "${BIN:=$(dirname "$0")/../../bin}" "${OUT:=out}"
: "${HOW:=cuda:bf16 cuda:none cpu:none}"
mkdir -p "$OUT"
for how in $HOW; do
  name=$(echo "$how" | tr : -)
  echo "== rmt_t on $DATA, $EPOCHS epochs, ${how%:*}, amp ${how#*:}"
  "$BIN/rmt-train" --data-dir "$DATA" --model rmt_t --img-size 64 --epochs "$EPOCHS" \
    --batch-size 128 --lr 1e-3 --warmup-epochs 1 --scale 0.35 1 --seed 0 --device "${how%:*}" \
    --amp "${how#*:}" --workers "$(nproc)" --output "$OUT" --experiment "train-$name" \
    --log-interval 0 2>&1 | tail -n "$((EPOCHS + 4))" | tee "$OUT/train-$name.txt"
done

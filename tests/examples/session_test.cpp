// All that a user does with one set of images, on several threads, with the programs as they were
// built: in a build with sanitizers (SAN=1, SAN=thread) these look at whole programs here.
#include "core/error.h"
#include "tests/examples/programs.h"
#include "tests/train/small_images.h"

namespace rmt::test {
namespace {

const std::string kTrain =
    "\"$BIN\"/rmt-train --model rmt_n --img-size 32 -b 8 --warmup-epochs 0 --lr 1e-3 --threads 3 "
    "-j 3 --mixup 0.8 --cutmix 1 --aa rand-m9-mstd0.5-inc1 --reprob 0.25 --model-ema "
    "--recovery-interval 1 --checkpoint-hist 2 ";

}  // namespace

TEST_F(Programs, ASessionFromCheckingToClassifying) {
  draw_small_images(data);
  auto done = [&](const std::string& script, const std::string& part) {
    const Result r = shell(script);
    EXPECT_EQ(r.status, 0) << script << "\n" << r.text;
    EXPECT_NE(r.text.find(part), std::string::npos) << script << "\n" << r.text;
  };
  done("\"$BIN\"/rmt-data check --data-dir data", "24 images");
  done("\"$BIN\"/rmt-data pack --data-dir data --out packed --size 40", "24");
  done(kTrain + "--data-dir data --experiment run --epochs 2", "epoch 2/2");
  done(kTrain + "--data-dir packed --experiment packed --epochs 1", "epoch 1/1");
  // Asked to stop as soon as its folder is there: it ends a step, saves and says so.
  const std::string stopped = kTrain + "--data-dir data --experiment stopped --epochs 200";
  done("(" + stopped + " & pid=$!; until [ -e output/stopped/last.safetensors ]; do sleep 0.1; " +
           "done; kill -TERM $pid; wait $pid)",
       "stopped by SIGTERM");
  done("\"$BIN\"/rmt-train --resume output/run --epochs 3", "epoch 3/3");
  done("\"$BIN\"/rmt-eval output/run --threads 3 -j 3 --worst 2", "top-1");
  done("\"$BIN\"/rmt-classify output/run data/val/dark/0.jpg --threads 3", "%");
  done("\"$BIN\"/rmt-convert output/run model.safetensors", "");
  done("\"$BIN\"/rmt-look output/run data/val/dark/0.jpg --out look.png", "");
  done("\"$BIN\"/rmt-curves a=output/run/log.jsonl", "");
}

}  // namespace rmt::test

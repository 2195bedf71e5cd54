// What may replace the last good checkpoint, and what may not.
#include "train/saving.h"
#include "tests/train/run/accuracy.h"

#include <cmath>
#include <filesystem>

#include "tests/train/tiny_run.h"

namespace rmt::test {
namespace fs = std::filesystem;

namespace {

// A model and its optimizer between two steps, and the folder that they are saved to.
struct SavingTest : TrainerTest {
  TrainOptions options = tiny_options(data);
  nn::Rmt model{tiny()};
  Optimizer optimizer{model.parameters(), {}, {}, model.state()};
  Progress progress;
  RunFolder run = new_run("run");

  SavingTest() {
    model.init(1);
    options.checkpoint_hist = 1;
  }
  Saving saving() { return {model, optimizer, progress, options, {"dark", "light"}, {}}; }
  std::string last() { return read_file(run / "last.safetensors", 64 << 20); }
  bool next() { return fs::exists(run / "next.safetensors"); }
};

}  // namespace

TEST_F(SavingTest, WhatIsNotFiniteReplacesNothing) {
  Saving saving = this->saving();
  saving.open(run);
  EXPECT_TRUE(saving.last());
  const std::string good = last();
  EXPECT_TRUE(saving.saved_all());
  Tensor& moment = optimizer.slots().back().exp_avg_sq;
  for (Tensor* x : {&moment, &optimizer.slots().front().exp_avg, model.parameters()[3].tensor}) {
    const Tensor before = x->clone();
    for (const double bad : {HUGE_VAL, std::nan("")}) {
      x->data<float>()[x->numel() - 1] = float(bad);
      testing::internal::CaptureStderr();
      EXPECT_FALSE(saving.last());
      EXPECT_NE(testing::internal::GetCapturedStderr().find("numbers that are not finite"),
                std::string::npos);
      EXPECT_EQ(last(), good);
    }
    x->copy_from(before);
  }
  EXPECT_FALSE(saving.saved_all());
  EXPECT_TRUE(saving.last());
}

TEST_F(SavingTest, InsideAnEpochACheckpointWaitsForAStepThatCounts) {
  Saving saving = this->saving();
  saving.open(run);
  EXPECT_TRUE(saving.last());
  const std::string good = last();
  progress.now.steps = 7;
  saving.inside_epoch();
  EXPECT_TRUE(next() && last() == good);
  progress.skipped_in_a_row = 1;  // the next step shows that the weights are ruined
  saving.inside_epoch();
  EXPECT_TRUE(next() && last() == good && saving.saved_all());
  EXPECT_FALSE(saving.last()) << "a signal, while steps are skipped";
  EXPECT_TRUE(!next() && last() == good);
  EXPECT_FALSE(saving.saved_all());

  progress.skipped_in_a_row = 0;
  saving.inside_epoch();
  saving.step_counted();
  EXPECT_FALSE(next());
  EXPECT_NE(last(), good);
  saving.inside_epoch();
  progress.skipped_in_a_row = 2;
  progress.epoch = options.epochs - 1;
  saving.epoch({.epoch = options.epochs - 2}, false);
  EXPECT_TRUE(next()) << "the end of an epoch waits as well";
  progress.epoch = options.epochs;
  saving.epoch({.epoch = options.epochs - 1}, false);
  EXPECT_FALSE(next()) << "but for the last: no step comes after it";
  EXPECT_EQ(nlohmann::json::parse(
                read_safetensors(run / "last.safetensors").metadata.at("progress"))["epoch"],
            options.epochs);
}

TEST_F(SavingTest, AHistoryThatCannotBeRemovedIsAWarning) {
  Saving saving = this->saving();
  saving.open(run);
  fs::create_directories(run / "checkpoint-0.safetensors/full");
  testing::internal::CaptureStderr();
  saving.epoch({.epoch = 0, .test = accuracy(10)}, false);
  saving.epoch({.epoch = 1, .test = accuracy(20)}, false);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find("checkpoint-0.safetensors: cannot remove"), std::string::npos) << text;
  EXPECT_TRUE(fs::exists(run / "last.safetensors"));
  EXPECT_FALSE(saving.saved_all());
}

// Two epochs; then a rate that ruins the weights in one step; then a sensible one again.
TEST_F(TrainerTest, ARateThatRuinsTheWeightsDoesNotRuinTheCheckpoint) {
  TrainOptions options = tiny_options(data);
  options.epochs = 2;
  RunFolder run = new_run("run");
  EXPECT_TRUE(TinyRun(options).trainer.run(run));
  auto resumed = [&](double lr, const std::function<void(Trainer&)>& f) {
    options.epochs = 4;
    options.lr = lr;
    options.recovery_interval = 1;
    options.max_skipped_steps = 3;
    TinyRun again(options);
    again.trainer.resume(read_safetensors(run / "last.safetensors"));
    f(again.trainer);
  };
  resumed(1e30, [&](Trainer& trainer) {
    expect_error([&] { trainer.run(run); }, {"the last checkpoint is kept in"});
  });
  resumed(0.01, [&](Trainer& trainer) { EXPECT_TRUE(trainer.run(run)); });
  EXPECT_EQ(log_of(run).size(), 4u);
}

}  // namespace rmt::test

#include "train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/train/tiny_run.h"

namespace rmt::test {
namespace fs = std::filesystem;

TEST_F(TrainerTest, LearnsAndLeavesARunFolder) {
  RunFolder folder_of_run = new_run("run");
  TinyRun run(tiny_options(data));
  EXPECT_TRUE(run.trainer.run(folder_of_run));
  std::vector<nlohmann::json> log = log_of(folder_of_run);
  ASSERT_EQ(log.size(), 4u);
  EXPECT_LT(log[3]["train_loss"], log[0]["train_loss"]);
  EXPECT_GT(log[3]["test_acc1"], 50.) << "dark and light are not told apart";
  EXPECT_EQ(log[0]["n_parameters"], run.model.parameter_count());
  EXPECT_DOUBLE_EQ(log[0]["train_lr"], (1e-6 + (1e-6 + 0.75 * (0.01 - 1e-6))) / 2)
      << "mean over the 4 steps of the warm-up";

  // The first epoch with the highest top-1 is the best one.
  int64_t best_epoch = 0;
  for (int64_t e = 1; e < 4; ++e)
    if (log[size_t(e)]["test_acc1"] > log[size_t(best_epoch)]["test_acc1"]) best_epoch = e;
  nlohmann::json progress = nlohmann::json::parse(
      read_safetensors(folder_of_run / "last.safetensors").metadata.at("progress"));
  EXPECT_EQ(progress["best_epoch"], best_epoch);
  EXPECT_EQ(progress["best_acc1"], log[size_t(best_epoch)]["test_acc1"]);

  // best holds the model alone, under names that the model itself has; last holds what a resume
  // needs.
  Archive best = read_safetensors(folder_of_run / "best.safetensors"),
          last = read_safetensors(folder_of_run / "last.safetensors");
  EXPECT_EQ(best.tensors.size(), run.model.state().size());
  EXPECT_EQ(last.tensors.size(), run.model.state().size() + 3 * run.model.parameters().size());
  EXPECT_EQ(description_of(best).classes, (std::vector<std::string>{"dark", "light"}));
  EXPECT_EQ(options_from_json(description_of(best).options, "").img_size, 32);
  EXPECT_NE(run.out.str().find("epoch 4/4"), std::string::npos) << run.out.str();
}

TEST_F(TrainerTest, EveryEpochSeesTheImagesAnew) {
  TrainOptions options = tiny_options(data);
  TinyRun run(options);
  std::set<float> first_pixels;
  Trainer trainer(
      run.model,
      [&](const Tensor& x) {
        if (run.model.mode().training) first_pixels.insert(x.data<float>()[0]);
        return run.model.forward(x);
      },
      run.train, run.val, options, run.out);
  trainer.run(new_run("run"));
  EXPECT_GT(first_pixels.size(), 8u)
      << "of 4 epochs x 4 batches of noise: epochs repeat each other";
}

TEST_F(TrainerTest, FullDiskDoesNotStopTheRun) {
  RunFolder folder_of_run = new_run("run");
  TrainOptions options = tiny_options(data);
  options.epochs = 2;
  TinyRun(options).trainer.run(folder_of_run);
  std::string before = read_file(folder_of_run / "last.safetensors", 1 << 24);

  options.epochs = 3;
  TinyRun run(options);
  run.trainer.resume(read_safetensors(folder_of_run / "last.safetensors"));
  testing::internal::CaptureStderr();
  bool saved = true;
  {
    FileSizeLimit limit(2000);
    saved = run.trainer.run(folder_of_run);
  }
  EXPECT_FALSE(saved);
  std::string warnings = testing::internal::GetCapturedStderr();
  EXPECT_NE(warnings.find("last.safetensors: cannot write: File too large"), std::string::npos)
      << warnings;
  EXPECT_NE(run.out.str().find("epoch 3/3"), std::string::npos) << "it went on to the end";
  EXPECT_EQ(read_file(folder_of_run / "last.safetensors", 1 << 24), before);
  EXPECT_FALSE(fs::exists(folder_of_run / "last.safetensors.tmp"));
}

TEST_F(TrainerTest, ABadImageIsNamedAndReplaced) {
  std::ofstream(data + "/train/dark/0.jpg", std::ios::trunc) << "no image";
  std::ofstream(data + "/val/light/zero.png", std::ios::trunc);
  RunFolder folder_of_run = new_run("run");
  TrainOptions options = tiny_options(data);
  options.epochs = 2;
  options.batch_size = 24;
  TinyRun run(options);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(run.trainer.run(folder_of_run));
  std::string warnings = testing::internal::GetCapturedStderr();
  auto log = log_of(folder_of_run);
  ASSERT_EQ(log[0]["bad_images"].size(), 2u);
  EXPECT_EQ(log[1]["bad_images"].size(), 0u) << "named once";
  for (const char* name : {"train/dark/0.jpg", "val/light/zero.png"}) {
    EXPECT_NE(log[0]["bad_images"].dump().find(name), std::string::npos) << log[0]["bad_images"];
    EXPECT_NE(warnings.find(name), std::string::npos) << warnings;
  }
  options.max_bad_images = 0;
  expect_error([&] { TinyRun(options).trainer.run(new_run("none")); },
               {"could not be read", "dark/0.jpg"});
}

TEST_F(TrainerTest, NonFiniteLossStopsAndKeepsTheCheckpoint) {
  RunFolder folder_of_run = new_run("run");
  TrainOptions options = tiny_options(data);
  options.max_skipped_steps = 0;
  TinyRun run(options);
  int64_t steps = 4;  // an epoch
  Trainer trainer(
      run.model,
      [&](const Tensor& x) {
        Tensor logits = run.model.forward(x);
        if (run.model.mode().training && run.model.mode().step == steps + 1)
          logits.fill(std::nan(""));
        return logits;
      },
      run.train, run.val, options, run.out);
  expect_error([&] { trainer.run(folder_of_run); },
               {"the loss is nan at step 5",
                "the last checkpoint is kept in " + folder_of_run.path(), "--lr"});
  TinyRun after(options);
  EXPECT_NO_THROW(after.trainer.resume(read_safetensors(folder_of_run / "last.safetensors")));
}

// A step without a finite loss does not count, and neither do the statistics that its forward pass
// made.
TEST_F(TrainerTest, ABadStepIsSkippedNamedAndCounted) {
  TrainOptions options = tiny_options(data);
  options.max_skipped_steps = 1;
  RunFolder folder_of_run = new_run("run");
  TinyRun run(options);
  Trainer trainer(
      run.model,
      [&](const Tensor& x) {
        if (run.model.mode().training && run.model.mode().step % 4 == 2) x.fill(std::nan(""));
        return run.model.forward(x);
      },
      run.train, run.val, options, run.out);
  testing::internal::CaptureStderr();
  EXPECT_TRUE(trainer.run(folder_of_run));
  const std::string warnings = testing::internal::GetCapturedStderr();
  for (int64_t step : {2, 6, 10, 14})
    EXPECT_NE(warnings.find(str("step ", step, " skipped: the loss is nan")), std::string::npos)
        << warnings;
  for (const auto& line : log_of(folder_of_run)) EXPECT_EQ(line["skipped_steps"], 1);
  for (const nn::Entry& e : run.model.state()) EXPECT_TRUE(e.tensor->all_finite()) << e.name;
}

TEST_F(TrainerTest, BestIsTheBetterOfWeightsAndAverageAndTheHistoryIsOfTheBestEpochs) {
  TrainOptions options = full_options(data);
  options.epochs = 5;
  options.checkpoint_hist = 2;
  RunFolder folder_of_run = new_run("run");
  TinyRun run(options);
  EXPECT_TRUE(run.trainer.run(folder_of_run));
  std::vector<nlohmann::json> log = log_of(folder_of_run);
  ASSERT_EQ(log.size(), 5u);
  std::vector<std::pair<double, int>> ranked;
  for (int e = 0; e < 5; ++e)
    ranked.emplace_back(-std::max(log[size_t(e)]["test_acc1"].get<double>(),
                                  log[size_t(e)]["test_ema_acc1"].get<double>()),
                        e);
  std::sort(ranked.begin(), ranked.end());
  std::set<std::string> want, found;
  for (int i = 0; i < 2; ++i)
    want.insert(str("checkpoint-", ranked[size_t(i)].second, ".safetensors"));
  for (const auto& file : fs::directory_iterator(folder_of_run.path()))
    if (file.path().filename().string().starts_with("checkpoint-"))
      found.insert(file.path().filename());
  EXPECT_EQ(found, want);
  const nlohmann::json& best = log[size_t(ranked[0].second)];
  const Archive file = read_safetensors(folder_of_run / "best.safetensors");
  EXPECT_EQ(file.metadata.count("weights"), best["test_ema_acc1"] > best["test_acc1"] ? 1u : 0u);
  EXPECT_EQ(file.tensors.size(), run.model.state().size());
  // The averages are others than the weights, and of statistics too.
  const Archive last = read_safetensors(folder_of_run / "last.safetensors");
  for (const char* name : {"head.weight", "norm.running_var"})
    EXPECT_NE(
        std::memcmp(last.at(name).raw(), last.at(std::string("optimizer.average.") + name).raw(),
                    last.at(name).nbytes()),
        0)
        << name;
}

TEST_F(TrainerTest, MoreImagesInABatchThanInTheFolder) {
  TrainOptions options = tiny_options(data);
  options.batch_size = 25;
  expect_error([&] { TinyRun{options}; }, {"24 images", "batch of 25"});
}

}  // namespace rmt::test

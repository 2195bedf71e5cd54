// A run that is stopped anywhere and goes on ends with the same bits.
#include "train/trainer.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "core/cuda/device.h"
#include "core/parallel.h"
#include "tests/train/tiny_run.h"
#include "train/stop.h"

namespace rmt::test {
namespace fs = std::filesystem;

TEST_F(TrainerTest, ResumedRunEqualsTheUninterruptedOneBitForBit) {
  TrainOptions options = tiny_options(data);
  RunFolder straight = new_run("straight"), broken = new_run("broken");
  TinyRun(options).trainer.run(straight);

  // Stops after epoch 2 of 4: validation breaks there, as a kill would have stopped it.
  TinyRun first(options);
  int evaluations = 0;
  nn::Rmt& model = first.model;
  Trainer stopping(
      model,
      [&](const Tensor& x) {
        CHECK(model.mode().training || ++evaluations <= 2 * 2, "stop");
        return model.forward(x);
      },
      first.train, first.val, options, first.out);
  EXPECT_THROW(stopping.run(broken), Error);
  broken.append({.epoch = 2});  // logged, but killed before its checkpoint

  int before = threads();
  set_threads(3);  // neither these nor the loader's change anything
  options.workers = 1;
  TinyRun second(options);
  second.trainer.resume(read_safetensors(broken / "last.safetensors"));
  second.trainer.run(RunFolder::open(broken.path()));
  set_threads(before);

  Archive a = read_safetensors(straight / "last.safetensors"),
          b = read_safetensors(broken / "last.safetensors");
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (auto& [name, x] : a.tensors)
    EXPECT_EQ(std::memcmp(x.raw(), b.at(name).raw(), x.nbytes()), 0) << name;
  EXPECT_EQ(a.metadata.at("progress"), b.metadata.at("progress"));
  std::vector<nlohmann::json> log_a = log_of(straight), log_b = log_of(broken);
  ASSERT_EQ(log_a.size(), log_b.size());
  for (size_t i = 0; i < log_a.size(); ++i)
    for (const char* name :
         {"epoch", "train_loss", "train_lr", "test_loss", "test_acc1", "test_acc5"})
      EXPECT_EQ(log_a[i][name], log_b[i][name]) << name;
}

// A whole run on the GPU, emulated or real: bytes from the loader, steps that are recorded and
// repeated, evaluation between them, checkpoints, resume.
TEST_F(TrainerTest, OnAGpuItLearnsResumesAndEvaluatesAsOnTheCpu) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  const Compute gpu{Device::cuda, DType::f32};
  TrainOptions options = tiny_options(data);
  options.epochs = 2;
  options.batch_size = 8;  // 3 steps an epoch: the last one is a recording's
  RunFolder straight = new_run("straight"), broken = new_run("broken");
  TinyRun whole(options, gpu);
  EXPECT_TRUE(whole.trainer.run(straight));

  // After the first epoch of another it goes on in a new model, whose first steps run as they are
  // where the other's were repeated.
  {
    TinyRun first(options, gpu);
    int evaluations = 0;
    Trainer stopping(
        first.model,
        [&](const Tensor& x) {
          CHECK(first.model.mode().training || ++evaluations <= 1, "stop");
          return first.model.forward(x);
        },
        first.train, first.val, options, first.out, gpu);
    EXPECT_THROW(stopping.run(broken), Error);
  }
  TinyRun second(options, gpu);
  second.trainer.resume(read_safetensors(broken / "last.safetensors"));
  second.trainer.run(RunFolder::open(broken.path()));
  const Archive a = read_safetensors(straight / "last.safetensors"),
                b = read_safetensors(broken / "last.safetensors");
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (auto& [name, x] : a.tensors)
    EXPECT_EQ(std::memcmp(x.raw(), b.at(name).raw(), x.nbytes()), 0) << name;

  // The CPU reads what the GPU wrote and finds the same.
  TinyRun here(options);
  here.trainer.resume(a);
  Loader loader(here.val, loader_options(options, false));
  const Metrics m = evaluate(
      here.model, [&](const Tensor& x) { return here.model.forward(x); }, loader);
  const std::vector<nlohmann::json> log = log_of(straight);
  ASSERT_EQ(log.size(), 2u);
  EXPECT_NEAR(m.loss(), log[1]["test_loss"], 1e-5)
      << "f32 on both: a loss of order 1 after some hundred roundings";
  EXPECT_NE(log[0]["train_loss"], log[1]["train_loss"]);
}

TEST_F(TrainerTest, KilledAtAnyStepItResumesInMidEpochBitForBit) {
  TrainOptions options = full_options(data);
  options.recovery_interval = 1;
  RunFolder straight = new_run("straight");
  TinyRun whole(options);
  EXPECT_TRUE(whole.trainer.run(straight));
  for (int64_t kill_at : {2, 3, 4, 5, 8}) {
    RunFolder broken = new_run(str("broken", kill_at));
    run_and_die(options, broken, kill_at);
    TinyRun second(options);
    const Archive last = read_safetensors(broken / "last.safetensors");
    // Of the step before the last a checkpoint would be, and waits for the one that it died in.
    EXPECT_EQ(nlohmann::json::parse(last.metadata.at("progress"))["steps"],
              std::max<int64_t>(0, kill_at % 3 - 1));
    second.trainer.resume(last);
    EXPECT_TRUE(second.trainer.run(RunFolder::open(broken.path())));
    expect_same_end(straight, broken);
  }
}

TEST_F(TrainerTest, ASignalSavesAndTheRunGoesOnBitForBit) {
  const TrainOptions options = full_options(data);
  RunFolder straight = new_run("straight");
  TinyRun whole(options);
  EXPECT_TRUE(whole.trainer.run(straight));
  // In a step of the first epoch, in the last step of the second, and in the evaluation after it. An
  // evaluation looks at 3 batches with the weights and again with their average: the 7th time is
  // with the second epoch's weights, the 10th with the average in their place.
  for (auto [training, at, signal] :
       {std::tuple{true, 1, SIGTERM}, {true, 5, SIGINT}, {false, 6, SIGTERM}, {false, 9, SIGINT}}) {
    RunFolder broken = new_run(str("broken", training, at));
    TinyRun first(options);
    int evaluated = 0;
    bool raised = false;  // a second one would be the end of the process
    Trainer stopping(
        first.model,
        [&, training = training, at = at, signal = signal](const Tensor& x) {
          const nn::Mode& mode = first.model.mode();
          if (mode.training == training && (training ? mode.step : evaluated++) == at &&
              !std::exchange(raised, true))
            ::raise(signal);
          return first.model.forward(x);
        },
        first.train, first.val, options, first.out);
    EXPECT_TRUE(stopping.run(broken));
    EXPECT_TRUE(stopping.stopped());
    EXPECT_NE(first.out.str().find(str("stopped by ", signal == SIGINT ? "SIGINT" : "SIGTERM")),
              std::string::npos)
        << first.out.str();
    StopSignals::forget();
    TinyRun second(options);
    second.trainer.resume(read_safetensors(broken / "last.safetensors"));
    EXPECT_TRUE(second.trainer.run(RunFolder::open(broken.path())));
    EXPECT_FALSE(second.trainer.stopped());
    expect_same_end(straight, broken);
  }
}

TEST_F(TrainerTest, OtherImagesOrStepsThanBeforeAreRefusedUnlessForced) {
  TrainOptions options = full_options(data);
  options.recovery_interval = 1;
  RunFolder folder_of_run = new_run("run");
  run_and_die(options, folder_of_run, 5);
  const Archive last = read_safetensors(folder_of_run / "last.safetensors");

  TrainOptions smaller = options;
  smaller.batch_size = 2;
  expect_error([&] { TinyRun(smaller).trainer.resume(last); },
               {"after 1 steps of 8 images in epoch 2", "a step is 4 now", "--force-resume"});
  EXPECT_NO_THROW(TinyRun(smaller).trainer.resume(last, true));

  // The same number of images, and yet others: a class renamed, a file renamed, a file replaced.
  auto expect_refused = [&](const std::string& what) {
    expect_error([&] { TinyRun(options).trainer.resume(last); }, {what, "--force-resume"});
    EXPECT_NO_THROW(TinyRun(options).trainer.resume(last, true));
  };
  auto rename = [&](const std::string& from, const std::string& to) {
    fs::rename(data + "/" + from, data + "/" + to);
  };
  rename("train/dark", "train/dim"), rename("val/dark", "val/dim");
  expect_refused("class 0 was \"dark\" when the run began");
  rename("train/dim", "train/dark"), rename("val/dim", "val/dark");
  rename("train/dark/0.jpg", "train/dark/0a.jpg");
  expect_refused("the training images in " + data + " are not those");
  rename("train/dark/0a.jpg", "train/dark/0.jpg");
  fs::resize_file(data + "/val/dark/1.jpg", fs::file_size(data + "/val/dark/1.jpg") + 1);
  expect_refused("the validation images in " + data + " are not those");
  fs::resize_file(data + "/val/dark/1.jpg", fs::file_size(data + "/val/dark/1.jpg") - 1);
  // The data moved elsewhere is the same; and an older file does not know of it.
  fs::rename(data, folder / "moved");
  TrainOptions moved = options;
  moved.data_dir = folder / "moved";
  EXPECT_NO_THROW(TinyRun(moved).trainer.resume(last));
  fs::rename(folder / "moved", data);
  Archive older = last;
  older.metadata["data"] = "{\"classes\":2,\"train_images\":24,\"test_images\":8}";
  fs::resize_file(data + "/train/light/2.jpg", fs::file_size(data + "/train/light/2.jpg") + 1);
  expect_refused("the training images in");
  EXPECT_NO_THROW(TinyRun(options).trainer.resume(older));

  fs::copy(data + "/train/dark/0.jpg", data + "/train/dark/another.jpg");
  expect_error([&] { TinyRun(options).trainer.resume(last); },
               {"began with 24 training images", "has 25", "--force-resume"});
  TinyRun forced(options);
  forced.trainer.resume(last, true);
  EXPECT_TRUE(forced.trainer.run(RunFolder::open(folder_of_run.path())));
  EXPECT_EQ(log_of(folder_of_run).size(), 3u);
}

}  // namespace rmt::test

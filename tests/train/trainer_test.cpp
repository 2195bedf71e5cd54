#include "train/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/cuda/device.h"
#include "core/files/files.h"
#include "core/parallel.h"
#include "data/sets/image_folder.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "tests/train/small_images.h"
#include "tests/train/tiny_model.h"
#include "train/stop.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

namespace fs = std::filesystem;

TrainOptions tiny_options(const std::string& data) {
  TrainOptions o;
  o.data_dir = data, o.model = "tiny", o.img_size = 32, o.epochs = 4, o.batch_size = 5, o.lr = 0.01,
  o.warmup_epochs = 1, o.log_interval = 0;
  return o;
}

// What a program does: images, model, trainer, run.
struct TinyRun {
  TrainOptions options;
  ImageFolder train, val;
  nn::Rmt model;
  std::ostringstream out;
  Trainer trainer;

  explicit TinyRun(const TrainOptions& o, const Compute& compute = {})
      : options(o),
        train(o.data_dir, "train"),
        val(o.data_dir, "val", train.classes()),
        model(tiny()),
        trainer(
            prepared(compute), [this](const Tensor& x) { return model.forward(x); }, train, val, o,
            out, compute) {}
  nn::Rmt& prepared(const Compute& compute) {
    model.init(options.seed);
    compute.prepare(model);
    return model;
  }
};

struct TrainerTest : testing::Test {
  TemporaryFolder folder;
  std::string data = folder / "data";
  TrainerTest() { draw_small_images(data); }
  RunFolder new_run(const std::string& name) {
    return RunFolder::create(folder.path(), name, "tiny", 32);
  }
};

std::vector<nlohmann::json> log_of(const RunFolder& run) {
  std::vector<nlohmann::json> out;
  std::istringstream in(read_file(run / "log.jsonl", 1 << 20));
  for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

}  // namespace

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
  EXPECT_EQ(describe(best).classes, (std::vector<std::string>{"dark", "light"}));
  EXPECT_EQ(options_from_json(describe(best).options, "").img_size, 32);
  EXPECT_NE(run.out.str().find("epoch 4/4"), std::string::npos) << run.out.str();
}

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
  options.epochs = 2, options.batch_size = 8;  // 3 steps an epoch: the last one is a recording's
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
  options.epochs = 2, options.batch_size = 24;
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

// --- a run that is stopped anywhere and goes on ends with the same bits ---

namespace {

struct Stopped : std::exception {};

// A run that ends in the forward pass of a step, as a kill would end it.
void run_and_die(const TrainOptions& options, const RunFolder& folder_of_run, int64_t step) {
  TinyRun run(options);
  nn::Rmt& model = run.model;
  Trainer dying(
      model,
      [&](const Tensor& x) {
        if (model.mode().training && model.mode().step == step) throw Stopped();
        return model.forward(x);
      },
      run.train, run.val, options, run.out);
  EXPECT_THROW(dying.run(folder_of_run), Stopped);
}

void expect_same_end(const RunFolder& a, const RunFolder& b) {
  for (const char* name : {"last.safetensors", "best.safetensors"}) {
    const Archive x = read_safetensors(a / name), y = read_safetensors(b / name);
    ASSERT_EQ(x.tensors.size(), y.tensors.size());
    for (auto& [key, tensor] : x.tensors)
      ASSERT_EQ(std::memcmp(tensor.raw(), y.at(key).raw(), tensor.nbytes()), 0)
          << name << ", " << key;
  }
  std::vector<nlohmann::json> log_a = log_of(a), log_b = log_of(b);
  ASSERT_EQ(log_a.size(), log_b.size());
  for (size_t i = 0; i < log_a.size(); ++i)
    for (const char* name : {"epoch", "train_loss", "train_lr", "test_loss", "test_acc1",
                             "test_acc5", "test_ema_loss", "test_ema_acc1"})
      EXPECT_EQ(log_a[i].value(name, nlohmann::json()), log_b[i].value(name, nlohmann::json()))
          << name;
}

// All that a recipe can switch on: averages, accumulation, clipping, repeated augmentation, mixing,
// erasing, drop path.
TrainOptions full_options(const std::string& data) {
  TrainOptions o = tiny_options(data);
  o.epochs = 3, o.batch_size = 4, o.grad_accum_steps = 2, o.model_ema = true,
  o.model_ema_decay = 0.8, o.clip_grad = 1, o.aug_repeats = 2;
  o.mixup = 0.8, o.cutmix = 1, o.mixup_off_epoch = 2, o.reprob = 0.5, o.aa = "rand-m9-mstd0.5-inc1";
  return o;  // 24 images: 3 steps an epoch
}

}  // namespace

TEST_F(TrainerTest, KilledAtAnyStepItResumesInMidEpochBitForBit) {
  TrainOptions options = full_options(data);
  options.recovery_interval = 1;
  RunFolder straight = new_run("straight");
  TinyRun whole(options);
  EXPECT_TRUE(whole.trainer.run(straight));
  for (int64_t kill_at : {1, 2, 3, 5, 7, 8}) {
    RunFolder broken = new_run(str("broken", kill_at));
    run_and_die(options, broken, kill_at);
    TinyRun second(options);
    const Archive last = read_safetensors(broken / "last.safetensors");
    EXPECT_EQ(nlohmann::json::parse(last.metadata.at("progress"))["steps"], kill_at % 3);
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
  // In a step of the first epoch, in the last step of the second, in the evaluation after it (the
  // 13th batch: 2 evaluations an epoch of 2 batches, and then).
  for (auto [training, at, signal] :
       {std::tuple{true, 1, SIGTERM}, {true, 5, SIGINT}, {false, 5, SIGTERM}}) {
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

TEST_F(TrainerTest, BestIsTheBetterOfWeightsAndAverageAndTheHistoryIsOfTheBestEpochs) {
  TrainOptions options = full_options(data);
  options.epochs = 5, options.checkpoint_hist = 2;
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

TEST_F(TrainerTest, OtherImagesOrStepsThanBeforeAreRefusedUnlessForced) {
  TrainOptions options = full_options(data);
  options.recovery_interval = 1;
  RunFolder folder_of_run = new_run("run");
  run_and_die(options, folder_of_run, 4);
  const Archive last = read_safetensors(folder_of_run / "last.safetensors");

  TrainOptions smaller = options;
  smaller.batch_size = 2;
  expect_error([&] { TinyRun(smaller).trainer.resume(last); },
               {"after 1 steps of 8 images in epoch 2", "a step is 4 now", "--force-resume"});
  EXPECT_NO_THROW(TinyRun(smaller).trainer.resume(last, true));

  fs::copy(data + "/train/dark/0.jpg", data + "/train/dark/another.jpg");
  expect_error([&] { TinyRun(options).trainer.resume(last); },
               {"began with 24 training images", "has 25", "--force-resume"});
  TinyRun forced(options);
  forced.trainer.resume(last, true);
  EXPECT_TRUE(forced.trainer.run(RunFolder::open(folder_of_run.path())));
  EXPECT_EQ(log_of(folder_of_run).size(), 3u);
}

TEST_F(TrainerTest, MoreImagesInABatchThanInTheFolder) {
  TrainOptions options = tiny_options(data);
  options.batch_size = 25;
  expect_error([&] { TinyRun{options}; }, {"24 images", "batch of 25"});
}

TEST(Metrics, CountsRanksAndMeanLoss) {
  Metrics m;
  // Ranks 0, 1 and 5 of the label; NaN logits are never right.
  float nan = std::nanf("");
  m.add(
      Tensor::from<float>({9, 1, 2, 3, 4, 5, /**/ 9, 8, 0, 0, 0, 0, /**/ 5, 4, 3, 2, 1, 0}, {3, 6}),
      Tensor::from<int64_t>({0, 1, 5}, {3}));
  EXPECT_EQ(m.top1, 1);
  EXPECT_EQ(m.top5, 2);
  EXPECT_DOUBLE_EQ(m.acc1(), 100. / 3);
  m.add(Tensor::from<float>({nan, nan, nan, nan, nan, nan}, {1, 6}),
        Tensor::from<int64_t>({0}, {1}));
  m.add(Tensor::from<float>({nan}, {1, 1}), Tensor::from<int64_t>({0}, {1}));
  EXPECT_EQ(m.top1, 1);
  EXPECT_EQ(m.top5, 2);

  Metrics loss;  // means over samples, not over batches: log 2 twice and log 4 once
  loss.add(Tensor::zeros({2, 2}), Tensor::from<int64_t>({0, 1}, {2}));
  loss.add(Tensor::zeros({1, 4}), Tensor::from<int64_t>({3}, {1}));
  EXPECT_NEAR(loss.loss(), (2 * std::log(2.) + std::log(4.)) / 3, 4 * 0x1p-24);
}

}  // namespace rmt::test

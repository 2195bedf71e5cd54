// A whole run of a tiny model on 24 + 12 small images, for the tests of the training loop.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/files/files.h"
#include "data/sets/image_folder.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "tests/train/small_images.h"
#include "tests/train/tiny_model.h"
#include "train/trainer.h"

namespace rmt::test {
using namespace data;
using namespace train;

inline TrainOptions tiny_options(const std::string& data) {
  TrainOptions o;
  o.data_dir = data;
  o.model = "tiny";
  o.img_size = 32;
  o.epochs = 4;
  o.batch_size = 5;
  o.lr = 0.01;
  o.warmup_epochs = 1;
  o.log_interval = 0;
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

inline std::vector<nlohmann::json> log_of(const RunFolder& run) {
  std::vector<nlohmann::json> out;
  std::istringstream in(read_file(run / "log.jsonl", 1 << 20));
  for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
  return out;
}

struct Stopped : std::exception {};

// A run that ends in the forward pass of a step, as a kill would end it.
inline void run_and_die(const TrainOptions& options, const RunFolder& folder_of_run, int64_t step) {
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

inline void expect_same_end(const RunFolder& a, const RunFolder& b) {
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
inline TrainOptions full_options(const std::string& data) {
  TrainOptions o = tiny_options(data);
  o.epochs = 3;
  o.batch_size = 4;
  o.grad_accum_steps = 2;
  o.model_ema = true;
  o.model_ema_decay = 0.8;
  o.clip_grad = 1;
  o.aug_repeats = 2;
  o.mixup = 0.8;
  o.cutmix = 1;
  o.mixup_off_epoch = 2;
  o.reprob = 0.5;
  o.aa = "rand-m9-mstd0.5-inc1";
  return o;  // 24 images: 3 steps an epoch
}

}  // namespace rmt::test

// Training with token labels: its loss in plain numbers, label maps made by a teacher, whole runs.
#include "train/token_labels.h"

#include <cmath>

#include "ops/mean_pool.h"
#include "tests/train/tiny_run.h"
#include "train/label_images.h"

namespace rmt::test {
namespace {

nn::RmtConfig with_token_head(nn::TokenHead head) {
  nn::RmtConfig c = tiny();
  c.token_head = head;
  return c;
}

// A teacher's maps of the training images, in a file of the folder.
std::string make_maps(const std::string& path, nn::Rmt& teacher, const Dataset& images,
                      int64_t most = 1 << 20) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < images.size(); ++i) names.push_back(short_name(images, i));
  data::LabelFileWriter file(
      path, {.height = 2, .width = 2, .top = 2, .classes = images.classes(), .teacher = "tiny"},
      names);
  LabelOptions o;
  o.transform.image_size = 64, o.top = 2, o.batch_size = 5, o.workers = 0;
  label_images(teacher, images, o, {}, file,
               [&](int64_t done, const Metrics&) { return done < most; });
  if (file.done() == images.size()) file.finish();
  return path;
}

struct TokenLabels : TrainerTest {
  nn::Rmt teacher{tiny()};
  ImageFolder images;
  TokenLabels() : images(data, "train") { teacher.init(3); }

  // A run with the maps of `path`.
  struct Run {
    TrainOptions options;
    ImageFolder train, val;
    std::unique_ptr<data::LabelFile> maps;
    nn::Rmt model;
    std::ostringstream out;
    Trainer trainer;
    Run(const TrainOptions& o, const Compute& compute)
        : options(o),
          train(o.data_dir, "train"),
          val(o.data_dir, "val", train.classes()),
          maps(std::make_unique<data::LabelFile>(o.token_label_data)),
          model(with_token_head(nn::TokenHead::tokens)),
          trainer(
              prepared(compute), [this](const Tensor& x) { return model.forward(x); }, train, val,
              o, out, compute, nullptr, maps.get()) {}
    nn::Rmt& prepared(const Compute& compute) {
      model.init(options.seed);
      compute.prepare(model);
      return model;
    }
    std::vector<float> weights() {
      std::vector<float> all;
      for (const nn::Entry& e : model.parameters())
        for (float v : e.tensor->to(Device::cpu).to_vector<float>()) all.push_back(v);
      return all;
    }
  };
  TrainOptions options() {
    TrainOptions o = tiny_options(data);
    o.img_size = 64;
    o.batch_size = 6;
    o.token_label_data = folder / "maps.rmtlabels";
    return resolved(o);
  }
};

}  // namespace

// loss = CE(image) + CE(tokens) / 2 by its definition, for targets whose sums are not 1.
TEST(TokenLabelLoss, InPlainNumbers) {
  const int64_t B = 3, L = 4, K = 5;
  const nn::TokenLogits logits{randn({B, K}, 1), randn({B, 2, 2, K}, 2)};
  Tensor image = randn({B, K}, 3), tokens = randn({B, 2, 2, K}, 4);
  auto entropy = [&](const Tensor& z, const Tensor& t, int64_t rows) {
    double sum = 0;
    for (int64_t r = 0; r < rows; ++r) {
      double exps = 0;
      for (int64_t k = 0; k < K; ++k) exps += std::exp(z.data<double>()[r * K + k]);
      for (int64_t k = 0; k < K; ++k)
        sum -= t.data<double>()[r * K + k] * (z.data<double>()[r * K + k] - std::log(exps));
    }
    return sum / double(rows);
  };
  const double by_definition =
      entropy(logits.image, image, B) + 0.5 * entropy(logits.tokens, tokens, B * L);
  EXPECT_NEAR(token_label_loss(logits, image, tokens).item<double>(), by_definition, 1e-12);
}

TEST(LabelMap, TheLargestLogitsOfATokenInFallingOrder) {
  const std::vector<float> scores = {1, 5, 5, -2, 0, 7, 7, 7};  // 1 x 2 tokens, 4 classes
  const data::LabelMap map = largest_logits(scores.data(), 1, 2, 4, 3);
  EXPECT_EQ(map.classes, (std::vector<int32_t>{1, 2, 0, 1, 2, 3})) << "of equal ones the lower";
  EXPECT_EQ(map.values, (std::vector<float>{5, 5, 1, 7, 7, 7}));
  expect_error([&] { largest_logits(scores.data(), 1, 2, 4, 5); }, {"5 logits of 4 classes"});
}

// The head is linear behind the pooling, so that the mean of what it says of the tokens is what it
// says of the image: to the rounding of sums of 16 projected channels and 6 tokens in f64.
TEST(LabelMap, TheMeanOfTheTokensIsTheImage) {
  for (nn::TokenHead head : {nn::TokenHead::none, nn::TokenHead::projected}) {
    nn::Rmt model(with_token_head(head));
    model.init(7);
    model.to(DType::f64);
    NoGrad off;
    const Tensor x = randn({2, 64, 96, 3}, 3);
    const std::vector<double> mean = ops::mean_pool(model.token_scores(x)).to_vector<double>();
    model.mode().training = false;
    std::vector<double> image;
    if (head == nn::TokenHead::none)
      image = model.forward(x).to_vector<double>();
    else
      image = model.classify_tokens(x).image.to_vector<double>();
    for (size_t i = 0; i < mean.size(); ++i) EXPECT_NEAR(mean[i], image[i], 1e-14);
  }
}

// Stopped after some images, and gone on with: the same file, and the teacher's own answers in it.
TEST_F(TokenLabels, MapsAreWrittenResumedAndReadBack) {
  const std::string whole = make_maps(folder / "whole.rmtlabels", teacher, images);
  const std::string parts = folder / "parts.rmtlabels";
  for (int64_t most : {5, 12, 100}) {
    EXPECT_FALSE(std::filesystem::exists(parts));
    make_maps(parts, teacher, images, most);
  }
  EXPECT_EQ(read_file(parts, 1 << 20), read_file(whole, 1 << 20));

  const data::LabelFile maps(parts);
  EXPECT_EQ(maps.classes(), images.classes());
  NoGrad off;
  teacher.mode().training = false;
  TransformOptions t;
  t.image_size = 64, t.whole = true;
  for (int64_t i : {0, 7, 23}) {
    std::vector<uint8_t> pixels(64 * 64 * 3);
    eval_pixels(images.image(i), t, pixels.data());
    Batch one;
    one.images = Tensor::from<uint8_t>(pixels, {1, 64, 64, 3});
    const Tensor scores = teacher.token_scores(Compute().images(one, t));
    const data::LabelMap want = largest_logits(scores.data<float>(), 2, 2, 2, 2),
                         got = maps.of(short_name(images, i));
    EXPECT_EQ(got.classes, want.classes);
    // Stored as halves: 11 significant bits.
    for (size_t k = 0; k < want.values.size(); ++k)
      EXPECT_NEAR(got.values[k], want.values[k], std::abs(want.values[k]) / 2048 + 1e-7);
  }
}

// The same bits in one go and stopped after a step; the tokens' head has learned, on every device.
TEST_F(TokenLabels, RunsAndResumesToTheSameBits) {
  const TrainOptions o = options();
  make_maps(o.token_label_data, teacher, images);
  Run whole(o, {});
  const std::vector<float> first = whole.weights();
  EXPECT_TRUE(whole.trainer.run(new_run("whole")));
  EXPECT_NE(whole.weights(), first);

  TrainOptions half = o;
  half.recovery_interval = 1;
  Run begun(half, {});
  const RunFolder run = new_run("stopped");
  begun.trainer.run(run);
  const Archive last = read_safetensors(run / "last.safetensors");
  EXPECT_EQ(begun.weights(), whole.weights());
  Run again(o, {});
  again.trainer.resume(last);
  EXPECT_EQ(again.weights(), whole.weights());
  EXPECT_NE(whole.out.str().find("top-1"), std::string::npos);
}

// The first loss is about 1.5 log K: both heads know nothing yet. Their logits deviate by about
// 0.1, which moves a cross entropy by the square of that.
TEST_F(TokenLabels, BeginsAtOneAndAHalfTimesLogK) {
  TrainOptions o = options();
  o.epochs = 1;
  o.lr = 1e-9;
  o.min_lr = o.warmup_lr = 0;
  make_maps(o.token_label_data, teacher, images);
  Run run(o, {});
  const RunFolder to = new_run("first");
  run.trainer.run(to);
  EXPECT_NEAR(log_of(to)[0]["train_loss"].get<double>(), 1.5 * std::log(2), 0.1);
}

TEST_F(TokenLabels, WhatDoesNotFitIsSaid) {
  TrainOptions o = options();
  make_maps(o.token_label_data, teacher, images);
  auto with = [&](auto change) {
    TrainOptions changed = o;
    change(changed);
    return changed;
  };
  expect_error([&] { check(with([](TrainOptions& c) { c.mixup = 0.8; })); },
               {"--mixup", "MixToken"});
  expect_error([&] { check(with([](TrainOptions& c) { c.img_size = 72; })); }, {"--img-size 72"});
  expect_error([&] { check(with([](TrainOptions& c) { c.batch_size = 5; })); },
               {"--batch-size 5", "--no-mix-token"});
  expect_error([&] { check(with([](TrainOptions& c) { c.loss = "bce"; })); }, {"--loss bce"});
  expect_error([&] { check(with([](TrainOptions& c) { c.token_head = "all"; })); },
               {"--token-head all"});
  expect_error([&] { check(with([](TrainOptions& c) { c.token_label_axes = "both"; })); },
               {"--token-label-axes both"});
  expect_error([&] { check(with([](TrainOptions& c) { c.cls_weight = c.dense_weight = 0; })); },
               {"leave no loss"});
  nn::Rmt plain(tiny());
  const data::LabelFile maps(o.token_label_data);
  std::ostringstream out;
  auto trainer = [&](const TrainOptions& options) {
    Trainer(
        plain, [&](const Tensor& x) { return plain.forward(x); }, images, images, options, out, {},
        nullptr, &maps);
  };
  expect_error([&] { trainer(with([](TrainOptions& c) { c.augment_first = false; })); },
               {"augmented first"});
  expect_error([&] { plain.classify_tokens(Tensor::zeros({2, 64, 64, 3})); }, {"no token head"});
  nn::Rmt model(with_token_head(nn::TokenHead::tokens));
  expect_error(
      [&] {
        model.classify_tokens(Tensor::zeros({2, 64, 72, 3}), Tensor::zeros({6}, DType::f64));
      },
      {"multiples of 32"});
}

}  // namespace rmt::test

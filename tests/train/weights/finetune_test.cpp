// Weights of one model into another for other images, and what stays when parts of it are frozen.
#include "train/weights/finetune.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "tests/train/tiny_model.h"
#include "train/trainer.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

nn::RmtConfig tiny_for(int64_t classes) {
  nn::RmtConfig c = tiny();
  c.num_classes = classes;
  return c;
}

// Of a tiny model for these classes, at 48 px.
Pretrained pretrained(nn::Rmt& model, const std::vector<std::string>& classes) {
  Pretrained p;
  p.options.model = "tiny";
  p.options.img_size = 48;
  p.knows_images = true;
  p.classes = classes;
  p.weights = model_archive(model, {"tiny", classes, ""});
  p.weights.path = "old.safetensors";
  return p;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.nbytes()) == 0;
}

std::map<std::string, Tensor> copy_of(nn::Module& model) {
  std::map<std::string, Tensor> out;
  for (const nn::Entry& e : model.state()) out[e.name] = e.tensor->to(Device::cpu).clone();
  return out;
}

// So many steps of a tiny model on noise, frozen as the options say; its state before and after.
struct Tuning {
  nn::Rmt model{tiny()};
  std::map<std::string, Tensor> before, after;

  Tuning(const TrainOptions& o, const Compute& compute, int64_t steps) {
    model.init(5);
    for (const nn::Entry& e : model.parameters())
      if (e.name.find("gamma_") != std::string::npos)
        e.tensor->fill(0.5);  // at their first 1e-6 no gradient would come through
    compute.prepare(model);
    freeze(model.parameters(), parameter_rules(model.parameters(), o));
    before = copy_of(model);
    Optimizer optimizer(model.parameters(), {.adamw = {.weight_decay = 0.1}});
    TrainStep step(model, [this](const Tensor& x) { return model.forward(x); }, optimizer, compute,
                   {.seed = 3});
    Batch batch;
    batch.images = Tensor::empty({4, 64, 64, 3}, DType::u8);
    batch.mirror = Tensor::zeros({4}, DType::u8);
    batch.labels = Tensor::from<int64_t>({0, 1, 1, 0}, {4});
    Random random(1, Purpose::test);
    for (int64_t i = 0; i < batch.images.numel(); ++i)
      batch.images.data<uint8_t>()[i] = uint8_t(random.below(256));
    for (int64_t t = 0; t < steps; ++t) step(batch, t, 1e-2);
    step.finish();
    after = copy_of(model);
  }
  bool stayed(const std::string& name) const { return same_bits(before.at(name), after.at(name)); }
};

}  // namespace

TEST(FineTune, EverythingButTheHeadComesAlong) {
  nn::Rmt old(tiny_for(5)), model(tiny_for(3));
  old.init(1);
  model.init(2);
  const Tensor head = model.head.weight.clone(), bias = model.head.bias.clone();
  TrainOptions o;
  o.model = "tiny";
  o.img_size = 64;
  const std::vector<std::string> lines =
      start_from(model, pretrained(old, {"a", "b", "c", "d", "e"}), {"x", "y", "z"}, o);
  EXPECT_EQ(lines, (std::vector<std::string>{
                       "starting from old.safetensors: tiny", "head: 5 -> 3 classes, made anew",
                       "images: 64 px here, 48 px in the file; every parameter fits any size"}));
  EXPECT_TRUE(same_bits(model.head.weight, head) && same_bits(model.head.bias, bias));
  std::map<std::string, Tensor> from = copy_of(old), now = copy_of(model);
  for (auto& [name, x] : from)
    EXPECT_TRUE(name.starts_with("head.") || same_bits(x, now.at(name))) << name;

  // As many, but others.
  nn::Rmt three(tiny_for(3));
  three.init(4);
  EXPECT_EQ(start_from(three, pretrained(model, {"x", "y", "w"}), {"x", "y", "z"}, o)[1],
            "head: 3 -> 3 other classes, made anew");
  EXPECT_FALSE(same_bits(three.head.weight, model.head.weight));
}

TEST(FineTune, TheRowsOfTheSameClassesFollowTheirNames) {
  nn::Rmt old(tiny_for(3)), model(tiny_for(3));
  old.init(1);
  model.init(2);
  old.head.bias.copy_from(Tensor::from<float>({10, 20, 30}, {3}));
  TrainOptions o;
  o.model = "tiny";
  o.img_size = 48;
  EXPECT_EQ(
      start_from(model, pretrained(old, {"cat", "dog", "emu"}), {"emu", "cat", "dog"}, o).back(),
      "head: kept, its 3 classes put into the order of the images'");
  EXPECT_EQ(model.head.bias.to_vector<float>(), (std::vector<float>{30, 10, 20}));
  const std::vector<float> rows = old.head.weight.to_vector<float>(),
                           moved = model.head.weight.to_vector<float>();
  const size_t C = rows.size() / 3;
  for (size_t k = 0; k < 3; ++k)
    for (size_t c = 0; c < C; ++c) ASSERT_EQ(moved[k * C + c], rows[(k + 2) % 3 * C + c]);

  nn::Rmt same(tiny_for(3)), nameless(tiny_for(3));
  same.init(7);
  nameless.init(8);
  EXPECT_EQ(
      start_from(same, pretrained(old, {"cat", "dog", "emu"}), {"cat", "dog", "emu"}, o).back(),
      "head: kept, the same 3 classes");
  EXPECT_TRUE(same_bits(same.head.weight, old.head.weight));
  EXPECT_EQ(start_from(nameless, pretrained(old, {}), {"emu", "cat", "dog"}, o).back(),
            "head: kept, its 3 classes in their order, since the file does not name them");
  EXPECT_TRUE(same_bits(nameless.head.weight, old.head.weight));
}

TEST(FineTune, WhatDoesNotFitIsNamedWithBothShapes) {
  nn::Rmt old(tiny_for(5)), model(tiny_for(3));
  old.init(1);
  model.init(2);
  const std::map<std::string, Tensor> before = copy_of(model);
  TrainOptions o;
  o.model = "tiny";
  Pretrained p = pretrained(old, {});
  p.weights.tensors["layers.1.blocks.0.ffn.fc1.weight"] = Tensor::zeros({25, 8});
  expect_error(
      [&] {
        start_from(model, p, {"x", "y", "z"}, o);
      },
      {"old.safetensors", "layers.1.blocks.0.ffn.fc1.weight", "(24, 8)", "(25, 8)"});
  p = pretrained(old, {});
  p.weights.tensors.erase("norm.bias");
  expect_error([&] { start_from(model, p, {"x", "y", "z"}, o); }, {"norm.bias", "missing"});
  p.weights.tensors.erase("head.weight");
  expect_error([&] { start_from(model, p, {"x", "y", "z"}, o); }, {"head.weight"});
  for (auto& [name, x] : copy_of(model))
    EXPECT_TRUE(same_bits(x, before.at(name))) << name << " was touched by a failed load";
}

TEST(FineTune, FilesOfEveryKindTokenLabelsLeftOut) {
  TemporaryFolder folder;
  nn::RmtConfig c = nn::rmt_config("rmt_n");
  c.num_classes = 3;
  c.rotary = true;
  c.position_conv = false;
  nn::Rmt model(c);
  model.init(1);
  Archive a = model_archive(model, {"", {}, ""});
  a.tensors["aux_head.weight"] = Tensor::zeros({3, 256});
  a.tensors["aux_head.bias"] = Tensor::zeros({3});
  write_safetensors(folder / "labels.safetensors", a);
  TrainOptions o;
  o.img_size = 96;
  o.mean = {0.1, 0.2, 0.3};
  Pretrained p = read_pretrained(folder / "labels.safetensors");
  TrainOptions with = with_model_of(p, o);
  EXPECT_EQ(with.model, "rmt_n");
  EXPECT_FALSE(with.position_conv);
  EXPECT_EQ(with.img_size, 96) << "the file does not say";
  nn::Rmt next(model_config(with, 4));
  next.init(2);
  EXPECT_EQ(start_from(next, p, {"1", "2", "3", "4"}, with).size(), 3u);

  TrainOptions recorded;  // a run folder says more
  recorded.model = "rmt_n";
  recorded.position_conv = false;
  recorded.img_size = 72;
  recorded.mean = {0.5, 0.5, 0.5};
  recorded.crop_pct = 0.9;
  recorded.lr = 7;
  a = model_archive(model, {"rmt_n", {"a", "b", "c"}, to_json(recorded)});
  std::filesystem::create_directories(folder / "run");
  write_safetensors(folder / "run/best.safetensors", a);
  with = with_model_of(read_pretrained(folder / "run"), o);
  EXPECT_EQ(with.img_size, 72);
  EXPECT_EQ(with.crop_pct, 0.9);
  EXPECT_EQ(with.mean, recorded.mean);
  EXPECT_EQ(with.lr, o.lr) << "of training nothing is taken over";
}

TEST(FineTune, FlagsThatNeedWeights) {
  TrainOptions o;
  check_fine_tuning(o);
  o.freeze = "body";
  expect_error([&] { check_fine_tuning(o); }, {"--freeze body", "--initial-checkpoint"});
  o.initial_checkpoint = "x";
  check_fine_tuning(o);
  o.initial_checkpoint = "";
  o.freeze = "";
  o.layer_decay = 0.9;
  expect_error([&] { check_fine_tuning(o); },
               {"--layer-decay 0.9", "--initial-checkpoint", "--recipe finetune"});
}

TEST(Freeze, TheBodyStaysBitForBitAndTheHeadLearns) {
  TrainOptions o;
  o.freeze = "body";
  const Tuning run(o, {}, 3);
  for (auto& [name, x] : run.before)
    EXPECT_EQ(run.stayed(name), name != "head.weight" && name != "head.bias") << name;
}

TEST(Freeze, APartStaysWithItsStatisticsAndTheRestLearns) {
  TrainOptions o;
  o.freeze = "patch_embed,layers.0,norm";
  const Tuning run(o, {}, 3);
  for (auto& [name, x] : run.before) {
    const bool frozen = name.starts_with("patch_embed.") || name.starts_with("layers.0.") ||
                        name.starts_with("norm.");
    const bool constant =
        name.find("Relpos") != std::string::npos ||
        name.ends_with("k_proj.bias");  // softmax does not see a shift of all keys
    EXPECT_TRUE(constant || run.stayed(name) == frozen) << name;
  }
}

TEST(Freeze, OnAGpuInBf16TheShadowsStayInUse) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  TrainOptions o;
  o.freeze = "body";
  const Tuning run(o, {Device::cuda, DType::bf16}, 4);  // the last two are a recording's
  for (auto& [name, x] : run.before)
    EXPECT_EQ(run.stayed(name), name != "head.weight" && name != "head.bias") << name;
  nn::Rmt& model = const_cast<nn::Rmt&>(run.model);
  for (const nn::Entry& e : model.parameters()) {
    const Tensor shadow = in_dtype(*e.tensor, DType::bf16);
    EXPECT_TRUE(shadow.same_as(in_dtype(*e.tensor, DType::bf16)))
        << e.name << ": a copy is made at each use";
    EXPECT_TRUE(same_bits(shadow.to(Device::cpu), e.tensor->to(DType::bf16).to(Device::cpu)))
        << e.name;
  }
}

TEST(Freeze, NothingIsRecordedBelowWhatLearnsAlsoWithRecompute) {
  nn::RmtConfig c = tiny();
  c.recompute = true;
  nn::Rmt model(c);
  model.init(5);
  const std::vector<nn::Entry> parameters = model.parameters();
  TrainOptions o;
  o.freeze = "body";
  freeze(parameters, parameter_rules(parameters, o));
  model.mode().training = true;
  Tensor y = model.forward(randn({2, 32, 32, 3}).to(DType::f32));
  ASSERT_TRUE(y.node);
  EXPECT_STREQ(y.node->op, "linear");
  EXPECT_FALSE(y.node->inputs[0]) << "the pooled features hang on the tape";
  backward(y, Tensor::full(y.shape(), 1));
  for (const nn::Entry& e : parameters)
    EXPECT_EQ(grad(*e.tensor).defined(), e.name.starts_with("head.")) << e.name;
  model.to(DType::f32);
  EXPECT_TRUE(is_frozen(*parameters[0].tensor)) << "new leaves stay frozen";
  freeze(parameters, std::vector<ParameterRule>(parameters.size()));  // and back
  y = model.forward(randn({2, 32, 32, 3}).to(DType::f32));
  EXPECT_TRUE(y.node->inputs[0]);
  model.to(DType::f64);
  EXPECT_FALSE(is_frozen(*parameters[0].tensor));
}

}  // namespace rmt::test

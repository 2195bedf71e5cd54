// Models by name: what is known, what settings do, what is refused.
#include "nn/models/registry.h"

#include <gtest/gtest.h>

#include <set>

#include "autograd/backward.h"
#include "ops/sum.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

nn::ModelSettings small_images() { return {.num_classes = 5, .img_size = 32}; }

// What a program asks for with the flag of an ablation.
nn::ModelSettings without(const std::string& flag, bool nn::RmtConfig::*field) {
  nn::ModelSettings s = small_images();
  s.ablation = flag;
  s.ablate = [field](nn::RmtConfig& c) { c.*field = false; };
  return s;
}

struct OneNumber : nn::Classifier {
  Tensor& weight = parameter("weight", {1});
  Tensor forward(const Tensor& images) override { return images; }
};
std::unique_ptr<nn::Classifier> make_one_number(const nn::ModelSettings&) {
  return std::make_unique<OneNumber>();
}
const nn::RegisterModel kRegistered("test_model", "one number", make_one_number);

}  // namespace

TEST(Registry, EveryModelTrainsOnSmallImages) {
  for (const nn::ModelEntry& entry : nn::known_models()) {
    if (entry.name == "rmt_b" || entry.name == "rmt_l") continue;  // as rmt_s, and large
    if (entry.name == "test_model") continue;
    SCOPED_TRACE(entry.name);
    const auto model = nn::make_model(entry.name, small_images());
    for (const nn::Entry& e : model->parameters()) e.tensor->fill(0.01);
    model->mode() = {.training = true, .seed = 2, .step = 0};
    const Tensor y = model->forward(randn({2, 32, 32, 3}, 3).to(DType::f32));
    EXPECT_EQ(y.shape(), (Shape{2, 5}));
    EXPECT_TRUE(y.all_finite());
    backward(ops::sum(y));
    std::set<std::string> names;
    for (const nn::Entry& e : model->state()) {
      EXPECT_TRUE(names.insert(e.name).second) << e.name << " is there twice";
      if (!e.parameter) continue;
      ASSERT_TRUE(grad(*e.tensor).defined()) << e.name << " gets no gradient";
      EXPECT_TRUE(grad(*e.tensor).all_finite()) << e.name;
    }
    EXPECT_TRUE(names.contains(model->classifier() + ".weight")) << model->classifier();
  }
}

TEST(Registry, SettingsThatAModelDoesNotHaveAreErrors) {
  for (const char* name : {"deit_s", "swin_t", "vit_n", "resnet_n"})
    expect_error([&] { nn::make_model(name, without("--no-decay", &nn::RmtConfig::decay)); },
                 {"--no-decay", name, "no such part"});
  for (const char* name : {"rmt_deit_s", "rmt_swin_s"}) {
    nn::make_model(name, without("--no-decay", &nn::RmtConfig::decay));
    expect_error([&] { nn::make_model(name, without("--no-ffn-conv", &nn::RmtConfig::ffn_conv)); },
                 {"--no-ffn-conv", name, "no such part"});
    expect_error(
        [&] { nn::make_model(name, without("--no-conv-stem", &nn::RmtConfig::conv_stem)); },
        {"--no-conv-stem", name, "no such part"});
  }
  expect_error([] { nn::make_model("resnet_n", {.drop_path = 0.1}); }, {"--drop-path", "resnet_n"});
  expect_error([] { nn::make_model("resnet_n", {.recompute = true}); },
               {"--grad-checkpointing", "resnet_n"});
}

TEST(Registry, ImagesOfAnotherSizeAreErrors) {
  for (const char* name : {"deit_s", "swin_t", "vit_n"}) {
    const auto model = nn::make_model(name, {.num_classes = 5, .img_size = 64});
    expect_error(
        [&] {
          model->forward(Tensor::zeros({1, 64, 96, 3}));
        },
        {name, "64 x 64", "64 x 96"});
    expect_error([&] { model->forward(Tensor::zeros({1, 3, 64, 64})); }, {name, "(B, H, W, 3)"});
  }
  expect_error([] { nn::make_model("deit_s", {.img_size = 100}); },
               {"deit_s", "16 x 16", "100 x 100"});
  expect_error([] { nn::make_model("swin_t", {.img_size = 97}); }, {"swin_t", "4 x 4", "97 x 97"});
  const auto rmt = nn::make_model("rmt_deit_s", {.num_classes = 5});
  expect_error([&] { rmt->forward(Tensor::zeros({1, 15, 40, 3})); }, {"rmt_deit_s", "15 x 40"});
}

TEST(Registry, NamesAreKnownOnce) {
  EXPECT_TRUE(nn::knows_model("test_model"));  // kRegistered
  EXPECT_EQ(nn::make_model("test_model", {})->parameter_count(), 1);
  expect_error(
      [] {
        nn::register_model({"test_model", "again", make_one_number});
      },
      {"test_model", "one number", "another name"});
  expect_error([] { nn::register_model({"a b", "", make_one_number}); }, {"a b"});
  expect_error([] { nn::register_model({"nothing", "", nullptr}); }, {"nothing", "constructor"});
  expect_error([] { nn::make_model("no_such_model", {}); }, {"no_such_model", "rmt_t", "swin_t"});
}

}  // namespace rmt::test

// What becomes of weights that a model of segmentation or detection starts from.
#include "train/weights/backbone.h"

#include <gtest/gtest.h>

#include "nn/segmentation/segmenter.h"
#include "tests/check_op.h"
#include "tests/train/tiny_model.h"

namespace rmt::test {
namespace {
using namespace train;

std::unique_ptr<nn::Segmenter> segmenter(int64_t classes, uint64_t seed) {
  auto model = nn::make_segmenter("semantic_fpn", tiny(), classes, {.channels = 8});
  model->init(seed);
  return model;
}

Archive archive_of(nn::Module& model) {
  Archive a = model_archive(model, {"tiny", {}, "", ""});
  a.path = "weights.safetensors";
  return a;
}

// How many parameters are equal to those of the archive under `prefix` less than in the model.
int64_t equal_ones(nn::Module& model, const Archive& a, const std::string& prefix) {
  int64_t n = 0;
  for (const nn::Entry& e : model.parameters()) {
    if (!e.name.starts_with(prefix)) continue;
    const auto at = a.tensors.find(e.name.substr(prefix.size()));
    n += at != a.tensors.end() && at->second.shape() == e.tensor->shape() &&
         at->second.to_vector<float>() == e.tensor->to_vector<float>();
  }
  return n;
}

TEST(StartFromBackbone, AClassifierBecomesTheBackbone) {
  nn::Rmt classifier(tiny());
  classifier.init(7);
  const Archive a = archive_of(classifier);
  auto model = segmenter(5, 1);
  const std::vector<std::string> said = start_from_backbone(*model, model->class_layers(), a);
  // All of the classifier's but proj, norm and head, two each.
  EXPECT_EQ(equal_ones(*model, a, "backbone."), int64_t(classifier.parameters().size()) - 6);
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("the backbone"), std::string::npos) << said[0];
}

TEST(StartFromBackbone, AnotherModelKeepsAllButTheClasses) {
  auto trained = segmenter(3, 9);
  const Archive a = archive_of(*trained);
  auto same = segmenter(3, 1), other = segmenter(5, 1);
  start_from_backbone(*same, same->class_layers(), a);
  EXPECT_EQ(equal_ones(*same, a, ""), int64_t(same->parameters().size()));
  start_from_backbone(*other, other->class_layers(), a);
  EXPECT_EQ(equal_ones(*other, a, ""), int64_t(other->parameters().size()) - 2);
}

TEST(StartFromBackbone, WhatDoesNotFitIsNamedAndNothingIsCopied) {
  nn::Rmt classifier(tiny());
  classifier.init(7);
  Archive a = archive_of(classifier);
  auto model = segmenter(5, 1), untouched = segmenter(5, 1);
  a.tensors.erase("layers.2.blocks.1.norm2.weight");
  a.tensors.erase("layers.2.blocks.1.final_layer_norm.weight");
  expect_error([&] { start_from_backbone(*model, model->class_layers(), a); },
               {"weights.safetensors", "layers.2.blocks.1", "missing", "--model"});
  a = archive_of(classifier);
  a.tensors["patch_embed.proj.0.weight"] = Tensor::zeros({4, 3, 5, 5});
  expect_error([&] { start_from_backbone(*model, model->class_layers(), a); },
               {"patch_embed.proj.0.weight", "(4, 3, 5, 5)"});
  EXPECT_EQ(equal_ones(*model, archive_of(*untouched), ""), int64_t(model->parameters().size()));
}

}  // namespace
}  // namespace rmt::test

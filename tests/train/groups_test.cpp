#include "train/groups.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "tests/check_op.h"
#include "tests/train/tiny_model.h"
#include "train/optimizer.h"

namespace rmt::test {
using namespace train;
namespace {

std::map<std::string, ParameterRule> rules_of(nn::Module& model, const TrainOptions& options) {
  std::map<std::string, ParameterRule> out;
  const std::vector<nn::Entry> parameters = model.parameters();
  const std::vector<ParameterRule> rules = parameter_rules(parameters, options);
  for (size_t i = 0; i < parameters.size(); ++i) out[parameters[i].name] = rules.at(i);
  return out;
}

// Of names alone, in the order of the parameters: the distance of each from the head.
using Distances = std::vector<std::pair<std::string, int>>;
void expect_distances(const Distances& expected, const std::string& classifier) {
  TrainOptions o;
  o.layer_decay = 0.5;
  std::vector<Tensor> tensors(expected.size(), Tensor::zeros({2}));
  std::vector<nn::Entry> parameters;
  for (size_t i = 0; i < expected.size(); ++i)
    parameters.push_back({expected[i].first, &tensors[i], true});
  const std::vector<ParameterRule> rules = parameter_rules(parameters, o, classifier);
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(rules[i].lr_scale, std::pow(0.5, expected[i].second)) << expected[i].first;
}

}  // namespace

// nn/rmt/README.md, "The recipe".
TEST(Groups, TheOfficialWeightDecay) {
  nn::Rmt model(tiny());
  TrainOptions o;
  o.weight_decay = 0.07;
  for (auto& [name, rule] : rules_of(model, o)) {
    const bool spared =
        name.ends_with(".bias") || name.find("norm") != std::string::npos ||
        name.find("patch_embed.proj.1.") == 0 || name.find("patch_embed.proj.4.") == 0 ||
        name.find("patch_embed.proj.7.") == 0 || name.find("patch_embed.proj.10.") == 0;
    EXPECT_EQ(rule.weight_decay, spared ? 0 : 0.07)
        << name << ": gamma_1 and gamma_2 decay, norms and biases do not";
    EXPECT_EQ(rule.lr_scale, 1) << name;
    EXPECT_FALSE(rule.frozen) << name;
  }
}

TEST(Groups, FreezeByBeginningsOfNames) {
  nn::Rmt model(tiny());
  TrainOptions o;
  o.freeze = "body";
  for (auto& [name, rule] : rules_of(model, o)) {
    EXPECT_EQ(rule.frozen, name != "head.weight" && name != "head.bias") << name;
    EXPECT_TRUE(!rule.frozen || rule.weight_decay == 0) << name;
  }
  o.freeze = "patch_embed,layers.2.blocks.1.,norm.weight";
  for (auto& [name, rule] : rules_of(model, o))
    EXPECT_EQ(rule.frozen, name.starts_with("patch_embed.") ||
                               name.starts_with("layers.2.blocks.1.") || name == "norm.weight")
        << name;

  auto refused = [&](const std::string& freeze, const std::vector<std::string>& parts) {
    o.freeze = freeze;
    expect_error([&] { rules_of(model, o); }, parts);
  };
  refused("layer.2", {"--freeze layer.2", "did you mean layers.2?"});
  refused("head,layers.2.block", {"\"layers.2.block\"", "did you mean layers.2.blocks?"});
  refused("layers.2.blocks.11", {"\"layers.2.blocks.11\"", "did you mean layers.2.blocks.1?"});
  refused("body,head", {"freezes every parameter"});
  refused("head,,norm", {"begins with \"\""});
}

TEST(Groups, LayerDecayFallsFromTheHead) {
  nn::Rmt model(tiny());  // blocks 1, 1, 2, 1: stem 0, blocks 1 to 5, head 6
  TrainOptions o;
  o.layer_decay = 0.5;
  const std::map<std::string, int> distance = {{"patch_embed.proj.0.weight", 6},
                                               {"patch_embed.proj.10.bias", 6},
                                               {"layers.0.blocks.0.ffn.fc1.weight", 5},
                                               {"layers.0.downsample.norm.weight", 4},
                                               {"layers.1.blocks.0.pos.conv.bias", 4},
                                               {"layers.1.downsample.reduction.weight", 3},
                                               {"layers.2.blocks.0.gamma_1", 3},
                                               {"layers.2.blocks.1.gamma_1", 2},
                                               {"layers.2.downsample.norm.bias", 1},
                                               {"layers.3.blocks.0.gamma_2", 1},
                                               {"proj.weight", 0},
                                               {"norm.bias", 0},
                                               {"head.weight", 0}};
  const auto rules = rules_of(model, o);
  for (auto& [name, d] : distance) EXPECT_EQ(rules.at(name).lr_scale, std::pow(0.5, d)) << name;
}

TEST(Groups, LayersOfATransformer) {
  expect_distances({{"cls_token", 5},
                    {"pos_embed", 5},
                    {"patch_embed.proj.weight", 5},
                    {"blocks.0.norm1.weight", 4},
                    {"blocks.0.attn.qkv.weight", 4},
                    {"blocks.1.mlp.fc1.bias", 3},
                    {"blocks.2.mlp.fc1.bias", 2},
                    {"blocks.10.mlp.fc1.bias", 1},
                    {"norm.weight", 0},
                    {"head.weight", 0}},
                   "head");
  // With stages, and a downsampling at the beginning of its stage, as in Swin.
  expect_distances({{"patch_embed.proj.weight", 4},
                    {"layers.0.blocks.0.x", 3},
                    {"layers.0.blocks.1.x", 2},
                    {"layers.1.downsample.norm.weight", 1},
                    {"layers.1.blocks.0.x", 1},
                    {"norm.weight", 0},
                    {"head.fc.weight", 0}},
                   "head.fc");
}

TEST(Groups, LayersOfAResidualNetworkAndOthers) {
  expect_distances({{"conv1.weight", 5},
                    {"bn1.weight", 5},
                    {"layer1.0.conv1.weight", 4},
                    {"layer1.0.bn1.weight", 4},
                    {"layer1.1.conv1.weight", 3},
                    {"layer2.0.downsample.0.weight", 2},
                    {"layer2.1.conv2.weight", 1},
                    {"fc.weight", 0},
                    {"fc.bias", 0}},
                   "fc");
  expect_distances({{"stem.0.weight", 3},
                    {"stem.1.weight", 3},
                    {"stages.0.blocks.0.x", 2},
                    {"stages.1.blocks.0.x", 1},
                    {"classifier.1.weight", 0}},
                   "classifier.1");
  // "layers" of no stages; a classifier that stands before them; a network without any block.
  expect_distances({{"embed.weight", 3}, {"fc.weight", 0}, {"layers.0.w", 2}, {"layers.1.w", 1}},
                   "fc");
  expect_distances({{"stem.weight", 1}, {"norm.weight", 1}, {"fc.weight", 0}}, "fc");
}

// A step under layer decay moves each parameter by the very bits of a plain step at its scaled
// rate, weight decay included.
TEST(Groups, LayerDecayScalesTheStepExactly) {
  for (DType dtype : {DType::f32, DType::f64}) {
    nn::Rmt model(tiny()), plain(tiny());
    TrainOptions o;
    o.layer_decay = 0.7;
    for (nn::Rmt* m : {&model, &plain}) m->init(5), m->to(dtype);
    const std::vector<nn::Entry> parameters = model.parameters(), others = plain.parameters();
    const std::vector<ParameterRule> rules = parameter_rules(parameters, o);
    Optimizer optimizer(parameters, {}, rules);
    for (size_t i = 0; i < parameters.size(); ++i) {
      const Tensor g = randn(parameters[i].tensor->shape(), i).to(dtype);
      set_grad(*parameters[i].tensor, g);
      plain.zero_grad();  // so that this step moves the one parameter alone
      set_grad(*others[i].tensor, g);
      Optimizer({others[i]}, {}).step(1e-2 * rules[i].lr_scale);
    }
    optimizer.step(1e-2);
    for (size_t i = 0; i < parameters.size(); ++i)
      EXPECT_EQ(std::memcmp(parameters[i].tensor->raw(), others[i].tensor->raw(),
                            parameters[i].tensor->nbytes()),
                0)
          << parameters[i].name;
  }
}

TEST(Groups, TheTableNamesEachGroupAndItsSize) {
  nn::Rmt model(tiny());
  TrainOptions o;
  const std::vector<nn::Entry> parameters = model.parameters();
  int64_t decaying = 0, tensors = 0;
  for (const nn::Entry& e : parameters)
    if (decays(e.name, e.tensor->shape())) decaying += e.tensor->numel(), ++tensors;
  std::string table = describe_groups(parameters, parameter_rules(parameters, o));
  for (const std::string& part :
       {str(" ", tensors, " "), str(" ", decaying, "  gamma, matrices and filters\n"),
        str(" ", model.parameter_count() - decaying, "  biases and norms\n"), std::string("0.05")})
    EXPECT_NE(table.find(part), std::string::npos) << "\"" << part << "\" is not in\n" << table;
  o.freeze = "body";
  table = describe_groups(parameters, parameter_rules(parameters, o));
  EXPECT_NE(table.find("frozen"), std::string::npos) << table;
  EXPECT_NE(table.find("patch_embed.proj.0.weight ... norm.bias"), std::string::npos) << table;
}

// The four rules, on one layer of each kind.
TEST(Groups, WhatWeightDecaySparesCanBeSaid) {
  struct Net : nn::Module {
    nn::Conv2d& conv = add<nn::Conv2d>("backbone.0", 3, 4, 3, 1, 1);
    nn::BatchNorm& bn = add<nn::BatchNorm>("backbone.1", 4);
    nn::LayerNorm& norm = add<nn::LayerNorm>("norm1", 4);
    nn::BatchNorm& of_head = add<nn::BatchNorm>("head.bn", 4);
  } net;
  auto decay = [&](const char* rule, const char* bn = "local") {
    TrainOptions o;
    o.no_decay = rule;
    o.bn = bn;
    std::string text;
    for (const ParameterRule& r :
         parameter_rules(net.parameters(), o, "head", batch_norms(net.state())))
      text += r.frozen ? 'f' : r.weight_decay > 0 ? 'd' : '-';
    return text;
  };
  EXPECT_EQ(batch_norms(net.state()), (std::set<std::string>{"backbone.1", "head.bn"}));
  // Weight and bias of each of the four.
  EXPECT_EQ(decay("vectors"), "d-------");
  EXPECT_EQ(decay("nothing"), "dddddddd");
  EXPECT_EQ(decay("norm"), "dddd--dd");
  EXPECT_EQ(decay("norms"), "dd------");
  EXPECT_EQ(decay("nothing", "frozen"), "ddffdddd") << "the backbone's alone are frozen";
}

}  // namespace rmt::test

// Layers whose parameters are a choice: which they have, in which order, and what they compute.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "nn/conv.h"
#include "nn/linear.h"
#include "ops/slice.h"
#include "tests/check_op.h"
#include "tests/nn/small_model.h"

namespace rmt::test {
namespace {

std::string names(nn::Module& module) {
  std::string all;
  for (const nn::Entry& e : module.state()) all += str(e.name, " ", e.tensor->shape(), "; ");
  return all;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.to_vector<float>() == b.to_vector<float>();
}

double largest(const Tensor& x) {
  double most = 0;
  for (float v : x.to_vector<float>()) most = std::max(most, std::fabs(double(v)));
  return most;
}

}  // namespace

TEST(Layers, ConvWithAndWithoutGroupsAndBias) {
  nn::Conv2d plain(4, 6, 3, 2, 1), grouped(4, 6, 3, 2, 1, {.groups = 2}),
      bare(4, 6, 3, 2, 1, {.bias = false});
  EXPECT_EQ(names(plain), "weight (6, 4, 3, 3); bias (6); ");
  EXPECT_EQ(names(grouped), "weight (6, 2, 3, 3); bias (6); ");
  EXPECT_EQ(names(bare), "weight (6, 4, 3, 3); ");
  EXPECT_FALSE(bare.bias.defined());

  const Tensor x = randn({2, 7, 5, 4}).to(DType::f32);
  for (nn::Conv2d* conv : {&plain, &grouped, &bare}) conv->init(1);
  EXPECT_TRUE(same(plain.forward(x), ops::conv2d(x, plain.weight, plain.bias, 2, 1)));
  EXPECT_TRUE(same(grouped.forward(x), ops::conv2d(x, grouped.weight, grouped.bias, 2, 1, 2)));
  EXPECT_TRUE(same(bare.forward(x), ops::conv2d(x, bare.weight, {}, 2, 1)));
  // The first stream of random numbers is the weight's, with a bias and without.
  EXPECT_TRUE(same(plain.weight, bare.weight));
  // 1 / sqrt(fan_in), where a filter has 18 inputs. That all of 108 numbers stay below 0.9 of the
  // bound has probability 0.9^108 = 1e-5, and the seed is fixed.
  const double bound = 1 / std::sqrt(18.0);
  EXPECT_LE(largest(grouped.weight), bound);
  EXPECT_GT(largest(grouped.weight), 0.9 * bound);

  expect_error([] { nn::Conv2d(4, 6, 3, 1, 1, {.groups = 4}); }, {"4 groups", "4", "6"});
  expect_error([] { nn::Conv2d(4, 6, 3, 1, 1, {.groups = 0}); }, {"0 groups"});
}

TEST(Layers, LinearWithAndWithoutBias) {
  nn::Linear plain(3, 2), bare(3, 2, false);
  EXPECT_EQ(names(plain), "weight (2, 3); bias (2); ");
  EXPECT_EQ(names(bare), "weight (2, 3); ");
  const Tensor x = randn({5, 3}).to(DType::f32);
  for (nn::Linear* linear : {&plain, &bare}) linear->init(1);
  EXPECT_TRUE(same(plain.weight, bare.weight));
  EXPECT_TRUE(same(bare.forward(x), ops::linear(x, bare.weight)));
  const auto y = nn::forward_of_three(x, plain, bare, bare);
  EXPECT_TRUE(same(y[1], bare.forward(x)));
  const Tensor packed = nn::packed_of_three(x, plain, bare, bare);
  EXPECT_TRUE(same(ops::slice(packed, 1, 0, 2), plain.forward(x)));
  EXPECT_TRUE(same(ops::slice(packed, 1, 4, 6), bare.forward(x)));
  bare.to(DType::f64);  // what is not there stays so
  EXPECT_FALSE(bare.bias.defined());
  EXPECT_EQ(bare.forward(x.to(DType::f64)).dtype(), DType::f64);
}

// In every attention the shadows of the weights that one product takes as one are neighbours, and
// so are those of the biases; each begins at a multiple of 16 bytes and holds the rounded numbers.
TEST(Layers, ShadowsOfQueriesKeysAndValuesAreNeighbours) {
  nn::Rmt model(small_model({16, 24, 32, 40}, {1, 2, 1, 1}, {2, 2, 2, 2}));
  model.init(1);
  model.make_shadows(DType::bf16);
  std::map<std::string, Tensor> shadows;
  for (const nn::Entry& e : model.parameters()) {
    const Tensor copy = shadows[e.name] = shadow(*e.tensor);
    ASSERT_EQ(copy.shape(), e.tensor->shape()) << e.name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(copy.raw()) % 16, 0u) << e.name;
    const Tensor rounded = e.tensor->to(DType::bf16);
    EXPECT_EQ(std::memcmp(copy.raw(), rounded.raw(), copy.nbytes()), 0) << e.name;
  }
  auto end = [](const Tensor& x) { return static_cast<char*>(x.raw()) + x.nbytes(); };
  int attentions = 0;
  for (const auto& [name, q] : shadows) {
    const size_t at = name.find("q_proj.");
    if (at == std::string::npos) continue;
    auto other = [&](const char* which) { return shadows.at(str(name).replace(at, 1, which)); };
    EXPECT_EQ(other("k").raw(), end(q)) << name;
    EXPECT_EQ(other("v").raw(), end(other("k"))) << name;
    ++attentions;
  }
  EXPECT_EQ(attentions, 2 * 5) << "weights and biases of five blocks";
}

}  // namespace rmt::test

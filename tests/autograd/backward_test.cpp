// The engine's own behaviour: what it adds, frees, checks and refuses.
#include "autograd/backward.h"

#include <gtest/gtest.h>

#include "autograd/checkpoint.h"
#include "ops/add.h"
#include "ops/gelu.h"
#include "ops/linear.h"
#include "ops/mul.h"
#include "ops/sum.h"
#include "ops/view.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Tensor scalar(double v) { return Tensor::full({1}, v, DType::f64); }
double value(const Tensor& x) { return x.item<double>(); }

}  // namespace

TEST(Backward, AddsOverEveryPathAndEveryPass) {
  Tensor x = leaf(scalar(3));
  Tensor y = ops::mul(x, x);              // x^2
  backward(ops::add(ops::mul(y, x), y));  // x^3 + x^2
  EXPECT_EQ(value(grad(x)), 3 * 9 + 2 * 3);
  backward(ops::mul(x, x));
  EXPECT_EQ(value(grad(x)), 33 + 6);
  clear_grad(x);
  EXPECT_FALSE(grad(x).defined());
}

// Leaves near the loss come first; one that is used twice comes once, when both have come.
TEST(Backward, SaysWhenALeafIsComplete) {
  Tensor a = leaf(scalar(2)), b = leaf(scalar(3)), c = leaf(scalar(5)), unused = leaf(scalar(7));
  Tensor y = ops::mul(ops::mul(ops::mul(a, b), a), c);  // a^2 b c
  std::vector<const Node*> order;
  std::vector<double> gradients;
  backward(y, [&](const Node& node) {
    order.push_back(&node);
    gradients.push_back(value(node.grad));
  });
  ASSERT_EQ(order.size(), 3u);
  EXPECT_EQ(order[0], c.node.get());
  EXPECT_EQ(gradients[0], 12);
  for (size_t i : {1, 2}) EXPECT_EQ(gradients[i], order[i] == a.node.get() ? 60 : 20);
}

// Add hands dy to both inputs; a later sum into one must not change the other.
TEST(Backward, DoesNotWriteIntoSharedGradients) {
  Tensor a = leaf(scalar(1)), b = leaf(scalar(1));
  Tensor s = ops::add(a, b);
  backward(ops::add(ops::add(s, a), a));
  EXPECT_EQ(value(grad(a)), 3);
  EXPECT_EQ(value(grad(b)), 1);
  Tensor kept = grad(b);
  backward(ops::add(a, b));
  EXPECT_EQ(value(kept), 1);  // a handle that the caller keeps does not change under him
  EXPECT_EQ(value(grad(b)), 2);
}

TEST(Backward, LongChainsNeedNoDeepStack) {
  Tensor x = leaf(scalar(1)), y = x;
  for (int i = 0; i < 300'000; ++i) y = ops::add(y, x);
  backward(y);
  EXPECT_EQ(value(grad(x)), 300'001);
  y = x;
  for (int i = 0; i < 300'000; ++i) y = ops::add(y, x);  // and freed without a backward
}

TEST(Backward, FreesTheTapeAsItGoes) {
  size_t before = memory_use().live;
  Tensor x = leaf(Tensor::full({1 << 16}, 1));
  Tensor y = ops::sum(ops::gelu(ops::gelu(ops::gelu(x))));
  size_t recorded = memory_use().live - before;
  EXPECT_GE(recorded, 3 * sizeof(float) << 16);
  backward(y);
  EXPECT_LE(memory_use().live - before, 2 * (sizeof(float) << 16) + 4096);  // x and its gradient
}

TEST(Backward, NothingIsRecordedWithoutNeed) {
  Tensor x = scalar(2);
  EXPECT_EQ(ops::mul(x, x).node, nullptr);
  Tensor w = leaf(x);
  {
    NoGrad off;
    EXPECT_EQ(ops::mul(w, w).node, nullptr);
  }
  EXPECT_NE(ops::mul(w, x).node, nullptr);
}

TEST(Backward, Errors) {
  Tensor x = leaf(scalar(2));
  expect_error([&] { backward(scalar(1)); }, {"depends on nothing"});
  expect_error([&] { backward(leaf(Tensor::zeros({3}))); }, {"(3)", "dy"});
  Tensor y = ops::mul(x, x);
  backward(y);
  expect_error([&] { backward(y); }, {"mul", "forward again"});
  auto wrong = [&](Grads g) {
    return record("wrong", scalar(1), {x}, [g](const Tensor&) { return g; });
  };
  expect_error([&] { backward(wrong({})); }, {"wrong", "0 gradients for 1 inputs"});
  expect_error([&] { backward(wrong({Tensor::zeros({2}, DType::f64)})); }, {"wrong", "(2)", "(1)"});
  expect_error([&] { backward(wrong({Tensor::zeros({1})})); }, {"wrong", "f32", "f64"});
  expect_error([&] { backward(wrong({x})); }, {"wrong", "detached"});
  expect_error([&] { x.view({1, 1}); }, {"ops::view"});
  expect_error([&] { leaf(Tensor::zeros({1}, DType::i64)); }, {"floating"});
}

TEST(Checkpoint, SameGradientsLessMemory) {
  Tensor w = leaf(randn({64, 64}, 2)), x = leaf(randn({256, 64}, 1));
  auto block = [&](const Tensor& in) {
    return ops::gelu(ops::linear(ops::gelu(ops::linear(in, w)), w));
  };
  auto measure = [&](bool recompute) {
    clear_grad(w), clear_grad(x);
    size_t before = memory_use().live;
    Tensor y = recompute ? checkpoint(block, x) : block(x);
    size_t kept = memory_use().live - before;
    backward(ops::sum(ops::mul(y, y)));
    return std::tuple{kept, grad(w).to_vector<double>(), grad(x).to_vector<double>()};
  };
  auto [kept_plain, w_plain, x_plain] = measure(false);
  auto [kept, w_again, x_again] = measure(true);
  EXPECT_EQ(w_plain, w_again);
  EXPECT_EQ(x_plain, x_again);
  EXPECT_LT(kept, kept_plain / 3);
}

TEST(Checkpoint, ReachesParametersWhereTheInputNeedsNoGradient) {
  Tensor w = leaf(randn({3, 3}, 2));
  backward(
      ops::sum(checkpoint([&](const Tensor& in) { return ops::linear(in, w); }, randn({2, 3}, 1))));
  EXPECT_TRUE(grad(w).defined());
}

}  // namespace rmt::test

#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "ops/add.h"
#include "ops/sum.h"
#include "tests/check_op.h"
#include "tests/ops/broadcast.h"

namespace rmt::test {

TEST(Add, Op) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>(), b = in[1].to_vector<double>();
    for (size_t i = 0; i < y.size(); ++i) y[i] += b[i];
    return y;
  };
  for (Shape shape : {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("add", [](Inputs in) { return ops::add(in[0], in[1]); },
             {randn(shape, 1), randn(shape, 2)}, {.reference = naive, .max_probes = 40});
}

TEST(Add, ATensorToItselfHasTwiceTheGradient) {
  Tensor x = leaf(randn({5, 7}));
  backward(ops::sum(ops::add(x, x)));
  for (double g : grad(x).to_vector<double>()) EXPECT_EQ(g, 2);
}

TEST(Add, GradientIsNotCopied) {
  Tensor a = leaf(randn({5, 7})), b = randn({5, 7}), dy = randn({5, 7});
  backward(ops::add(b, a), dy);
  EXPECT_EQ(grad(a).raw(), dy.raw());
}

TEST(Add, Broadcasts) {
  const Naive naive = broadcast_naive([](double a, double b) { return a + b; });
  for (auto& [a, b] : broadcast_shapes())
    check_op("add", [](Inputs in) { return ops::add(in[0], in[1]); }, {randn(a, 1), randn(b, 2)},
             {.reference = naive, .f32_tolerance = sum_tolerance(a, b), .max_probes = 20});
}

TEST(Add, AParameterInF32BesideBf16) {
  for (auto& parameters : kParameters)
    for (Shape shape : {Shape{3, 7, 16}, Shape{7, 16}, Shape{16}, Shape{}})
      check_op("add", [](Inputs in) { return ops::add(in[0], in[1]); },
               {randn_bf16({3, 7, 16}, 1), randn_bf16(shape, 2)},
               {.parameters = parameters, .max_probes = 20});
}

TEST(Add, Errors) {
  expect_error([] { ops::add({}, randn({2})); }, {"add", "a is undefined"});
  expect_error([] { ops::add(randn({2}), {}); }, {"add", "b is undefined"});
  expect_error(
      [] {
        ops::add(randn({2, 3}), randn({3, 2}));
      },
      {"add", "(3, 2)", "expected", "(2, 3)"});
  expect_error([] { ops::add(randn({2}), randn({2}).to(DType::f32)); },
               {"add", "f32", "expected f64"});
  expect_error(
      [] {
        ops::add(randn({4, 2, 3}), randn({4, 1}));
      },
      {"add", "(4, 2, 3)", "(4, 1)", "dimension -2", "2 and 4"});
}

}  // namespace rmt::test

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "autograd/backward.h"
#include "ops/div.h"
#include "tests/check_op.h"
#include "tests/ops/broadcast.h"

namespace rmt::test {

TEST(Div, Op) {
  const Naive naive = broadcast_naive([](double a, double b) { return a / b; });
  for (Shape shape : {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("div", [](Inputs in) { return ops::div(in[0], in[1]); },
             {randn(shape, 1), divisors(shape, 2)}, {.reference = naive, .max_probes = 40});
}

TEST(Div, Broadcasts) {
  const Naive naive = broadcast_naive([](double a, double b) { return a / b; });
  for (auto& [a, b] : broadcast_shapes())
    check_op("div", [](Inputs in) { return ops::div(in[0], in[1]); }, {randn(a, 1), divisors(b, 2)},
             {.reference = naive, .f32_tolerance = sum_tolerance(a, b), .max_probes = 20});
}

// The gradient of () is a sum of 336 numbers of both signs, as large as some of them: each brings
// three roundings of its own, and more than one result's worth of them is left.
TEST(Div, AParameterInF32BesideBf16) {
  for (auto& parameters : kParameters)
    for (Shape shape : {Shape{7, 16}, Shape{16}, Shape{}})
      check_op("div", [](Inputs in) { return ops::div(in[0], in[1]); },
               {randn_bf16({3, 7, 16}, 1), divisors(shape, 2)},
               {.f32_tolerance = 64 * 0x1p-24, .parameters = parameters, .max_probes = 20});
}

TEST(Div, OneGradientAlone) {
  const Naive naive = broadcast_naive([](double a, double b) { return a / b; });
  for (Shape shape : {Shape{7, 13}, Shape{13}})
    for (std::vector<bool> differentiable :
         {std::vector<bool>{true, false}, std::vector<bool>{false, true}})
      check_op("div", [](Inputs in) { return ops::div(in[0], in[1]); },
               {randn({7, 13}, 1), divisors(shape, 2)},
               {.reference = naive, .differentiable = differentiable});
}

TEST(Div, ByZero) {
  const Tensor y = ops::div(Tensor::from<float>({1, -1, 0}, {3}), Tensor::zeros({}));
  EXPECT_EQ(y.data<float>()[0], std::numeric_limits<float>::infinity());
  EXPECT_EQ(y.data<float>()[1], -std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(y.data<float>()[2]));
}

TEST(Div, Errors) {
  expect_error([] { ops::div({}, randn({2})); }, {"div", "a is undefined"});
  expect_error([] { ops::div(randn({2}), {}); }, {"div", "b is undefined"});
  expect_error(
      [] {
        ops::div(randn({4, 2, 3}), randn({4, 1}));
      },
      {"div", "(4, 2, 3)", "(4, 1)", "dimension -2", "2 and 4"});
  expect_error([] { ops::div(randn({2}), randn({2}).to(DType::f32)); },
               {"div", "f32", "expected f64"});
  expect_error([] { ops::div(Tensor::zeros({2}, DType::i64), Tensor::zeros({2}, DType::i64)); },
               {"div", "i64"});
}

}  // namespace rmt::test

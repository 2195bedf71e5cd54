#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "ops/mul.h"
#include "tests/check_op.h"
#include "tests/ops/broadcast.h"

namespace rmt::test {

TEST(Mul, Op) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>(), b = in[1].to_vector<double>();
    for (size_t i = 0; i < y.size(); ++i) y[i] *= b[i];
    return y;
  };
  for (Shape shape : {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("mul", [](Inputs in) { return ops::mul(in[0], in[1]); },
             {randn(shape, 1), randn(shape, 2)}, {.reference = naive, .max_probes = 40});
}

TEST(Mul, Square) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>();
    for (double& v : y) v *= v;
    return y;
  };
  check_op("mul", [](Inputs in) { return ops::mul(in[0], in[0]); }, {randn({7, 13})},
           {.reference = naive});
}

TEST(Mul, OneGradientAlone) {
  for (std::vector<bool> differentiable :
       {std::vector<bool>{true, false}, std::vector<bool>{false, true}})
    check_op("mul", [](Inputs in) { return ops::mul(in[0], in[1]); },
             {randn({7, 13}, 1), randn({7, 13}, 2)}, {.differentiable = differentiable});
  for (std::vector<bool> differentiable :
       {std::vector<bool>{true, false}, std::vector<bool>{false, true}})
    check_op("mul", [](Inputs in) { return ops::mul(in[0], in[1]); },
             {randn({7, 13}, 1), randn({7, 1}, 2)}, {.differentiable = differentiable});
}

TEST(Mul, Broadcasts) {
  const Naive naive = broadcast_naive([](double a, double b) { return a * b; });
  for (auto& [a, b] : broadcast_shapes())
    check_op("mul", [](Inputs in) { return ops::mul(in[0], in[1]); }, {randn(a, 1), randn(b, 2)},
             {.reference = naive, .f32_tolerance = sum_tolerance(a, b), .max_probes = 20});
}

TEST(Mul, AParameterInF32BesideBf16) {
  for (auto& parameters : kParameters)
    for (Shape shape : {Shape{3, 7, 16}, Shape{7, 16}, Shape{16}, Shape{}})
      check_op("mul", [](Inputs in) { return ops::mul(in[0], in[1]); },
               {randn_bf16({3, 7, 16}, 1), randn_bf16(shape, 2)},
               {.parameters = parameters, .max_probes = 20});
}

TEST(Mul, Errors) {
  expect_error([] { ops::mul({}, randn({2})); }, {"mul", "a is undefined"});
  expect_error(
      [] {
        ops::mul(randn({2, 3}), randn({3, 2}));
      },
      {"mul", "(3, 2)", "expected", "(2, 3)"});
  expect_error([] { ops::mul(randn({2}), randn({2}).to(DType::f32)); },
               {"mul", "f32", "expected f64"});
  expect_error(
      [] {
        ops::mul(randn({4, 2, 3}), randn({4, 1}));
      },
      {"mul", "(4, 2, 3)", "(4, 1)", "dimension -2", "2 and 4"});
}

}  // namespace rmt::test

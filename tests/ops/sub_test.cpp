#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "ops/sub.h"
#include "tests/check_op.h"
#include "tests/ops/broadcast.h"

namespace rmt::test {

TEST(Sub, Op) {
  const Naive naive = broadcast_naive([](double a, double b) { return a - b; });
  for (Shape shape : {Shape{}, Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{0, 5}, Shape{3, 11003}})
    check_op("sub", [](Inputs in) { return ops::sub(in[0], in[1]); },
             {randn(shape, 1), randn(shape, 2)}, {.reference = naive, .max_probes = 40});
}

TEST(Sub, Broadcasts) {
  const Naive naive = broadcast_naive([](double a, double b) { return a - b; });
  for (auto& [a, b] : broadcast_shapes())
    check_op("sub", [](Inputs in) { return ops::sub(in[0], in[1]); }, {randn(a, 1), randn(b, 2)},
             {.reference = naive, .f32_tolerance = sum_tolerance(a, b), .max_probes = 20});
}

TEST(Sub, AParameterInF32BesideBf16) {
  for (auto& parameters : kParameters)
    for (Shape shape : {Shape{3, 7, 16}, Shape{7, 16}, Shape{16}, Shape{}})
      check_op("sub", [](Inputs in) { return ops::sub(in[0], in[1]); },
               {randn_bf16({3, 7, 16}, 1), randn_bf16(shape, 2)},
               {.parameters = parameters, .max_probes = 20});
}

TEST(Sub, OneGradientAlone) {
  for (Shape shape : {Shape{7, 13}, Shape{13}})
    for (std::vector<bool> differentiable :
         {std::vector<bool>{true, false}, std::vector<bool>{false, true}})
      check_op("sub", [](Inputs in) { return ops::sub(in[0], in[1]); },
               {randn({7, 13}, 1), randn(shape, 2)}, {.differentiable = differentiable});
}

TEST(Sub, GradientIsNotCopied) {
  Tensor a = leaf(randn({5, 7})), dy = randn({5, 7});
  backward(ops::sub(a, randn({5, 7})), dy);
  EXPECT_EQ(grad(a).raw(), dy.raw());
}

TEST(Sub, Errors) {
  expect_error([] { ops::sub({}, randn({2})); }, {"sub", "a is undefined"});
  expect_error([] { ops::sub(randn({2}), {}); }, {"sub", "b is undefined"});
  expect_error(
      [] {
        ops::sub(randn({4, 2, 3}), randn({4, 1}));
      },
      {"sub", "(4, 2, 3)", "(4, 1)", "dimension -2", "2 and 4"});
  expect_error([] { ops::sub(randn({2}), randn({2}).to(DType::f32)); },
               {"sub", "f32", "expected f64"});
  expect_error([] { ops::sub(Tensor::zeros({2}, DType::i64), Tensor::zeros({2}, DType::i64)); },
               {"sub", "i64"});
}

}  // namespace rmt::test

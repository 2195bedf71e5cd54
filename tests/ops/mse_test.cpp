#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "ops/mse.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Tensor mse(Inputs in) { return ops::mse(in[0], in[1]); }

std::vector<double> naive(Inputs in) {
  double sum = 0;
  for (int64_t i = 0; i < in[0].numel(); ++i) {
    const double d = in[0].data<double>()[i] - in[1].data<double>()[i];
    sum += d * d;
  }
  return {sum / double(in[0].numel())};
}

}  // namespace

TEST(Mse, Op) {
  for (Shape shape : {Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{2, 3, 5, 7}, Shape{3, 11003}})
    check_op("mse", mse, {randn(shape, 1, 1), randn(shape, 2)},
             {.reference = naive, .parameters = {false, true}, .max_probes = 50});
}

TEST(Mse, GradientsOnlyWhereTheyAreWanted) {
  for (std::vector<bool> differentiable : {std::vector{true, false}, {false, true}})
    check_op("mse", mse, {randn({7, 13}, 1), randn({7, 13}, 2)},
             {.reference = naive, .differentiable = differentiable, .parameters = {false, true}});
}

TEST(Mse, OfEqualNumbersIsZeroAndSoAreItsGradients) {
  const Tensor x = leaf(randn({7, 13}));
  const Tensor y = ops::mse(x, x.detach());
  EXPECT_EQ(y.item<double>(), 0);
  backward(y);
  for (double d : grad(x).to_vector<double>()) EXPECT_EQ(d, 0);
}

TEST(Mse, Errors) {
  const Tensor x = randn({7, 13});
  expect_error([&] { ops::mse({}, x); }, {"mse", "x is undefined"});
  expect_error([&] { ops::mse(x, {}); }, {"mse", "target is undefined"});
  expect_error([&] { ops::mse(x, randn({13, 7})); }, {"target is f64 (13, 7)", "f64 (7, 13)"});
  expect_error([&] { ops::mse(x, x.to(DType::f32)); }, {"target is f32", "f64"});
  expect_error([&] { ops::mse(randn({0, 3}), randn({0, 3})); }, {"mse", "(0, 3)", "no numbers"});
}

}  // namespace rmt::test

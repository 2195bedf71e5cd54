#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/smooth_l1.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Naive naive(double beta, double normaliser) {
  return [=](Inputs in) {
    const int64_t C = in[0].dim(1);
    double sum = 0;
    for (int64_t i = 0; i < in[0].numel(); ++i) {
      const double d = std::fabs(in[0].data<double>()[i] - in[1].data<double>()[i]);
      sum += (in[2].defined() ? in[2].data<double>()[i / C] : 1) *
             (d < beta ? d * d / (2 * beta) : d - beta / 2);
    }
    return std::vector<double>{sum / normaliser};
  };
}

// x whose distance to `target` is neither 0 nor beta, nor nearly so: the derivative jumps at the
// one for beta = 0, and changes its slope at the other.
Tensor away_from_kinks(const Tensor& target, double beta) {
  Tensor x = randn(target.shape(), 5);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const double d = x.data<double>()[i] - target.data<double>()[i];
    if (std::fabs(d) < 0.01 || std::fabs(std::fabs(d) - beta) < 0.01)
      x.data<double>()[i] = float(target.data<double>()[i] + beta + 0.5);
  }
  return x;
}

}  // namespace

TEST(SmoothL1, Op) {
  for (Shape shape : {Shape{1, 1}, Shape{7, 4}, Shape{49, 57}, Shape{1031, 4}, Shape{3, 300}})
    for (double beta : {0., 1. / 9, 1.})
      for (bool weighted : {false, true}) {
        const Tensor target = randn(shape, 2);
        check_op(
            "smooth_l1", [=](Inputs in) { return ops::smooth_l1(in[0], in[1], in[2], beta, 2.5); },
            {away_from_kinks(target, beta), target, weighted ? randn({shape[0]}, 3, 1) : Tensor()},
            {.reference = naive(beta, 2.5),
             .differentiable = {true, false, false},
             .parameters = {false, true, true},
             .max_probes = 30});
      }
}

// L1 between equal numbers has the gradient 0; where |d| is beta both formulas agree.
TEST(SmoothL1, AtTheKinks) {
  std::vector<Device> devices = {Device::cpu};
  if (cuda::available()) devices.push_back(Device::cuda);
  for (Device device : devices)
    for (double beta : {0., 0.5}) {
      const Tensor x = leaf(Tensor::from<float>({1, 1.5, 0.5, 3}, {1, 4}).to(device));
      const Tensor y = ops::smooth_l1(x, Tensor::full({1, 4}, 1, DType::f32, device), {}, beta, 1);
      EXPECT_EQ(y.item<float>(), beta == 0 ? 3 : 2.25);
      backward(y);
      EXPECT_EQ(grad(x).to_vector<float>(), (std::vector<float>{0, 1, -1, 1}));
    }
}

TEST(SmoothL1, OfNoRowsIsZero) {
  const Tensor x = leaf(randn({0, 4}));
  const Tensor y = ops::smooth_l1(x, randn({0, 4}), {}, 0, 1);
  EXPECT_EQ(y.item<double>(), 0);
  backward(y);
  EXPECT_EQ(grad(x).shape(), Shape({0, 4}));
}

TEST(SmoothL1, Errors) {
  const Tensor x = randn({5, 4}), w = randn({5});
  expect_error([&] { ops::smooth_l1({}, x, w, 0, 1); }, {"x is undefined"});
  expect_error([&] { ops::smooth_l1(randn({5}), x, w, 0, 1); }, {"(5)", "(N, C)"});
  expect_error([&] { ops::smooth_l1(x, randn({4, 5}), w, 0, 1); }, {"target is f64 (4, 5)"});
  expect_error([&] { ops::smooth_l1(x, x, randn({4}), 0, 1); }, {"weights is f64 (4)"});
  expect_error([&] { ops::smooth_l1(x, leaf(x), w, 0, 1); }, {"no gradient"});
  expect_error([&] { ops::smooth_l1(x, x, w, 0, 0); }, {"normaliser 0"});
  expect_error([&] { ops::smooth_l1(x, x, w, -1, 1); }, {"beta -1"});
}

}  // namespace rmt::test

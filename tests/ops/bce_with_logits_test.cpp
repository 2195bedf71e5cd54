#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/bce_with_logits.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

// By the definition, with the logarithms of p and 1 - p themselves.
std::vector<double> naive(Inputs in) {
  double sum = 0;
  for (int64_t i = 0; i < in[0].numel(); ++i) {
    const double x = in[0].data<double>()[i], t = in[1].data<double>()[i];
    sum -= t * std::log(1 / (1 + std::exp(-x))) + (1 - t) * std::log(1 / (1 + std::exp(x)));
  }
  return {sum / double(in[0].numel())};
}

// In [0, 1], both ends among them; numbers that bf16 has.
Tensor targets(const Shape& shape) {
  Tensor t = Tensor::empty(shape, DType::f64);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<double>()[i] = double(5 * i % 9) / 8;
  return t;
}

}  // namespace

TEST(BceWithLogits, Op) {
  for (Shape shape : {Shape{1}, Shape{7, 13}, Shape{49, 57}, Shape{2, 3, 5, 7}, Shape{3, 11003}})
    check_op("bce_with_logits", [](Inputs in) { return ops::bce_with_logits(in[0], in[1]); },
             {randn(shape, 1, 0.5, 3), targets(shape)},
             {.reference = naive,
              .differentiable = {true, false},
              .parameters = {false, true},
              .max_probes = 50});
}

// The sum of weighted losses over a normaliser; an undefined third input stands for weights of 1.
TEST(BceWithLogits, WithWeightsAndANormaliser) {
  for (Shape shape : {Shape{1}, Shape{49, 57}, Shape{3, 11003}})
    for (bool weighted : {false, true}) {
      const Tensor weights = weighted ? randn(shape, 3) : Tensor();
      auto reference = [&](Inputs in) {
        double sum = 0;
        for (int64_t i = 0; i < in[0].numel(); ++i)
          sum += (weighted ? in[2].data<double>()[i] : 1) *
                 naive({in[0].view({-1}).slice(i, i + 1), in[1].view({-1}).slice(i, i + 1)})[0];
        return std::vector<double>{sum / 2.5};
      };
      check_op("bce_with_logits",
               [](Inputs in) { return ops::bce_with_logits(in[0], in[1], in[2], 2.5); },
               {randn(shape, 1, 0.5, 3), targets(shape), weights},
               {.reference = reference,
                .differentiable = {true, false, false},
                .parameters = {false, true, true},
                .max_probes = 50});
    }
}

TEST(BceWithLogits, ASumOfNoLossesIsZero) {
  const Tensor x = leaf(randn({0, 3}));
  const Tensor y = ops::bce_with_logits(x, targets({0, 3}), {}, 1);
  EXPECT_EQ(y.item<double>(), 0);
  backward(y);
  EXPECT_EQ(grad(x).shape(), Shape({0, 3}));
}

TEST(BceWithLogits, LargeLogits) {
  std::vector<Device> devices = {Device::cpu};
  if (cuda::available()) devices.push_back(Device::cuda);
  for (Device device : devices)
    for (double x : {88., 89., 104., 710., 1e4, 1e30})
      for (double sign : {-1., 1.})
        for (double t : {0., 1.}) {
          const Tensor z = leaf(Tensor::full({5}, sign * x, DType::f32, device));
          const Tensor y = ops::bce_with_logits(z, Tensor::full({5}, t, DType::f32, device));
          // Sure and wrong: x. Sure and right: below e^-88.
          const bool wrong = (sign > 0) != (t > 0);
          EXPECT_NEAR(y.item<float>(), wrong ? x : 0, wrong ? 4 * x * 0x1p-24 : 1e-38) << x;
          backward(y);
          for (float d : grad(z).to_vector<float>())
            EXPECT_NEAR(d, wrong ? sign / 5 : 0, 2 * 0x1p-24) << sign * x << " for " << t;
        }
}

TEST(BceWithLogits, Errors) {
  const Tensor x = randn({7, 13}), t = targets({7, 13});
  expect_error([&] { ops::bce_with_logits({}, t); }, {"bce_with_logits", "x is undefined"});
  expect_error(
      [&] {
        ops::bce_with_logits(x, targets({13, 7}));
      },
      {"target is f64 (13, 7)", "f64 (7, 13)"});
  expect_error([&] { ops::bce_with_logits(x, t.to(DType::f32)); }, {"target is f32", "f64"});
  expect_error([&] { ops::bce_with_logits(x, leaf(t)); }, {"target has no gradient"});
  expect_error([&] { ops::bce_with_logits(x, t, randn({7}), 1); }, {"weights is f64 (7)"});
  expect_error([&] { ops::bce_with_logits(x, t, leaf(t), 1); }, {"weights have no gradient"});
  expect_error([&] { ops::bce_with_logits(x, t, {}, 0); }, {"normaliser 0"});
  expect_error([&] { ops::bce_with_logits(randn({0}), targets({0})); }, {"(0)", "no numbers"});
}

}  // namespace rmt::test

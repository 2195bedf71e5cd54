#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "core/simd.h"
#include "ops/cross_entropy.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

std::vector<double> naive(Inputs in) {
  const int64_t B = in[0].dim(0), K = in[0].dim(1);
  double loss = 0;
  for (int64_t b = 0; b < B; ++b) {
    const double *z = in[0].data<double>() + b * K, *t = in[1].data<double>() + b * K;
    double sum = 0;
    for (int64_t k = 0; k < K; ++k) sum += std::exp(z[k]);
    for (int64_t k = 0; k < K; ++k) loss -= t[k] * std::log(std::exp(z[k]) / sum) / double(B);
  }
  return {loss};
}

// A lane adds K / lanes numbers one by one, each time rounding the sum by up to 2^-24 of it: a
// bound that equal numbers (the targets' eps / K) can reach.
double tolerance(int64_t K) { return (16 + double(K) / simd::lanes<float>)*0x1p-24; }

Tensor cross_entropy(Inputs in) { return ops::cross_entropy(in[0], in[1]); }

Tensor targets(int64_t B, int64_t K, double eps) {
  Tensor labels = Tensor::empty({B}, DType::i64);
  for (int64_t b = 0; b < B; ++b) labels.data<int64_t>()[b] = (7 * b + 3) % K;
  return ops::smooth_one_hot(labels, K, eps, DType::f32)
      .to(DType::f64);  // numbers that both precisions have
}

}  // namespace

TEST(CrossEntropy, Op) {
  for (Shape shape :
       {Shape{1, 2}, Shape{7, 13}, Shape{13, 49}, Shape{2, 57}, Shape{5, 1000}, Shape{301, 128}})
    for (double eps : {0.0, 0.1})
      check_op("cross_entropy", cross_entropy,
               {randn(shape, 1, 0, 2), targets(shape[0], shape[1], eps)},
               {.reference = naive,
                .differentiable = {true, false},
                .f32_tolerance = tolerance(shape[1]),
                .parameters = {false, true},
                .max_probes = 50});
}

TEST(CrossEntropy, TargetsOfAnySum) {  // positive, so that the loss is no difference
  Tensor target = randn({7, 13}, 2);
  for (int64_t i = 0; i < target.numel(); ++i)
    target.data<double>()[i] = std::fabs(target.data<double>()[i]);
  check_op("cross_entropy", cross_entropy, {randn({7, 13}), target},
           {.reference = naive, .differentiable = {true, false}, .parameters = {false, true}});
}

// Those of token labels sum to 1 + eps / K, those of a token that is left out in part to less.
TEST(CrossEntropy, TargetsThatSumToAlmostOneAndToLess) {
  for (double sum : {1.0001, 0.3}) {
    Tensor target = targets(7, 13, 0.1);
    for (int64_t i = 0; i < target.numel(); ++i)
      target.data<double>()[i] = float(sum * target.data<double>()[i]);  // as both precisions have
    check_op("cross_entropy", cross_entropy, {randn({7, 13}, 3), target},
             {.reference = naive,
              .differentiable = {true, false},
              .f32_tolerance = tolerance(13),
              .parameters = {false, true}});
  }
}

TEST(CrossEntropy, LargeLogits) {
  // Row 0 is sure and right: loss 0. Row 1 is sure and wrong: 2e4. Row 2 is torn between two: log 2
  // beside 1e4 that cancel.
  Tensor z = leaf(Tensor::from<float>(
      {1e4f, -1e4f, -1e4f, /**/ -1e4f, -1e4f, 1e4f, /**/ 1e4f, 1e4f, -1e4f}, {3, 3}));
  Tensor t = ops::smooth_one_hot(Tensor::from<int64_t>({0, 1, 0}, {3}), 3, 0);
  Tensor loss = ops::cross_entropy(z, t);
  EXPECT_NEAR(loss.item<float>(), (2e4 + std::log(2.0)) / 3, 6667 * 0x1p-24);
  backward(loss);
  const float third = 1.f / 3,
              expected[] = {0, 0, 0, /**/ 0, -third, third, /**/ -third / 2, third / 2, 0};
  for (int i = 0; i < 9; ++i) EXPECT_NEAR(grad(z).data<float>()[i], expected[i], 2 * 0x1p-24) << i;
}

TEST(CrossEntropy, UniformLogitsGiveLogK) {
  EXPECT_NEAR(
      ops::cross_entropy(Tensor::full({49, 1000}, -7), targets(49, 1000, 0.1).to(DType::f32))
          .item<float>(),
      std::log(1000.0), 6.9 * tolerance(1000));
}

TEST(CrossEntropy, SmoothOneHot) {
  Tensor t = ops::smooth_one_hot(Tensor::from<int64_t>({2, 0}, {2}), 4, 0.1, DType::f64);
  std::vector<double> expected{0.025, 0.025, 0.925, 0.025, 0.925, 0.025, 0.025, 0.025};
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(t.data<double>()[i], expected[i], 1e-16);
  EXPECT_EQ(ops::smooth_one_hot(Tensor::zeros({0}, DType::i64), 4, 0.1).numel(), 0);
}

// lambda t_b + (1 - lambda) t_b' with b' = B - 1 - b. Rows sum to 1: in f64, of K = 7 rounded
// terms.
TEST(CrossEntropy, SmoothOneHotOfMixedImages) {
  const int64_t B = 6, K = 7;
  const std::vector<int64_t> label{
      2, 0, 6,
      3, 3, 2};  // with the first its last, which is of the same class; the third with the fourth
  const Tensor labels = Tensor::from<int64_t>(label, {B});
  for (double lambda : {0.0, 0.3, 1.0})
    for (double eps : {0.0, 0.1}) {
      const Tensor mix = Tensor::from<double>({0.5, lambda, 1, 2, 3, 4}, {6});
      const Tensor plain = ops::smooth_one_hot(labels, K, eps, DType::f64),
                   t = ops::smooth_one_hot(labels, K, eps, DType::f64, mix);
      for (int64_t b = 0; b < B; ++b) {
        double sum = 0;
        for (int64_t k = 0; k < K; ++k) {
          const double got = t.data<double>()[b * K + k];
          EXPECT_NEAR(got,
                      lambda * plain.data<double>()[b * K + k] +
                          (1 - lambda) * plain.data<double>()[(B - 1 - b) * K + k],
                      4 * 0x1p-53)
              << b << " " << k;
          sum += got;
        }
        EXPECT_NEAR(sum, 1, 2 * K * 0x1p-53);
      }
      if (lambda == 1) {
        EXPECT_EQ(relative_error(t, plain), 0);
      }
      if (cuda::available())
        for (DType dtype : {DType::f32, DType::f64}) {
          const Tensor gpu =
              ops::smooth_one_hot(labels.to(Device::cuda), K, eps, dtype, mix.to(Device::cuda));
          for (int64_t i = 0; i < B * K; ++i)  // to the rounding of a sum of two products
            EXPECT_NEAR(gpu.to(Device::cpu).to(DType::f64).to_vector<double>()[size_t(i)],
                        t.data<double>()[i], dtype == DType::f32 ? 0x1p-24 : 0x1p-52);
        }
    }
  expect_error(
      [&] { ops::smooth_one_hot(labels, K, 0, DType::f32, Tensor::zeros({5}, DType::f64)); },
      {"smooth_one_hot", "mix is f64 (5)", "f64 (6)"});
}

TEST(CrossEntropy, ALabelOutOfRangeOnTheGpuMakesTheLossNan) {
  if (!cuda::available()) return;
  Tensor z = randn({3, 5}).to(DType::f32).to(Device::cuda);
  for (int64_t label : {-1, 5}) {
    Tensor t =
        ops::smooth_one_hot(Tensor::from<int64_t>({4, label, 0}, {3}).to(Device::cuda), 5, 0.1);
    for (int64_t i = 0; i < 15; ++i)
      EXPECT_EQ(std::isnan(t.to_vector<float>()[size_t(i)]), i / 5 == 1) << i;
    EXPECT_TRUE(std::isnan(ops::cross_entropy(z, t).item<float>()));
    const Tensor mix = Tensor::from<double>({1, 1, 0, 0, 0, 0}, {6}).to(Device::cuda);
    EXPECT_TRUE(std::isnan(
        ops::cross_entropy(
            z, ops::smooth_one_hot(Tensor::from<int64_t>({4, label, 0}, {3}).to(Device::cuda), 5,
                                   0.1, DType::f32, mix))
            .item<float>()));
  }
}

TEST(CrossEntropy, SmoothOneHotOnTheGpu) {
  if (!cuda::available()) return;
  Tensor labels = Tensor::from<int64_t>({2, 0, 6, 3}, {4});
  for (DType dtype : {DType::f32, DType::f64}) {
    Tensor t = ops::smooth_one_hot(labels, 7, 0.1, dtype);
    EXPECT_EQ(relative_error(
                  ops::smooth_one_hot(labels.to(Device::cuda), 7, 0.1, dtype).to(Device::cpu), t),
              0);
  }
  EXPECT_EQ(ops::smooth_one_hot(Tensor::zeros({0}, DType::i64, Device::cuda), 4, 0.1).numel(), 0);
}

TEST(CrossEntropy, Errors) {
  Tensor z = randn({7, 13}), t = targets(7, 13, 0);
  expect_error([&] { ops::cross_entropy({}, t); }, {"cross_entropy", "logits is undefined"});
  expect_error([&] { ops::cross_entropy(z, {}); }, {"cross_entropy", "target is undefined"});
  expect_error([&] { ops::cross_entropy(randn({7}), t); }, {"cross_entropy", "(7)", "(B, K)"});
  expect_error(
      [&] {
        ops::cross_entropy(randn({0, 13}), targets(0, 13, 0));
      },
      {"cross_entropy", "(0, 13)", "B > 0"});
  expect_error([&] { ops::cross_entropy(z, targets(7, 12, 0)); },
               {"cross_entropy", "target is f64 (7, 12)", "expected f64 (7, 13)"});
  expect_error([&] { ops::cross_entropy(z, t.to(DType::f32)); },
               {"cross_entropy", "target is f32", "expected f64"});
  expect_error([&] { ops::cross_entropy(z, leaf(t)); },
               {"cross_entropy", "target has no gradient"});
  expect_error(
      [&] {
        ops::smooth_one_hot(Tensor::from<int64_t>({1, 4}, {2}), 4, 0);
      },
      {"smooth_one_hot", "label 1 is 4", "0 ... 3"});
  expect_error([&] { ops::smooth_one_hot(Tensor::from<int64_t>({-1}, {1}), 4, 0); },
               {"smooth_one_hot", "label 0 is -1"});
  expect_error([&] { ops::smooth_one_hot(randn({3}), 4, 0); },
               {"smooth_one_hot", "f64 (3)", "i64 (B)"});
  expect_error([&] { ops::smooth_one_hot({}, 4, 0); }, {"smooth_one_hot", "undefined"});
}

}  // namespace rmt::test

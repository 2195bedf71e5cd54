#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/sigmoid_focal.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

// By the definition, with the logarithms of p and 1 - p themselves.
Naive naive(double normaliser, const ops::FocalOptions& o) {
  return [=](Inputs in) {
    const int64_t N = in[0].dim(0), K = in[0].dim(1);
    double sum = 0;
    for (int64_t i = 0; i < N; ++i)
      for (int64_t k = 0; k < K; ++k) {
        const int64_t label = in[1].data<int64_t>()[i];
        if (label == -1) continue;
        const double z = in[0].data<double>()[i * K + k];
        const double p = 1 / (1 + std::exp(-z)), q = 1 / (1 + std::exp(z));  // q = 1 - p
        sum -= k == label ? o.alpha * std::pow(q, o.gamma) * std::log(p)
                          : (1 - o.alpha) * std::pow(p, o.gamma) * std::log(q);
      }
    return std::vector<double>{sum / normaliser};
  };
}

// Classes, the background and rows that do not count.
Tensor some_labels(int64_t N, int64_t K) {
  Tensor labels = Tensor::empty({N}, DType::i64);
  for (int64_t i = 0; i < N; ++i) labels.data<int64_t>()[i] = (i * i + 3 * i) % (K + 2) - 1;
  if (N > 0) labels.data<int64_t>()[N - 1] = K - 1;
  return labels;
}

std::vector<Device> devices() {
  if (cuda::available()) return {Device::cpu, Device::cuda};
  return {Device::cpu};
}

}  // namespace

TEST(SigmoidFocal, Op) {
  struct Case {
    int64_t N, K;
    ops::FocalOptions options;
  };
  for (const Case& c : std::vector<Case>{{1, 1, {}},
                                         {7, 13, {}},
                                         {49, 57, {}},
                                         {13, 80, {.alpha = 0.6, .gamma = 1.5}},
                                         {57, 3, {.alpha = 1, .gamma = 3}},
                                         {49, 7, {.alpha = 0, .gamma = 0}},
                                         {1031, 32, {}}})
    check_op("sigmoid_focal",
             [&](Inputs in) { return ops::sigmoid_focal(in[0], in[1], 7.5, c.options); },
             {randn({c.N, c.K}, 1, -1, 3), some_labels(c.N, c.K)},
             {.reference = naive(7.5, c.options), .max_probes = 50});
}

// As torchvision.ops.sigmoid_focal_loss with reduction = 'sum', alpha = .25, gamma = 2, of one-hot
// targets (tests/golden/make_dense_op_golden.py).
TEST(SigmoidFocal, AsTorchvision) {
  const Tensor z = leaf(Tensor::from<double>({-4.5, 0.25, 3, -1.5, 2.5, -0.75, 6, -8, 0}, {3, 3}));
  const Tensor y = ops::sigmoid_focal(z, Tensor::from<int64_t>({1, 3, 0}, {3}), 2);
  EXPECT_NEAR(y.item<double>(), 1.9595104576790, 1e-13);
  backward(y);
  const std::vector<double> expected = {0.0000014865645,  -0.0260070473906, 0.4225312052381,
                                        0.0063866644587,  0.4212761525830,  0.0326661232608,
                                        -0.0000000056643, 0.0000000000424,  0.1118575481775};
  for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(grad(z).to_vector<double>()[i], expected[i], 1e-13);
}

// Sure and wrong by x: the loss is x; sure and right: 0. Nothing overflows.
TEST(SigmoidFocal, LargeLogits) {
  for (Device device : devices())
    for (float x : {104.f, 710.f, 1e4f, 1e30f})
      for (double gamma : {0., 1., 2., 5.})
        for (bool wrong : {false, true}) {
          const Tensor z = leaf(Tensor::from<float>({wrong ? -x : x, wrong ? x : -x}, {1, 2}));
          const Tensor on_it = leaf(z.detach().to(device));
          const Tensor y = ops::sigmoid_focal(on_it, Tensor::full({1}, 0, DType::i64, device), 1,
                                              {.alpha = 0.25, .gamma = gamma});
          EXPECT_EQ(y.item<float>(), wrong ? x : 0) << x << " gamma " << gamma;
          backward(y);
          EXPECT_EQ(grad(on_it).to_vector<float>(),
                    wrong ? (std::vector<float>{-0.25, 0.75}) : (std::vector<float>{0, 0}));
        }
}

TEST(SigmoidFocal, OfNoRowsThatCountIsZero) {
  for (Device device : devices())
    for (int64_t N : {0, 3}) {
      const Tensor z = leaf(Tensor::full({N, 2}, 1, DType::f32, device));
      const Tensor y = ops::sigmoid_focal(z, Tensor::full({N}, -1, DType::i64, device), 1);
      EXPECT_EQ(y.item<float>(), 0);
      backward(y);
      EXPECT_EQ(grad(z).to_vector<float>(), std::vector<float>(size_t(2 * N), 0.f));
    }
}

TEST(SigmoidFocal, OnTheGpuALabelOutOfRangeIsNan) {
  if (!cuda::available()) return;
  for (int64_t wrong : {int64_t(-2), int64_t(4), int64_t(1) << 40}) {
    const Tensor z = leaf(Tensor::full({2, 3}, 1, DType::f32, Device::cuda));
    const Tensor labels = Tensor::from<int64_t>({3, wrong}, {2}).to(Device::cuda);
    const Tensor y = ops::sigmoid_focal(z, labels, 1);
    EXPECT_TRUE(std::isnan(y.item<float>()));
    backward(y);
    const std::vector<float> dz = grad(z).to_vector<float>();
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(std::isnan(dz[i]), i >= 3);
  }
}

TEST(SigmoidFocal, Errors) {
  const Tensor z = randn({5, 7}), labels = Tensor::zeros({5}, DType::i64);
  expect_error([&] { ops::sigmoid_focal({}, labels, 1); }, {"logits is undefined"});
  expect_error([&] { ops::sigmoid_focal(randn({5}), labels, 1); }, {"(5)", "(N, K)"});
  expect_error([&] { ops::sigmoid_focal(z, Tensor::zeros({5}), 1); }, {"labels is f32", "i64"});
  expect_error([&] { ops::sigmoid_focal(z, labels, 0); }, {"normaliser 0"});
  expect_error([&] { ops::sigmoid_focal(z, labels, 1, {.alpha = 2}); }, {"alpha 2"});
  expect_error([&] { ops::sigmoid_focal(z, labels, 1, {.gamma = -1}); }, {"gamma -1"});
  for (int64_t wrong : {-2, 8}) {
    labels.data<int64_t>()[3] = wrong;
    expect_error([&] { ops::sigmoid_focal(z, labels, 1); },
                 {"sigmoid_focal", str("label 3 is ", wrong), "0 ... 6", "7 for the background"});
  }
}

}  // namespace rmt::test

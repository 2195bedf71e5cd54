#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/pixel_cross_entropy.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

// By the definition, with the logarithm of the softmax itself.
Naive naive(int64_t ignored, double normaliser) {
  return [=](Inputs in) {
    const int64_t K = in[0].shape()[-1];
    double sum = 0;
    for (int64_t i = 0; i < in[1].numel(); ++i) {
      const int64_t label =
          in[1].dtype() == DType::u8 ? in[1].data<uint8_t>()[i] : in[1].data<int64_t>()[i];
      if (label == ignored) continue;
      const double* z = in[0].data<double>() + i * K;
      double exps = 0;
      for (int64_t k = 0; k < K; ++k) exps += std::exp(z[k]);
      sum -= std::log(std::exp(z[label]) / exps);
    }
    return std::vector<double>{sum / normaliser};
  };
}

// Every fourth is ignored.
template <class T>
Tensor some_labels(const Shape& shape, int64_t K, int64_t ignored) {
  Tensor labels = Tensor::empty(shape, dtype_of<T>);
  for (int64_t i = 0; i < labels.numel(); ++i)
    labels.data<T>()[i] = T(i % 4 == 3 ? ignored : (i * i + 3 * i) % K);
  return labels;
}

std::vector<Device> devices() {
  if (cuda::available()) return {Device::cpu, Device::cuda};
  return {Device::cpu};
}

}  // namespace

TEST(PixelCrossEntropy, Op) {
  struct Case {
    Shape rows;
    int64_t K;
    double normaliser;
  };
  for (const Case& c : std::vector<Case>{{{}, 5, 1},
                                         {{1}, 1, 0.5},
                                         {{2, 3, 7}, 150, 42},
                                         {{49}, 57, 40},
                                         {{3, 5}, 16, 2.5},
                                         {{1, 3, 3}, 1031, 9}})
    for (bool bytes : {false, true}) {
      if (bytes && c.K > 255) continue;
      const int64_t ignored = bytes ? 255 : -1;
      Shape shape = c.rows;
      shape.push_back(c.K);
      check_op(
          "pixel_cross_entropy",
          [=](Inputs in) { return ops::pixel_cross_entropy(in[0], in[1], ignored, c.normaliser); },
          {randn(shape, 1, 0.5, 3), bytes ? some_labels<uint8_t>(c.rows, c.K, ignored)
                                          : some_labels<int64_t>(c.rows, c.K, ignored)},
          {.reference = naive(ignored, c.normaliser), .may_be_zero = c.K == 1, .max_probes = 50});
    }
}

TEST(PixelCrossEntropy, OfNoRowsThatCountIsZero) {
  for (Device device : devices())
    for (Shape rows : {Shape{2, 3}, Shape{0, 3}}) {
      const Tensor z = leaf(Tensor::full({rows[0], 3, 7}, 1, DType::f32, device));
      const Tensor labels = Tensor::full(rows, 255, DType::u8, device);
      const Tensor y = ops::pixel_cross_entropy(z, labels, 255, 6);
      EXPECT_EQ(y.item<float>(), 0);
      backward(y);
      EXPECT_EQ(grad(z).to_vector<float>(), std::vector<float>(size_t(z.numel()), 0.f));
    }
}

// Sure and wrong by x: the loss is x, and no exponential overflows.
TEST(PixelCrossEntropy, LargeLogits) {
  for (Device device : devices())
    for (float x : {104.f, 1e4f, 1e30f}) {
      const Tensor z = leaf(Tensor::from<float>({x, -x, 0}, {1, 3}).to(device));
      const Tensor y = ops::pixel_cross_entropy(z, Tensor::full({1}, 2, DType::i64, device), -1, 1);
      EXPECT_EQ(y.item<float>(), x);
      backward(y);
      EXPECT_EQ(grad(z).to_vector<float>(), (std::vector<float>{1, 0, -1}));
    }
}

TEST(PixelCrossEntropy, OnTheGpuALabelOutOfRangeIsNan) {
  if (!cuda::available()) return;
  for (int64_t wrong : {int64_t(-1), int64_t(3), int64_t(1) << 40}) {
    const Tensor z = leaf(Tensor::full({2, 3}, 1, DType::f32, Device::cuda));
    const Tensor labels = Tensor::from<int64_t>({0, wrong}, {2}).to(Device::cuda);
    const Tensor y = ops::pixel_cross_entropy(z, labels, 255, 1);
    EXPECT_TRUE(std::isnan(y.item<float>()));
    backward(y);
    const std::vector<float> dz = grad(z).to_vector<float>();
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(std::isnan(dz[i]), i >= 3);
  }
}

TEST(PixelCrossEntropy, Errors) {
  const Tensor z = randn({2, 5, 7}), labels = Tensor::zeros({2, 5}, DType::i64);
  expect_error([&] { ops::pixel_cross_entropy({}, labels, -1, 1); }, {"logits is undefined"});
  expect_error([&] { ops::pixel_cross_entropy(z, {}, -1, 1); }, {"labels is undefined"});
  expect_error(
      [&] {
        ops::pixel_cross_entropy(z, Tensor::zeros({2, 7}, DType::i64), -1, 1);
      },
      {"labels is i64 (2, 7)", "u8 or i64 (2, 5)"});
  expect_error([&] { ops::pixel_cross_entropy(z, Tensor::zeros({2, 5}), -1, 1); }, {"f32"});
  expect_error([&] { ops::pixel_cross_entropy(z, labels, -1, 0); }, {"normaliser 0"});
  for (int64_t wrong : {-1, 7}) {
    labels.data<int64_t>()[3] = wrong;
    expect_error([&] { ops::pixel_cross_entropy(z, labels, 255, 1); },
                 {"pixel_cross_entropy", str("label 3 is ", wrong), "0 ... 6", "255"});
  }
}

}  // namespace rmt::test

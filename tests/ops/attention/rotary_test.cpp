#include <gtest/gtest.h>

#include <cmath>

#include "core/cuda/device.h"
#include "ops/attention/rotary.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Tensor angles(int64_t D) {  // 10000^(-2j / (D - 2)): 1 ... 1e-4, each twice
  Tensor a = Tensor::empty({D}, DType::f64);
  for (int64_t d = 0; d < D; ++d)
    a.data<double>()[d] =
        float(std::pow(10000.0, -double(d / 2) / std::max(1.0, double(D / 2 - 1))));
  return a;
}

// Pairs (2j, 2j + 1) of x (D) turned by n angle_2j.
std::vector<double> rotate(const Tensor& x, const Tensor& table, int64_t n) {
  const int64_t D = x.numel();
  const double *v = x.data<double>(), *row = table.data<double>() + n * D;
  std::vector<double> y;
  for (int64_t d = 0; d < D; d += 2) {
    y.push_back(v[d] * row[d] - v[d + 1] * row[d + 1]);
    y.push_back(v[d + 1] * row[d] + v[d] * row[d + 1]);
  }
  return y;
}

double dot(const std::vector<double>& a, const std::vector<double>& b) {
  double s = 0;
  for (size_t i = 0; i < a.size(); ++i) s += a[i] * b[i];
  return s;
}

}  // namespace

TEST(Rotary, Values) {
  for (int64_t D : {2, 14, 16, 32}) {
    const int64_t H = 57, W = 49;
    Tensor a = angles(D), t64 = ops::rotary_table(a, H, W, DType::f64),
           t32 = ops::rotary_table(a.to(DType::f32), H, W, DType::f32);
    EXPECT_EQ(str(t64.shape()), str(Shape{H * W, D}));
    for (int64_t y = 0; y < H; ++y)
      for (int64_t x = 0; x < W; ++x)
        for (int64_t d = 0; d < D; ++d) {
          const int64_t n = y * W + x;
          const double phase = double(n) * a.data<double>()[d],
                       expected = d % 2 ? std::sin(phase) : std::cos(phase);
          ASSERT_NEAR(t64.data<double>()[n * D + d], expected, 1e-15);
          ASSERT_NEAR(t32.data<float>()[n * D + d], expected,
                      0x1p-25);  // half the spacing of floats below 1
        }
  }
}

TEST(Rotary, OnTheGpu) {  // cos and sin of phases up to thousands, in double: within two of its
                          // roundings of the CPU's
  if (!cuda::available()) return;
  for (int64_t D : {2, 14, 32}) {
    Tensor a = angles(D), table = ops::rotary_table(a, 57, 7, DType::f64),
           gpu = ops::rotary_table(a.to(Device::cuda), 57, 7, DType::f64).to(Device::cpu);
    for (int64_t i = 0; i < table.numel(); ++i)
      ASSERT_NEAR(gpu.data<double>()[i], table.data<double>()[i], 2 * 0x1p-53);
    Tensor gpu32 = ops::rotary_table(a.to(Device::cuda), 57, 7, DType::f32).to(Device::cpu);
    EXPECT_LE(relative_error(gpu32, table), 0x1p-24);
  }
}

TEST(Rotary, KeepsNorms) {
  Tensor table = ops::rotary_table(angles(16), 7, 13, DType::f64), x = randn({16});
  const double norm = dot(x.to_vector<double>(), x.to_vector<double>());
  for (int64_t n = 0; n < 7 * 13; ++n)
    EXPECT_NEAR(dot(rotate(x, table, n), rotate(x, table, n)), norm, 1e-14 * norm);
}

TEST(Rotary, ScoresDependOnTheDifferenceOfIndicesOnly) {
  Tensor table = ops::rotary_table(angles(16), 7, 13, DType::f64), q = randn({16}, 1),
         k = randn({16}, 2);
  auto score = [&](int64_t n, int64_t m) { return dot(rotate(q, table, n), rotate(k, table, m)); };
  for (int64_t shift = 1; shift < 40; ++shift)
    EXPECT_NEAR(score(10 + shift, 3 + shift), score(10, 3),
                1e-13);  // a phase below 91 is right to 1e-14
  EXPECT_GT(std::fabs(score(11, 3) - score(10, 3)), 1e-3);
}

TEST(Rotary, Empty) {
  EXPECT_EQ(ops::rotary_table(angles(4), 0, 7, DType::f32).numel(), 0);
  EXPECT_EQ(ops::rotary_table(Tensor::zeros({0}), 3, 7, DType::f32).numel(), 0);
}

TEST(Rotary, Errors) {
  expect_error([] { ops::rotary_table({}, 2, 2, DType::f32); }, {"rotary_table", "undefined"});
  expect_error([] { ops::rotary_table(randn({3}), 2, 2, DType::f32); },
               {"rotary_table", "(3)", "D even"});
  expect_error(
      [] {
        ops::rotary_table(randn({2, 2}), 2, 2, DType::f32);
      },
      {"rotary_table", "(2, 2)"});
  expect_error([] { ops::rotary_table(randn({4}), 2, 2, DType::f32); },
               {"rotary_table", "angles 0 and 1 of a pair differ"});
  expect_error([] { ops::rotary_table(angles(4), -2, 2, DType::f32); }, {"rotary_table", "-2 x 2"});
  expect_error([] { ops::rotary_table(angles(4), 2, 2, DType::i64); }, {"rotary_table", "i64"});
}

}  // namespace rmt::test

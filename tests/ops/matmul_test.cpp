#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "core/parallel.h"
#include "ops/matmul.h"
#include "ops/sum.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

// a (batch, M, K) or (batch, K, M), b (batch, K, N) or (batch, N, K) -> y (batch, M, N)
struct Product {
  int64_t batch, M, N, K;
  bool ta, tb;

  Shape a() const { return ta ? Shape{batch, K, M} : Shape{batch, M, K}; }
  Shape b() const { return tb ? Shape{batch, N, K} : Shape{batch, K, N}; }
  std::vector<double> naive(Inputs in) const {
    const double *a = in[0].data<double>(), *b = in[1].data<double>();
    std::vector<double> y;
    for (int64_t i = 0; i < batch; ++i, a += M * K, b += K * N)
      for (int64_t m = 0; m < M; ++m)
        for (int64_t n = 0; n < N; ++n) {
          double sum = 0;
          for (int64_t k = 0; k < K; ++k)
            sum += a[ta ? k * M + m : m * K + k] * b[tb ? n * K + k : k * N + n];
          y.push_back(sum);
        }
    return y;
  }
};

Tensor scaled(const Shape& shape, uint64_t seed, int64_t K) {
  return randn(shape, seed, 0, 1 / std::sqrt(double(std::max<int64_t>(K, 1))));
}

}  // namespace

// Around the sizes of the CPU's register tile and of the GPU's tile of 64 x 64 x 16, with each way
// to store the factors.
TEST(Matmul, Op) {
  for (auto [batch, M, N, K] : std::vector<std::array<int64_t, 4>>{{1, 1, 1, 1},
                                                                   {3, 7, 13, 1},
                                                                   {2, 13, 7, 49},
                                                                   {2, 65, 68, 17},
                                                                   {7, 12, 32, 33},
                                                                   {1, 57, 33, 70},
                                                                   {0, 5, 3, 2},
                                                                   {3, 0, 4, 2}}) {
    for (int flags = 0; flags < 4; ++flags) {
      const Product p{batch, M, N, K, flags % 2 == 1, flags >= 2};
      check_op(str("matmul", p.ta ? " a^T" : " a", p.tb ? " b^T" : " b"),
               [&](Inputs in) { return ops::matmul(in[0], in[1], p.ta, p.tb); },
               {randn(p.a(), 1), scaled(p.b(), 2, K)},
               {.reference = [&](Inputs in) { return p.naive(in); }, .max_probes = 40});
    }
  }
}

// Nothing to sum: y is 0, and so are all gradients, which have no elements.
TEST(Matmul, OfNothingIsZero) {
  for (int64_t batch : {1, 3})
    check_op("matmul", [](Inputs in) { return ops::matmul(in[0], in[1]); },
             {randn({batch, 2, 0}), randn({batch, 0, 5})}, {.may_be_zero = true});
}

TEST(Matmul, LeadingDimensions) {
  const Product p{6, 4, 3, 5, false, true};
  check_op("matmul of rank 5", [](Inputs in) { return ops::matmul(in[0], in[1], false, true); },
           {randn({2, 1, 3, 4, 5}, 1), randn({2, 1, 3, 3, 5}, 2)},
           {.reference = [&](Inputs in) { return p.naive(in); }});
  EXPECT_EQ(ops::matmul(randn({4, 5}), randn({5, 3})).shape(), (Shape{4, 3}));
}

TEST(Matmul, SquareOfAMatrixHasBothGradients) {
  check_op("matmul", [](Inputs in) { return ops::matmul(in[0], in[0], true, false); },
           {randn({2, 7, 5}, 1)});
}

// Two products of which each is large enough to be cut among the threads, 2^22 multiply-adds and
// more: the bits of each alone.
TEST(Matmul, LargeProductsHaveTheBitsOfEachAlone) {
  const int before = threads();
  for (bool ta : {false, true}) {
    const Tensor a = randn({2, 170, 170}, 1).to(DType::f32),
                 b = randn({2, 170, 170}, 2).to(DType::f32);
    for (int n : {1, 3}) {
      set_threads(n);
      const Tensor both = ops::matmul(a, b, ta);
      for (int64_t i = 0; i < 2; ++i)
        EXPECT_EQ(both.slice(i, i + 1).to_vector<float>(),
                  ops::matmul(a.slice(i, i + 1), b.slice(i, i + 1), ta).to_vector<float>());
    }
  }
  set_threads(before);
}

// From 2^26 multiply-adds on, the products of a batch are made one after the other there.
TEST(Matmul, LargeProductsOnGpu) {
  if (!cuda::available()) return;
  for (int flags = 0; flags < 4; ++flags) {
    const Product p{2, 420, 390, 410, flags % 2 == 1, flags >= 2};
    ASSERT_GE(p.M * p.N * p.K, 1 << 26);
    const Tensor a = randn(p.a(), 1).to(DType::f32), b = randn(p.b(), 2).to(DType::f32);
    const Tensor y = ops::matmul(a.to(Device::cuda), b.to(Device::cuda), p.ta, p.tb);
    // The error of a sum of K terms of random sign grows as sqrt(K) roundings: of K = 410 terms on
    // either device it is below sqrt(410) = 20 of them, of both together below 20 sqrt(2) = 29.
    EXPECT_LE(relative_error(y.to(Device::cpu), ops::matmul(a, b, p.ta, p.tb)), 32 * 0x1p-24);
  }
}

// A slice may begin where the library may not load vectors: one product, and several.
TEST(Matmul, UnalignedOnGpu) {
  if (!cuda::available()) return;
  for (DType dtype : {DType::f32, DType::bf16})
    for (int64_t end : {2, 4}) {
      const Tensor a = randn({4, 5, 7}, 1).to(dtype), b = randn({4, 7, 9}, 2).to(dtype);
      const Tensor y =
          ops::matmul(a.to(Device::cuda).slice(1, end), b.to(Device::cuda).slice(1, end));
      const Tensor expected =
          ops::matmul(a.to(DType::f64).slice(1, end), b.to(DType::f64).slice(1, end));
      // bf16: one rounding of the result. f32: 7 products and sums, at most 14 roundings.
      EXPECT_LE(relative_error(y.to(Device::cpu), expected),
                dtype == DType::bf16 ? 0x1p-8 : 14 * 0x1p-24);
    }
}

TEST(Matmul, OnlyWantedGradientsAreComputed) {
  const Tensor a = leaf(randn({2, 3, 4}, 1)), b = leaf(randn({2, 4, 5}, 2));
  freeze(b);
  backward(ops::sum(ops::matmul(a, b)));
  EXPECT_TRUE(grad(a).defined());
  EXPECT_FALSE(grad(b).defined());
}

TEST(Matmul, Errors) {
  const Tensor a = randn({2, 3, 4}), b = randn({2, 4, 5});
  expect_error([&] { ops::matmul({}, b); }, {"matmul", "a is undefined"});
  expect_error([&] { ops::matmul(a, {}); }, {"matmul", "b is undefined"});
  expect_error(
      [&] {
        ops::matmul(a, randn({2, 5, 4}));
      },
      {"matmul", "(2, 3, 4)", "(2, 5, 4)", "a (..., M, K)", "b (..., K, N)"});
  expect_error([&] { ops::matmul(a, b, true, true); },
               {"matmul", "(2, 3, 4)", "(2, 4, 5)", "a (..., K, M)", "b (..., N, K)"});
  expect_error([&] { ops::matmul(a, randn({3, 4, 5})); }, {"(2, 3, 4)", "(3, 4, 5)", "leading"});
  expect_error([&] { ops::matmul(a, randn({4, 5})); }, {"(2, 3, 4)", "(4, 5)"});
  expect_error([] { ops::matmul(randn({4}), randn({4})); }, {"matmul", "(4)"});
  expect_error([&] { ops::matmul(a, b.to(DType::f32)); }, {"matmul", "f64", "f32", "Tensor::to"});
  expect_error([&] { ops::matmul(a.to(DType::bf16), b.to(DType::bf16)); }, {"matmul", "bf16"});
}

}  // namespace rmt::test

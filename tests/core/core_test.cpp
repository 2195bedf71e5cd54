// Shapes, tensors, element types, storage, random numbers and threads.
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <limits>
#include <set>

#include "core/parallel.h"
#include "core/random.h"
#include "core/simd.h"
#include "core/tensor.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(Tensor, ViewsShareAndCopiesDoNot) {
  Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  Tensor v = x.view({3, -1}), s = x.slice(1, 2), c = x.clone();
  EXPECT_EQ(v.shape(), (Shape{3, 2}));
  EXPECT_EQ(s.to_vector<float>(), (std::vector<float>{4, 5, 6}));
  s.fill(9);
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{1, 2, 3, 9, 9, 9}));
  EXPECT_EQ(c.to_vector<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(x.to(DType::f64).to(DType::i32).to_vector<int32_t>(),
            (std::vector<int32_t>{1, 2, 3, 9, 9, 9}));
  EXPECT_EQ(Tensor::full({}, 7, DType::i64).item<int64_t>(), 7);
  EXPECT_EQ(Tensor::zeros({0, 4}).numel(), 0);
}

TEST(Tensor, Errors) {
  Tensor x = Tensor::zeros({2, 3});
  expect_error([&] { x.view({4}); }, {"(2, 3)", "(4)"});
  expect_error([&] { x.data<double>(); }, {"f32", "f64"});
  expect_error([&] { x.item<float>(); }, {"(2, 3)"});
  expect_error([&] { x.slice(1, 3); }, {"[1, 3)"});
  expect_error([&] { x.dim(2); }, {"(2, 3)", "2"});
  expect_error([&] { Tensor::from<float>({1, 2}, {3}); }, {"2 values", "(3)"});
  expect_error([&] { Tensor::empty({-1}); }, {"negative"});
  expect_error([&] { Tensor::empty({1 << 30, 1 << 30, 8}); }, {"larger than any memory"});
}

TEST(Bf16, RoundsToNearestEven) {
  EXPECT_EQ(float(bf16(1.f)), 1.f);
  EXPECT_EQ(float(bf16(1.f + 0x1p-8f)), 1.f);                // a tie: to even
  EXPECT_EQ(float(bf16(1.f + 3 * 0x1p-8f)), 1.f + 0x1p-6f);  // a tie: to even, upwards
  EXPECT_EQ(float(bf16(1.f + 0x1.01p-8f)), 1.f + 0x1p-7f);
  EXPECT_EQ(float(bf16(-3.5f)), -3.5f);
  EXPECT_TRUE(std::isnan(float(bf16(std::numeric_limits<float>::quiet_NaN()))));
  EXPECT_TRUE(std::isinf(float(bf16(std::numeric_limits<float>::max()))));
  EXPECT_EQ(Tensor::from<float>({0.1f, 2}, {2}).to(DType::bf16).to(DType::f32).to_vector<float>(),
            (std::vector<float>{0.10009765625f, 2}));
}

TEST(Storage, BlocksComeBack) {
  size_t live = memory_use().live;
  reset_peak_memory();
  {
    Tensor a = Tensor::empty({1 << 20}), b = Tensor::empty({1000});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(a.raw()) % 64, 0u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.raw()) % 64, 0u);
    EXPECT_GE(memory_use().live - live, (4u << 20) + 4000);
  }
  EXPECT_EQ(memory_use().live, live);
  EXPECT_GE(memory_use().peak - live, 4u << 20);
  std::vector<Tensor> keep;  // neighbours freed in every order merge again: a block of the whole
                             // size fits where its parts were
  for (int i = 0; i < 8; ++i) keep.push_back(Tensor::empty({1 << 18}));
  for (int i : {1, 3, 0, 2, 7, 5, 6, 4}) keep[size_t(i)] = Tensor();
  Tensor all = Tensor::zeros({8 << 18});
  EXPECT_EQ(all.data<float>()[(8 << 18) - 1], 0);
}

// The reference implementation's test vectors (Random123, kat_vectors).
TEST(Philox, KnownAnswers) {
  using A = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (A{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (A{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (A{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

// 1e5 draws: the mean of U(0,1) within 5 sigma = 5 * 0.289 / 316 = 0.0046, that of N(0,1) within 5
// / 316.
TEST(Random, MomentsAndIndependence) {
  Random u(1, Purpose::test), n(2, Purpose::test);
  double mean = 0, normal = 0, square = 0;
  for (int i = 0; i < 100000; ++i) {
    mean += u.uniform();
    double x = n.normal();
    normal += x, square += x * x;
  }
  EXPECT_NEAR(mean / 1e5, 0.5, 0.0046);
  EXPECT_NEAR(normal / 1e5, 0, 0.0158);
  EXPECT_NEAR(square / 1e5, 1, 5 * std::sqrt(2 / 1e5));
  EXPECT_NE(Random(1, Purpose::test, 0, 0).bits(), Random(1, Purpose::test, 0, 1).bits());
  EXPECT_NE(Random(1, Purpose::test, 0, 0).bits(), Random(1, Purpose::test, 1, 0).bits());
  EXPECT_NE(Random(1, Purpose::test).bits(), Random(1, Purpose::init).bits());
  EXPECT_NE(Random(1, Purpose::test).bits(), Random(2, Purpose::test).bits());
}

TEST(Permutation, IsOneForEverySize) {
  for (int64_t n : {0, 1, 2, 3, 17, 64, 1000, 4097}) {
    Permutation p(n, 5, 3);
    std::set<int64_t> seen;
    for (int64_t i = 0; i < n; ++i) seen.insert(p(i));
    EXPECT_EQ(int64_t(seen.size()), n);
    EXPECT_TRUE(n == 0 || (*seen.begin() == 0 && *seen.rbegin() == n - 1));
  }
  int64_t fixed = 0, same = 0;
  Permutation a(1000, 5, 3), b(1000, 5, 4);
  for (int64_t i = 0; i < 1000; ++i) fixed += a(i) == i, same += a(i) == b(i);
  EXPECT_LT(fixed, 12);  // 1 expected, Poisson
  EXPECT_LT(same, 12);
}

TEST(Parallel, EveryPieceOnceWithAnyNumberOfThreads) {
  int before = threads();
  for (int t : {1, 2, 5}) {
    set_threads(t);
    for (int64_t n : {0, 1, 7, 64, 1001}) {
      std::vector<std::atomic<int>> count(static_cast<size_t>(n));
      std::atomic<int64_t> pieces{0};
      parallel_for(n, 10, [&](int64_t begin, int64_t end) {
        ++pieces;
        EXPECT_TRUE(begin % 10 == 0 && (end == n || end == begin + 10));
        for (int64_t i = begin; i < end; ++i) ++count[size_t(i)];
      });
      EXPECT_EQ(pieces, (n + 9) / 10);
      for (auto& c : count) EXPECT_EQ(c, 1);
    }
  }
  set_threads(before);
}

TEST(Parallel, NestedLoopsAndExceptions) {
  std::atomic<int> sum{0};
  parallel_for(8, 1,
               [&](int64_t, int64_t) { parallel_for(8, 1, [&](int64_t, int64_t) { ++sum; }); });
  EXPECT_EQ(sum, 64);
  EXPECT_THROW(parallel_for(100, 1, [](int64_t i, int64_t) { CHECK(i != 57, "57"); }), Error);
  parallel_for(100, 1, [&](int64_t, int64_t) { ++sum; });  // still works afterwards
  EXPECT_EQ(sum, 164);
  expect_error([] { set_threads(0); }, {"threads: 0"});
}

TEST(Simd, ExpIsWithinTwoUlp) {
  for (float x = -87.3f; x < 88.37f; x += 0.0137f) {
    float got = simd::exp(simd::broadcast(x))[0];
    EXPECT_NEAR(got, std::exp(double(x)), 2 * 0x1p-23 * std::exp(double(x))) << x;
  }
  EXPECT_EQ(simd::exp(simd::broadcast(-1000.f))[0], 0);
  EXPECT_EQ(simd::exp(simd::broadcast(0.f))[0], 1);
}

}  // namespace rmt::test

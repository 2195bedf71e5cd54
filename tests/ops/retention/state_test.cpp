// Why retention has a recurrent form and a softmax has none, in numbers (ops/retention/README.md,
// "Why a softmax ends the recurrent form").
#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "ops/retention/retention.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

constexpr int64_t kL = 64, kD = 8, kE = 5;
const double kDecay = std::log(1 - std::exp2(-5));

struct Matrix {
  int64_t rows, columns;
  std::vector<double> numbers;
  double& operator()(int64_t i, int64_t j) { return numbers[size_t(i * columns + j)]; }
};

// The pivots of Gaussian elimination with full pivoting, in order; as many as the smaller side has.
// A matrix of rank r has r that are not 0 but for rounding.
std::vector<double> pivots(Matrix a) {
  std::vector<double> out;
  for (int64_t p = 0; p < std::min(a.rows, a.columns); ++p) {
    int64_t row = p, column = p;
    for (int64_t i = p; i < a.rows; ++i)
      for (int64_t j = p; j < a.columns; ++j)
        if (std::fabs(a(i, j)) > std::fabs(a(row, column))) row = i, column = j;
    for (int64_t j = 0; j < a.columns; ++j) std::swap(a(p, j), a(row, j));
    for (int64_t i = 0; i < a.rows; ++i) std::swap(a(i, p), a(i, column));
    out.push_back(std::fabs(a(p, p)));
    if (a(p, p) == 0) continue;
    for (int64_t i = p + 1; i < a.rows; ++i) {
      const double factor = a(i, p) / a(p, p);
      for (int64_t j = p; j < a.columns; ++j) a(i, j) -= factor * a(p, j);
    }
  }
  return out;
}

int64_t rank(const std::vector<double>& pivots) {
  int64_t n = 0;
  for (double p : pivots) n += p > 1e-12 * pivots[0];
  return n;
}

// The weights with which positions n >= t see positions m < t, (L - t, t): gamma^(n-m) times the
// score q_n . k_m D^-1/2, or times its exponential. A softmax would divide each row by a number,
// which changes no rank.
Matrix past(const Tensor& q, const Tensor& k, int64_t t, bool exponential) {
  Matrix a{kL - t, t, std::vector<double>(size_t((kL - t) * t))};
  for (int64_t n = t; n < kL; ++n)
    for (int64_t m = 0; m < t; ++m) {
      double score = 0;
      for (int64_t d = 0; d < kD; ++d)
        score += q.data<double>()[n * kD + d] * k.data<double>()[m * kD + d];
      score /= std::sqrt(double(kD));
      a(n - t, m) = std::exp(kDecay * double(n - m)) * (exponential ? std::exp(score) : score);
    }
  return a;
}

}  // namespace

// From t on, the positions before t count through the state S = sum_m gamma^(t-1-m) k_m^T v_m
// alone: D E numbers, however many the positions are.
TEST(RetentionState, IsAllThatThePastNeeds) {
  const int64_t t = 40;
  const Tensor q = randn({1, kL, kD}, 1), k = randn({1, kL, kD}, 2), v = randn({1, kL, kE}, 3);
  const Tensor decay = Tensor::full({1}, kDecay, DType::f64);
  const Tensor y = ops::retention(q, k, v, decay, {1, ops::RetentionForm::parallel});
  std::vector<double> state(size_t(kD * kE));
  for (int64_t m = 0; m < t; ++m)
    for (int64_t i = 0; i < kD * kE; ++i)
      state[size_t(i)] += std::exp(kDecay * double(t - 1 - m)) * k.data<double>()[m * kD + i / kE] *
                          v.data<double>()[m * kE + i % kE];
  auto from_t = [&](const Tensor& x, int64_t C) {
    return Tensor::from(std::vector<double>(x.data<double>() + t * C, x.data<double>() + kL * C),
                        {1, kL - t, C});
  };
  const Tensor recent = ops::retention(from_t(q, kD), from_t(k, kD), from_t(v, kE), decay, {1});
  for (int64_t n = t; n < kL; ++n)
    for (int64_t e = 0; e < kE; ++e) {
      double sum = recent.data<double>()[(n - t) * kE + e];
      for (int64_t d = 0; d < kD; ++d)
        sum += std::exp(kDecay * double(n - t + 1)) * q.data<double>()[n * kD + d] *
               state[size_t(d * kE + e)];
      // Sums of D 64 terms of order 1.
      EXPECT_NEAR(sum, y.data<double>()[n * kE + e], 1e-12);
    }
}

// A state of D rows can carry a matrix of rank D at most. Retention's has rank D; with exponentials
// the rank is as large as the matrix: each position of the past is remembered in full, or changed.
TEST(RetentionState, ASoftmaxHasNone) {
  const Tensor q = randn({kL, kD}, 1), k = randn({kL, kD}, 2);
  for (int64_t t : {4, 8, 16, 32, 48}) {
    const int64_t most = std::min(t, kL - t);
    const std::vector<double> linear = pivots(past(q, k, t, false)),
                              exponential = pivots(past(q, k, t, true));
    EXPECT_EQ(rank(linear), std::min(most, kD)) << t;
    EXPECT_EQ(rank(exponential), most) << t;
    // Not by a hair: where retention's next pivot is rounding, the exponentials' last is 1e-4.
    if (most > kD) {
      EXPECT_LT(linear[kD], 1e-14 * linear[0]) << t;
    }
    EXPECT_GT(exponential.back(), 1e-4 * exponential[0]) << t;
  }
}

}  // namespace rmt::test

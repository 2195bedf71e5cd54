// The definition against small cases that one can do by hand, its gradient against the op's, and
// the properties of attention that README.md derives. Each is of the op and of the definition at
// once, since ManhattanAttention.Op holds one against the other.
#include "tests/ops/attention/attention_inputs.h"

namespace rmt::test {

using ops::Axis, ops::DecayMode, ops::ManhattanOptions;

// k = 0 makes all scores 0. A step of distance halves a weight.
//   0 1      from position 0 the distances are 0 1      the weights before division  1   1/2
//   2 3                                        1 2                                   1/2 1/4
TEST(AttentionDefinition, TwoByTwoByHand) {
  const Tensor q = randn({1, 2, 2, 1}, 1), k = Tensor::zeros({1, 2, 2, 1}, DType::f64);
  const Tensor decay = Tensor::full({1}, std::log(0.5), DType::f64);
  const auto first_row = [&](Axis axis, DecayMode mode) {
    return ops::definition::attention_weights(q, k, decay, {}, {1, axis, mode}, 0, 0)[0];
  };
  const auto expect_row = [&](Axis axis, DecayMode mode, const std::vector<double>& expected) {
    const std::vector<double> row = first_row(axis, mode);
    for (size_t j = 0; j < 4; ++j) EXPECT_NEAR(row[j], expected[j], 4 * kEps64) << j;
  };
  for (DecayMode mode : {DecayMode::log_additive, DecayMode::post_multiply_normalised}) {
    expect_row(Axis::both, mode, {4 / 9., 2 / 9., 2 / 9., 1 / 9.});
    expect_row(Axis::W, mode, {2 / 3., 1 / 3., 0, 0});
    expect_row(Axis::H, mode, {2 / 3., 0, 1 / 3., 0});
  }
  expect_row(Axis::both, DecayMode::post_multiply, {1 / 4., 1 / 8., 1 / 8., 1 / 16.});
  expect_row(Axis::W, DecayMode::post_multiply, {1 / 2., 1 / 4., 0, 0});
}

// A quarter turn takes (1, 0) to (0, 1), and back.
TEST(AttentionDefinition, RotationByHand) {
  Tensor quarter = Tensor::zeros({1, 2}, DType::f64);
  quarter.data<double>()[1] = 1;  // cosine 0, sine 1
  const ops::definition::Matrix x{{1, 0}}, up{{0, 1}};
  EXPECT_EQ(ops::definition::rotated(x, quarter), up);
  EXPECT_EQ(ops::definition::rotated(up, quarter, -1), x);
}

// Both derivations of the gradients, this one row by row and the op's with the normalisations taken
// together, in sums of up to 35 terms.
TEST(AttentionDefinition, Gradient) {
  for (Axis axis : kAxes)
    for (DecayMode mode : kModes) {
      const ManhattanOptions o{2, axis, mode};
      const std::vector<Tensor> in = inputs_for(2, 5, 7, 2, 6);
      const Tensor dy = randn(in[0].shape(), 9);
      const std::vector<Tensor> op = results(in, dy, o, DType::f64, Device::cpu);
      const auto [dq, dk, dv] =
          ops::definition::manhattan_attention_gradient(in[0], in[1], in[2], in[3], in[4], o, dy);
      EXPECT_LE(relative_error(op[1], dq), 64 * kEps64) << name_of(o);
      EXPECT_LE(relative_error(op[2], dk), 64 * kEps64) << name_of(o);
      EXPECT_LE(relative_error(op[3], dv), 64 * kEps64) << name_of(o);
    }
}

// Each entry of A is off by the rounding of its exponent (|S| + |decay d| up to 15, a few roundings
// each) and of a handful of operations.
TEST(ManhattanAttention, NormalisedPostMultiplyIsLogAdditive) {
  for (Axis axis : kAxes)
    for (DType dtype : {DType::f64, DType::f32}) {
      const std::vector<Tensor> in = inputs_for(2, 13, 11, 3, 16);
      const Tensor u = randn(in[0].shape(), 7);
      const auto by = [&](DecayMode mode) {
        return results(in, u, {3, axis, mode}, dtype, Device::cpu);
      };
      const std::vector<Tensor> a = by(DecayMode::log_additive);
      const std::vector<Tensor> b = by(DecayMode::post_multiply_normalised);
      const double rounding = dtype == DType::f64 ? kEps64 : kEps32;
      for (size_t i = 0; i < 4; ++i) EXPECT_LE(relative_error(b[i], a[i]), 64 * rounding) << i;
    }
}

// The third mode is another function: its result is smaller by its row sums.
TEST(ManhattanAttention, PostMultiplyIsAnother) {
  for (Axis axis : kAxes) {
    const std::vector<Tensor> in = inputs_for(1, 7, 9, 2, 8);
    EXPECT_GT(relative_error(attend(in, {2, axis, DecayMode::post_multiply}),
                             attend(in, {2, axis, DecayMode::log_additive})),
              0.1);
  }
}

TEST(ManhattanAttention, WithoutDecayAllModesAreVanillaAttention) {
  for (Axis axis : kAxes) {
    const std::vector<Tensor> in = inputs_for(1, 7, 9, 2, 8);
    std::vector<Tensor> none = in, zero = in;
    none[3] = Tensor();
    zero[3] = Tensor::zeros({2}, DType::f64);
    const Tensor vanilla = attend(none, {2, axis, DecayMode::log_additive});
    for (DecayMode mode : kModes)
      expect_near(attend(zero, {2, axis, mode}), vanilla, 32 * kEps64, name_of({2, axis, mode}));
    // With decay they are not.
    EXPECT_GT(relative_error(attend(in, {2, axis, DecayMode::log_additive}), vanilla), 0.01);
  }
}

// Row sums of A, by attending to v = 1: 1 for the normalised modes, less for the paper's product.
TEST(ManhattanAttention, RowSums) {
  for (Axis axis : kAxes) {
    std::vector<Tensor> in = inputs_for(2, 6, 5, 2, 8);
    in[2] = Tensor::full(in[2].shape(), 1, DType::f64);
    for (DecayMode mode : {DecayMode::log_additive, DecayMode::post_multiply_normalised})
      expect_near(attend(in, {2, axis, mode}), in[2], 32 * kEps64, name_of({2, axis, mode}));
    for (double v : attend(in, {2, axis, DecayMode::post_multiply}).to_vector<double>()) {
      EXPECT_LT(v, 1);
      EXPECT_GT(v, 0);
    }
  }
}

// Along W, then along H on the result.
static Tensor decomposed(const std::vector<Tensor>& in, DecayMode mode, Axis first = Axis::W) {
  std::vector<Tensor> second = in;
  second[2] = attend(in, {2, first, mode});
  return attend(second, {2, first == Axis::W ? Axis::H : Axis::W, mode});
}

// The product of the two one-dimensional decays is the Manhattan decay, exp(a |dx|) exp(a |dy|) =
// exp(a (|dx| + |dy|)). So with equal scores the two passes are the full attention, in any order.
TEST(ManhattanAttention, DecomposedIsFullWhenScoresAreEqual) {
  for (DecayMode mode : kModes) {
    std::vector<Tensor> in = inputs_for(1, 5, 7, 2, 6);
    in[1].fill(0);
    const Tensor full = attend(in, {2, Axis::both, mode});
    expect_near(decomposed(in, mode), full, 16 * kEps64, str("mode ", int(mode)));
    expect_near(decomposed(in, mode, Axis::H), full, 16 * kEps64, str("mode ", int(mode)));
  }
}

// With scores they are not: a softmax of a row knows nothing of the other rows' scores. Nor do the
// two orders agree.
TEST(ManhattanAttention, DecomposedIsNotFull) {
  for (DecayMode mode : kModes) {
    const std::vector<Tensor> in = inputs_for(1, 5, 7, 2, 6);
    const Tensor full = attend(in, {2, Axis::both, mode}), W_then_H = decomposed(in, mode);
    EXPECT_GT(relative_error(W_then_H, full), 0.1) << int(mode);
    EXPECT_GT(relative_error(decomposed(in, mode, Axis::H), W_then_H), 0.1) << int(mode);
  }
}

// On a map of one row or one column they are again: a line of one position has weight 1, so that
// pass changes nothing, bit for bit.
TEST(ManhattanAttention, OneRowOrColumnDecomposedIsFull) {
  for (DecayMode mode : kModes)
    for (bool row : {true, false}) {
      const std::vector<Tensor> in = row ? inputs_for(2, 1, 13, 2, 6) : inputs_for(2, 13, 1, 2, 6);
      const std::string name = str("mode ", int(mode), row ? ", row" : ", column");
      const Tensor full = attend(in, {2, Axis::both, mode});
      expect_near(decomposed(in, mode), full, 8 * kEps64, name);
      const Axis alone = row ? Axis::H : Axis::W;
      expect_near(attend(in, {2, alone, mode}), in[2], 0, name);
    }
}

// The same row in every row of the map gives the same result in each, though the angles of row y
// are those of x + y W; columns likewise. The table is exact to 2^-53 (not rounded to float, which
// would show), so scores differ by D roundings or so.
TEST(ManhattanAttention, ScoresDependOnTheDifferenceOfPositionsOnly) {
  const int64_t H = 9, W = 11, heads = 2, D = 16;
  Tensor exact = Tensor::empty({H * W, D}, DType::f64);
  for (int64_t n = 0; n < H * W; ++n)
    for (int64_t j = 0; j < D; ++j) {
      const double angle = double(n) * std::pow(10000, -double(j / 2) / double(D / 2 - 1));
      exact.data<double>()[n * D + j] = j % 2 ? std::sin(angle) : std::cos(angle);
    }
  for (Axis axis : {Axis::W, Axis::H}) {
    std::vector<Tensor> in = inputs_for(1, H, W, heads, D);
    in[4] = exact;
    // The position of n's copy in the first row or column.
    const auto first = [&](int64_t n) { return axis == Axis::W ? n % W : n / W * W; };
    const auto copied = [&](const Tensor& x) {
      Tensor y = x.clone();
      for (int64_t n = 0; n < H * W; ++n)
        for (int64_t c = 0; c < heads * D; ++c)
          y.data<double>()[n * heads * D + c] = x.data<double>()[first(n) * heads * D + c];
      return y;
    };
    for (size_t i = 0; i < 3; ++i) in[i] = copied(in[i]);
    const Tensor y = attend(in, {heads, axis});
    // Angles n theta up to 100 carry an error of 100 * 2^-53.
    expect_near(y, copied(y), 1e-13, name_of({heads, axis}));
  }
}

}  // namespace rmt::test

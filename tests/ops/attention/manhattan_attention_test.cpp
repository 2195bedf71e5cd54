// The op against its definition, by check_op, and what check_op does not see: long lines, huge
// scores, arguments that do not fit.
#include "core/cuda/device.h"
#include "tests/ops/attention/attention_inputs.h"

namespace rmt::test {
namespace {

using ops::Axis, ops::DecayMode, ops::ManhattanOptions;

void check(int64_t B, int64_t H, int64_t W, int64_t heads, int64_t D, bool rotary, bool decay,
           const ManhattanOptions& o, int64_t probes = 20, bool on_gpu = true) {
  std::vector<Tensor> in = inputs_for(B, H, W, heads, D, rotary);
  if (!decay) in[3] = Tensor();
  CheckOptions c;
  c.reference = [&](Inputs x) { return define(x, o).to_vector<double>(); };
  c.differentiable = {true, true, true, false, false};
  c.parameters = {false, false, false, true, true};
  // A score is a sum of D products, up to about 5 here, and moves its weight e^S by its own
  // rounding: |S| + sqrt D roundings. The gradients of q and k are differences, dS = A (dA - sum A
  // dA), a few times smaller than the terms that they are made of.
  c.f32_tolerance = 64 * kEps32;
  // On tensor cores q', k', P and dS are rounded to bf16: four errors as large as the result's own,
  // seen through sums of many.
  if (D == 16 || D == 32) c.bf16_tolerance = 0x1p-9;
  // A line of one position has no gradient of scores; that not all is zero is seen by the
  // definition and the differences.
  c.may_be_zero = true;
  c.max_probes = probes;
  c.on_gpu = on_gpu;
  const std::string name = str("manhattan_attention (", B, ", ", H, ", ", W, ", ", heads * D, "), ",
                               name_of(o), rotary ? ", rotary" : "", decay ? ", decay" : "");
  check_op(
      name, [&](Inputs x) { return attend(x, o); }, in, c);
}

}  // namespace

TEST(ManhattanAttention, Op) {
  struct Case {
    int64_t B, H, W, heads, D;
    bool rotary, decay;
  };
  // Of the case: an emulated GPU has time for a third of the nine kinds of each, another third each
  // time.
  int number = 0;
  for (Case c : {Case{1, 1, 1, 1, 2, true, true},
                 {2, 5, 7, 2, 4, true, true},
                 {1, 2, 13, 1, 16, true, true},
                 {1, 13, 2, 3, 6, true, true},
                 {1, 7, 5, 1, 32, true, false},
                 {2, 1, 7, 2, 10, true, true},
                 {1, 13, 1, 1, 33, false, true},
                 {1, 7, 7, 2, 1, false, true},
                 {1, 5, 13, 2, 18, false, false},
                 {0, 5, 7, 2, 4, true, true},
                 {1, 0, 7, 2, 4, true, true},
                 {3, 2, 1, 1, 17, false, true}}) {
    for (Axis axis : kAxes)
      for (DecayMode mode : kModes)
        check(c.B, c.H, c.W, c.heads, c.D, c.rotary, c.decay, {c.heads, axis, mode}, 20,
              (number + int(axis) + int(mode)) % 3 == 0);
    ++number;
  }
}

TEST(ManhattanAttention, LinesOfSeveralBlocksOfQueries) {
  for (DecayMode mode : kModes) {
    check(1, 13, 15, 1, 8, true, true, {1, Axis::both, mode}, 12, mode == DecayMode::post_multiply);
    check(1, 1, 77, 1, 16, true, true, {1, Axis::W, mode}, 12, mode == DecayMode::log_additive);
    check(1, 66, 1, 2, 6, true, true, {2, Axis::H, mode}, 12,
          mode == DecayMode::post_multiply_normalised);
  }
}

// The definition at a few queries only. In f32 the sums over 4200 keys add about sqrt(4200) = 65
// roundings to those of the scores.
TEST(ManhattanAttention, FullAttentionOverThousandsOfPositions) {
  const ManhattanOptions o{1, Axis::both};
  std::vector<Tensor> in = inputs_for(1, 60, 70, 1, 16);
  Tensor y = attend(in, o), y32 = attend(to(in, DType::f32), o);
  for (int64_t i : {0, 63, 64, 2099, 4199}) {
    const std::vector<double> A =
        ops::definition::attention_weights(in[0], in[1], in[3], in[4], o, 0, 0, i);
    for (int64_t c = 0; c < 16; ++c) {
      double expected = 0;
      for (int64_t j = 0; j < 4200; ++j) expected += A[j] * in[2].data<double>()[j * 16 + c];
      EXPECT_NEAR(y.data<double>()[i * 16 + c], expected, 1e-12) << i << ", " << c;
    }
  }
  EXPECT_LE(relative_error(y32, y), (64 + 65) * kEps32);
}

TEST(ManhattanAttention, HugeScoresAndSteepDecayStayFinite) {
  for (DType dtype : {DType::f32, DType::f64})
    for (DecayMode mode : kModes) {
      std::vector<Tensor> in = inputs_for(1, 5, 6, 2, 8);
      // Scores of 10^5.
      for (int i = 0; i < 2; ++i)
        for (int64_t j = 0; j < in[0].numel(); ++j) in[i].data<double>()[j] *= 300;
      std::vector<Tensor> x = to(in, dtype);
      for (double v : attend(x, {2, Axis::both, mode}).to(DType::f64).to_vector<double>())
        EXPECT_TRUE(std::isfinite(v)) << int(mode);
      in = inputs_for(1, 5, 6, 2, 8);
      // A neighbour weighs e^-60: everybody attends to himself.
      in[3].fill(-60);
      if (mode == DecayMode::post_multiply) continue;
      expect_near(attend(to(in, dtype), {2, Axis::both, mode}), in[2].to(dtype),
                  4 * (dtype == DType::f64 ? kEps64 : kEps32) * 5, "identity");
    }
}

TEST(ManhattanAttention, Errors) {
  Tensor x = Tensor::zeros({2, 3, 5, 8}), none;
  auto call = [](const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& decay,
                 const Tensor& rotary, int64_t heads) {
    return [=] { ops::manhattan_attention(q, k, v, decay, rotary, {heads}); };
  };
  expect_error(call({}, x, x, none, none, 2), {"manhattan_attention", "q"});
  expect_error(call(Tensor::zeros({3, 5, 8}), x, x, none, none, 2),
               {"manhattan_attention", "q is (3, 5, 8)", "(B, H, W, C)"});
  expect_error(call(x, Tensor::zeros({2, 3, 4, 8}), x, none, none, 2),
               {"k is f32 (2, 3, 4, 8)", "(2, 3, 5, 8)"});
  expect_error(call(x, x, Tensor::zeros({2, 3, 5, 8}, DType::f64), none, none, 2),
               {"v is f64", "f32"});
  expect_error(call(x, x, x, none, none, 3), {"8 channels", "3 heads"});
  expect_error(call(x, x, x, none, none, 0), {"0 heads"});
  expect_error(call(x, x, x, Tensor::zeros({4}), none, 2), {"decay is f32 (4)", "(2)"});
  expect_error(call(x, x, x, leaf(Tensor::zeros({2})), none, 2),
               {"decay has no gradient", "detach"});
  expect_error(call(x, x, x, none, Tensor::zeros({15, 8}), 2),
               {"rotary is f32 (15, 8)", "(15, 4)"});
  expect_error(call(x, x, x, none, Tensor::zeros({15, 1}), 8), {"pairs", "1"});
}

}  // namespace rmt::test

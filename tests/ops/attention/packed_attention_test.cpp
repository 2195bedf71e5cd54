// packed_attention against its definition in plain loops, by check_op: on the CPU and in shapes that
// are not RMT's it is made of other ops, in bf16 on a GPU of kernels of its own.
#include "ops/attention/packed_attention.h"

#include "core/cuda/device.h"
#include "tests/ops/attention/attention_inputs.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/emulator.h"
#endif

namespace rmt::test {
namespace {

using ops::Axis, ops::DecayMode, ops::PackedOptions;

struct Case {
  int64_t B, H, W, heads, D;
  bool decomposed;
  int64_t k = 5;  // 0: no LCE
  bool rotary = true, decay = true, bias = true;
  DecayMode mode = DecayMode::log_additive;

  int64_t C() const { return heads * D; }
  PackedOptions options() const { return {heads, decomposed, mode}; }
  std::string name() const {
    return str("packed_attention (", B, ", ", H, ", ", W, ", 3 * ", heads, " * ", D, "), ",
               decomposed ? "W, H" : "both", ", k ", k, ", mode ", int(mode),
               rotary ? ", rotary" : "", decay ? ", decay" : "", bias ? ", bias" : "");
  }
  // qkv, lepe_w, lepe_bias, decay, rotary
  std::vector<Tensor> inputs() const {
    Tensor none;
    return {randn({B, H, W, 3 * C()}, 1), k ? randn({C(), 1, k, k}, 2, 0, 0.2) : none,
            k && bias ? randn({C()}, 3) : none, decay ? decays(heads) : none,
            rotary ? rotary_of(H, W, D) : none};
  }
};

Tensor packed(Inputs in, const PackedOptions& o) {
  return ops::packed_attention(in[0], in[3], in[4], in[1], in[2], o);
}

// The columns [first, first + C) of x (B, H, W, 3 C), in f64.
Tensor columns(const Tensor& x, int64_t first, int64_t C) {
  Tensor y = Tensor::empty({x.dim(0), x.dim(1), x.dim(2), C}, DType::f64);
  for (int64_t i = 0; i < y.numel(); ++i)
    y.data<double>()[i] = x.data<double>()[i / C * x.dim(3) + first + i % C];
  return y;
}

// y = A v, in one pass or two, and then for each number the taps of LCE.
std::vector<double> define_packed(Inputs in, const PackedOptions& o) {
  const Tensor &w = in[1], &bias = in[2];
  const int64_t H = in[0].dim(1), W = in[0].dim(2), C = in[0].dim(3) / 3;
  const Tensor q = columns(in[0], 0, C), k = columns(in[0], C, C), v = columns(in[0], 2 * C, C);
  const auto attend = [&](const Tensor& values, Axis axis) {
    return ops::definition::manhattan_attention(q, k, values, in[3], in[4],
                                                {o.heads, axis, o.mode});
  };
  Tensor y = o.decomposed ? attend(attend(v, Axis::W), Axis::H) : attend(v, Axis::both);
  const int64_t K = w.defined() ? w.dim(2) : 0;
  for (int64_t i = 0; i < y.numel(); ++i) {
    const int64_t c = i % C, column = i / C % W, row = i / C / W % H;
    if (bias.defined()) y.data<double>()[i] += bias.data<double>()[c];
    for (int64_t t = 0; t < K * K; ++t) {
      const int64_t dy = t / K - K / 2, dx = t % K - K / 2;
      if (row + dy < 0 || row + dy >= H || column + dx < 0 || column + dx >= W) continue;
      y.data<double>()[i] +=
          w.data<double>()[c * K * K + t] * v.data<double>()[i + (dy * W + dx) * C];
    }
  }
  return y.to_vector<double>();
}

void check(const Case& c, int64_t probes = 20) {
  CheckOptions o;
  o.reference = [&](Inputs in) { return define_packed(in, c.options()); };
  o.differentiable = {true, c.k > 0, c.k > 0 && c.bias, false, false};
  o.parameters = {false, true, true, true, true};
  // As in manhattan_attention_test.cpp; the second attention reads what the first has rounded.
  o.f32_tolerance = 2 * 64 * kEps32;
  // bf16: the roundings of q', k', P, dS of either attention (2^-9 for each, as there); y1 and dy1;
  // A v before LCE is added; and of each gradient what two passes have added to it.
  o.bf16_tolerance = 2 * 0x1p-9 + 0x1p-9;
  o.max_probes = probes;
  check_op(
      c.name(), [&](Inputs in) { return packed(in, c.options()); }, c.inputs(), o);
}

}  // namespace

TEST(PackedAttention, Op) {
  for (const Case& c : {Case{2, 3, 5, 2, 4, true},
                        {1, 1, 1, 1, 2, true},
                        {1, 5, 4, 3, 6, false, 3},
                        {1, 2, 7, 1, 5, true, 5, false},
                        {2, 3, 3, 2, 4, true, 5, true, true, true, DecayMode::post_multiply},
                        {1, 4, 3, 2, 2, false, 0},
                        {0, 4, 3, 2, 2, true}})
    check(c);
}

// The shapes of RMT, for which a GPU has kernels.
TEST(PackedAttention, OpInShapesOfRmt) {
  for (const Case& c : {Case{2, 3, 5, 2, 16, true},
                        {1, 7, 7, 2, 32, false},
                        {1, 4, 18, 1, 16, true},
                        {1, 5, 2, 2, 32, true, 5, false, true, true},
                        {1, 3, 4, 1, 32, false, 5, true, false, false},
                        {2, 4, 3, 1, 32, true, 0}})
    check(c, 8);
}

TEST(PackedAttention, Errors) {
  const Tensor x = Tensor::zeros({2, 3, 5, 24}), w = Tensor::zeros({8, 1, 5, 5}), none;
  const auto call = [](const Tensor& qkv, const Tensor& decay, const Tensor& rotary,
                       const Tensor& lepe_w, const Tensor& lepe_bias, int64_t heads) {
    return [=] { ops::packed_attention(qkv, decay, rotary, lepe_w, lepe_bias, {heads}); };
  };
  expect_error(call(none, none, none, none, none, 2), {"packed_attention", "qkv"});
  expect_error(call(Tensor::zeros({2, 3, 5, 8}), none, none, none, none, 2),
               {"(2, 3, 5, 8)", "(B, H, W, 3 C)"});
  expect_error(call(x, none, none, none, none, 3), {"8 channels", "3 heads"});
  expect_error(call(x, Tensor::zeros({3}), none, none, none, 2), {"decay is f32 (3)", "(2)"});
  expect_error(call(x, leaf(Tensor::zeros({2})), none, none, none, 2), {"decay", "detach"});
  expect_error(call(x, none, Tensor::zeros({15, 8}), none, none, 2), {"rotary", "(15, 4)"});
  expect_error(call(x, none, none, Tensor::zeros({8, 1, 4, 4}), none, 2), {"(8, 1, 4, 4)", "odd"});
  expect_error(call(x, none, none, Tensor::zeros({4, 1, 5, 5}), none, 2),
               {"lepe_w", "(8, 1, 5, 5)"});
  expect_error(call(x, none, none, w, Tensor::zeros({9}), 2), {"lepe_bias", "(9)"});
  expect_error(call(x, none, none, none, Tensor::zeros({8}), 2), {"lepe_bias without lepe_w"});
}

}  // namespace rmt::test

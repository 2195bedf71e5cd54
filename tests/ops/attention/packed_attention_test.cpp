// packed_attention against its definition in plain loops, by check_op: on the CPU and in shapes
// that are not RMT's it is made of other ops, in bf16 on a GPU of kernels of its own.
#include "ops/attention/packed_attention.h"

#include "core/cuda/device.h"
#include "core/cuda/limits.h"
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

// bf16: the roundings of q', k', P, dS of either attention, 2^-9 as in
// manhattan_attention_test.cpp; y1 and dy1; A v before LCE is added; and of each gradient the parts
// that two passes add.
constexpr double kBf16Tolerance = 2 * 0x1p-9 + 0x1p-9;

// y, dq, dk, dv, and the gradients of lepe_w and lepe_bias where they are there; y alone without u.
std::vector<Tensor> results(const Case& c, Inputs in, const Tensor& u, DType dtype, Device device) {
  std::vector<Tensor> x;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!in[i].defined()) {
      x.emplace_back();
      continue;
    }
    const Tensor here = in[i].to(i == 0 ? dtype : wide(dtype)).to(device);
    x.push_back(i < 3 ? leaf(here) : here);
  }
  const Tensor y = packed(x, c.options());
  std::vector<Tensor> out{y.detach().to(Device::cpu)};
  if (!u.defined()) return out;
  backward(y, u.to(dtype).to(device));
  const Tensor dqkv = grad(x[0]).to(Device::cpu).to(DType::f64);
  for (int64_t part = 0; part < 3; ++part) out.push_back(columns(dqkv, part * c.C(), c.C()));
  for (size_t i = 1; i < 3; ++i)
    if (x[i].defined()) out.push_back(grad(x[i]).to(Device::cpu));
  return out;
}

void check(const Case& c, int64_t probes = 20) {
  CheckOptions o;
  o.reference = [&](Inputs in) { return define_packed(in, c.options()); };
  o.differentiable = {true, c.k > 0, c.k > 0 && c.bias, false, false};
  o.parameters = {false, true, true, true, true};
  // As in manhattan_attention_test.cpp; the second attention reads what the first has rounded.
  o.f32_tolerance = 2 * 64 * kEps32;
  o.bf16_tolerance = kBf16Tolerance;
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

#ifndef RMT_CUDA
// Launches of f.
template <class F>
int64_t launches(const F& f) {
  const int64_t before = emulator::counters().launches;
  f();
  return emulator::counters().launches - before;
}
#endif

// Forward and backward with so many bytes of shared memory for a block, in all orders of threads:
// against the exact results, the same bits in each order. forward, backward: the launches that must
// suffice; 0: any number.
void check_bf16(const Case& c, Inputs in, const Tensor& u, const std::vector<Tensor>& exact,
                int64_t shared_bytes, int64_t forward, int64_t backward) {
  const std::string name = str(c.name(), ", ", shared_bytes, " bytes of shared memory");
  cuda::Limits limits = cuda::limits();
  limits.shared_bytes = shared_bytes;
  const cuda::WithLimits with(limits);
  std::vector<std::vector<Tensor>> r;
  const auto train = [&] { r.push_back(results(c, in, u, DType::bf16, Device::cuda)); };
#ifndef RMT_CUDA
  int64_t trained = 0;
  for_thread_orders([&] { trained = launches(train); });
  const NoGrad off;
  const int64_t inferred = launches([&] { results(c, in, Tensor(), DType::bf16, Device::cuda); });
  EXPECT_TRUE(forward == 0 || inferred == forward) << name << ": " << inferred;
  EXPECT_TRUE(backward == 0 || trained - inferred == backward) << name << ": " << trained;
#else
  for_thread_orders(train);
#endif
  for (size_t i = 0; i < exact.size(); ++i) {
    // Results in f32 are sums of products of bf16 numbers, whose roundings are not theirs.
    EXPECT_LE(relative_error(r[0][i], exact[i]),
              2 * relative_error(exact[i].to(DType::bf16), exact[i]) + kBf16Tolerance)
        << name << ", result " << i;
    for (const std::vector<Tensor>& other : r)
      expect_near(other[i], r[0][i], 0, str(name, ", result ", i));
  }
}

// Whole heads in shared memory, one launch forward and, with the sum over the images, two backward;
// or W, H and LCE in turn where they do not fit: both against f64 on the CPU.
void check_whole_or_not(const Case& c, bool whole_forward, bool whole_backward) {
  std::vector<Tensor> in = c.inputs();
  in[0] = in[0].to(DType::bf16).to(DType::f64);
  const Tensor u = randn({c.B, c.H, c.W, c.C()}, 99).to(DType::bf16).to(DType::f64);
  const std::vector<Tensor> exact = results(c, in, u, DType::f64, Device::cpu);
  const int64_t apart = (c.decomposed ? 2 : 1) + (c.k > 0), fused = 1 + (c.k > 0);
  check_bf16(c, in, u, exact, 227 << 10, whole_forward ? 1 : apart, whole_backward ? fused : 0);
  if (whole_forward) check_bf16(c, in, u, exact, 0, apart, 0);
}

TEST(PackedAttention, WholeHeadsOfSmallMapsOrPassAfterPass) {
  if (!cuda::available()) GTEST_SKIP();
  for (const Case& c : {Case{1, 14, 14, 2, 32, true},
                        {2, 7, 7, 1, 32, true, 5, true, false, false},
                        {1, 13, 9, 2, 32, true, 5, false},
                        {3, 1, 2, 2, 32, true},
                        {2, 2, 11, 1, 32, true, 5, true, false},
                        {1, 10, 3, 3, 32, true, 0},
                        {2, 14, 5, 1, 32, true, 5, true, true, false}})
    check_whole_or_not(c, true, true);
}

TEST(PackedAttention, WholeHeadsOrPassAfterPass) {
  if (!cuda::available()) GTEST_SKIP();
  for (const Case& c : {Case{1, 28, 28, 1, 32, true},
                        {1, 17, 21, 1, 32, true, 5, false},
                        {1, 16, 16, 1, 32, true},
                        {1, 15, 6, 2, 32, true, 5, true, true, false},
                        {1, 4, 15, 1, 32, true, 0}})
    check_whole_or_not(c, true, false);
  for (const Case& c : {Case{1, 5, 19, 2, 32, true},
                        {1, 6, 5, 1, 32, true, 3},
                        {2, 7, 7, 2, 32, false},
                        {1, 9, 20, 2, 16, true}})
    check_whole_or_not(c, false, false);
}

// Blocks with less shared memory than backward wants: 99 KB, of sm_86, are enough; 64 are not, and
// then it goes pass after pass though forward does not.
TEST(PackedAttention, WholeHeadsGoByTheSharedMemory) {
  if (!cuda::available()) GTEST_SKIP();
  const Case c{1, 14, 14, 1, 32, true};
  const Tensor u = randn({c.B, c.H, c.W, c.C()}, 99);
  check_bf16(c, c.inputs(), u, {}, 99 << 10, 1, 2);
  check_bf16(c, c.inputs(), u, {}, 64 << 10, 1, 5);
  check_bf16(c, c.inputs(), u, {}, 48 << 10, 3, 5);
}

// Taps of 1003 and -1000, which bf16 would round to 1004 and -1000: of v = 1 their sum is 3.
TEST(PackedAttention, TapsOfWholeHeadsAreNotRounded) {
  if (!cuda::available()) GTEST_SKIP();
  const Case c{1, 6, 7, 1, 32, true, 5, false, true, false};
  std::vector<Tensor> in = c.inputs();
  in[0] = Tensor::full(in[0].shape(), 1, DType::f64);
  in[1] = Tensor::zeros(in[1].shape(), DType::f64);
  for (int64_t channel = 0; channel < c.C(); ++channel) {
    in[1].data<double>()[channel * 25 + 12] = 1003;
    in[1].data<double>()[channel * 25 + 13] = -1000;
  }
  const Tensor u = Tensor::full({c.B, c.H, c.W, c.C()}, 1, DType::f64);
  const std::vector<Tensor> exact = results(c, in, u, DType::f64, Device::cpu);
  const std::vector<Tensor> r = results(c, in, u, DType::bf16, Device::cuda);
  for (size_t i : {0, 3})  // y and dv, both about 4 where all taps lie on the map
    for (int64_t y = 0; y < c.H; ++y)
      for (int64_t at = (y * c.W + 1) * c.C(); at < (y * c.W + c.W - 1) * c.C(); ++at) {
        const double want = exact[i].data<double>()[at];
        EXPECT_NEAR(r[i].to(DType::f64).data<double>()[at], want, 0x1p-7 * want) << i << ", " << at;
      }
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

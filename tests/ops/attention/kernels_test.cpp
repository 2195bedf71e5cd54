// The CUDA kernels of attention on tensors whose positions lie apart, and gradients added to what
// is there: what other ops call them for.
#include "ops/attention/kernels.h"

#include "core/cuda/device.h"
#include "tests/ops/attention/attention_inputs.h"

namespace rmt::test {
namespace {

using ops::Axis, ops::ManhattanOptions;

struct Case {
  int64_t H, W, heads, D;
  Axis axis;
  DType dtype = DType::bf16;
};

// Each of the kernels for tensor cores, then the general ones.
const Case kCases[] = {{2, 56, 2, 16, Axis::W},
                       {56, 1, 3, 16, Axis::H},
                       {2, 28, 4, 32, Axis::W},
                       {14, 3, 8, 32, Axis::H},
                       {7, 7, 2, 32, Axis::both},
                       {3, 9, 2, 16, Axis::both},
                       {5, 7, 3, 32, Axis::both},
                       {1, 150, 1, 16, Axis::W},
                       {33, 2, 5, 32, Axis::H},
                       {5, 7, 2, 8, Axis::W},
                       {3, 5, 2, 16, Axis::H, DType::f32},
                       {3, 5, 3, 7, Axis::both, DType::f64}};

// The tensors x (B, H, W, C) side by side, (B H W, their channels and `gap` numbers more); those of
// the gap are 7.
Tensor side_by_side(const std::vector<Tensor>& x, int64_t gap) {
  const int64_t C = x[0].dim(3), L = x[0].numel() / C, columns = int64_t(x.size()) * C + gap;
  Tensor y = Tensor::full({L, columns}, 7, DType::f64);
  for (size_t n = 0; n < x.size(); ++n) {
    const Tensor from = x[n].to(DType::f64);
    for (int64_t i = 0; i < from.numel(); ++i)
      y.data<double>()[i / C * columns + int64_t(n) * C + i % C] = from.data<double>()[i];
  }
  return y;
}

template <class T>
struct Run {
  Tensor y, gradients;  // (B H W, C + 8); (B H W, 3 C + 8): dq, dk, dv, and what was there

  // From q, k and v side by side; the gradients begin as `there`.
  Run(const std::vector<Tensor>& in, const Tensor& u, const ManhattanOptions& o,
      const Tensor& there, bool add_qk, bool add_v) {
    constexpr DType dtype = dtype_of<T>;
    const int64_t C = u.dim(3);
    const auto put = [&](const Tensor& x, DType type) { return x.to(type).to(Device::cuda); };
    const auto at = [](const Tensor& x) { return static_cast<T*>(x.raw()); };
    const Tensor packed = put(side_by_side({in[0], in[1], in[2]}, 8), dtype);
    const Tensor dy = put(side_by_side({u}, 8), dtype), y_here = put(dy.to(Device::cpu), dtype);
    const Tensor decay = put(in[3], wide(dtype)), rotary;
    const Tensor gradients_here = put(there, dtype);
    const gpu::Attention<T> a{
        .q = at(packed),
        .k = at(packed) + C,
        .v = at(packed) + 2 * C,
        .dy = at(dy),
        .decay = static_cast<const Wide<T>*>(decay.raw()),
        .rotary = nullptr,
        .lines = {u.dim(0), u.dim(1), u.dim(2), o.heads, C / o.heads, o.axis, o.mode},
        .qk_stride = 3 * C + 8,
        .v_stride = 3 * C + 8,
        .y_stride = C + 8};
    gpu::attention_forward<T>(a, at(y_here));
    gpu::attention_backward<T>(a, {.dq = at(gradients_here),
                                   .dk = at(gradients_here) + C,
                                   .dv = at(gradients_here) + 2 * C,
                                   .add_qk = add_qk,
                                   .add_v = add_v});
    y = y_here.to(Device::cpu).to(DType::f64);
    gradients = gradients_here.to(Device::cpu).to(DType::f64);
  }
};

template <class T>
void check(const Case& c) {
  const ManhattanOptions o{c.heads, c.axis};
  const int64_t C = c.heads * c.D, columns = 3 * C + 8;
  const std::string name = str(name_of(o), ", ", c.H, " x ", c.W, ", D ", c.D, ", ", c.dtype);
  std::vector<Tensor> in = inputs_for(2, c.H, c.W, c.heads, c.D, false);
  for (size_t i = 0; i < 3; ++i) in[i] = in[i].to(c.dtype).to(DType::f64);
  const Tensor u = randn(in[0].shape(), 99).to(c.dtype).to(DType::f64);

  // Written: the bits of the op, and nothing beside them.
  const std::vector<Tensor> op = results(in, u, o, c.dtype, Device::cuda);
  const Tensor expected = side_by_side({op[1], op[2], op[3]}, 8);
  const Run<T> written(in, u, o, Tensor::full({expected.dim(0), columns}, 7, DType::f64), false,
                       false);
  expect_near(written.y, side_by_side({op[0]}, 8), 0, name);
  expect_near(written.gradients, expected, 0, name);

  // Added to the negative of half of the same gradient: half of it is left. In bf16 it was rounded
  // when it was written, by 2^-8 of itself at most, and the sum is by 2^-8 of half of it. Each flag
  // is for its own results.
  const double tolerance = c.dtype == DType::bf16 ? 1.5 * 0x1p-8 : 0;
  Tensor before = expected.clone();
  for (int64_t i = 0; i < before.numel(); ++i) before.data<double>()[i] *= -0.5;
  const Run<T> left_qk(in, u, o, before, true, false), left_v(in, u, o, before, false, true);
  for (int64_t i = 0; i < expected.numel(); ++i) {
    const double g = expected.data<double>()[i];
    const int64_t column = i % columns;
    const auto expect_left = [&](const Tensor& gradients, bool added) {
      const double x = gradients.data<double>()[i];
      if (added)
        EXPECT_LE(std::fabs(x - g / 2), tolerance * std::fabs(g)) << name << ", " << i;
      else
        EXPECT_EQ(x, column >= 3 * C ? -g / 2 : g) << name << ", " << i;
    };
    expect_left(left_qk.gradients, column < 2 * C);
    expect_left(left_v.gradients, column >= 2 * C && column < 3 * C);
  }
}

}  // namespace

TEST(AttentionKernels, GapsAndGradientsThatAreThere) {
  if (!cuda::available()) GTEST_SKIP();
  for (const Case& c : kCases)
    c.dtype == DType::bf16  ? check<bf16>(c)
    : c.dtype == DType::f32 ? check<float>(c)
                            : check<double>(c);
}

}  // namespace rmt::test

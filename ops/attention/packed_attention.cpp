// The op is defined by other ops, composed() below, which serve every device, type and shape. On a
// GPU in bf16, in the shapes of RMT, it has kernels of its own (packed_attention.cu), which compute
// the same with fewer passes over memory. With A along W and then H, y1 = A_W v:
//
//   y    = A_H y1 + LCE(v)
//   dw, dbias, dv        from LCE's backward of dy
//   dq,  dk,  dy1        from A_H's backward of dy
//   dq+, dk+, dv+        from A_W's backward of dy1
#include "ops/attention/packed_attention.h"

#include "ops/attention/lines.h"
#include "ops/depthwise_conv2d.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/multiply_adds.h"
#include "ops/slice.h"

namespace rmt {
namespace gpu {  // packed_attention.cu
// Do the kernels take these shapes, tensors at these addresses? Axis::W in lines stands for W and
// then H.
bool packed_attention_serves(const Lines& lines, const bf16* qkv, const float* rotary);
// y1 is written where it is not null. k is the filter's size.
void packed_attention_forward(const bf16* qkv, const float* decay, const float* rotary,
                              const float* w, const float* bias, bf16* y1, bf16* y,
                              const Lines& lines, int64_t k);
// dw and dbias may be null.
void packed_attention_backward(const bf16* qkv, const float* decay, const float* rotary,
                               const float* w, const bf16* y1, const bf16* dy, bf16* dqkv,
                               float* dw, float* dbias, const Lines& lines, int64_t k);
}  // namespace gpu

namespace {

constexpr const char* kOp = "packed_attention";

Lines lines_of(const Tensor& x, int64_t C, const ops::PackedOptions& o) {
  return {x.dim(0), x.dim(1),    x.dim(2),
          o.heads,  C / o.heads, o.decomposed ? ops::Axis::W : ops::Axis::both,
          o.mode};
}

// The definition.
Tensor composed(const Tensor& qkv, const Tensor& decay, const Tensor& rotary, const Tensor& lepe_w,
                const Tensor& lepe_bias, const ops::PackedOptions& o) {
  using ops::Axis;
  const int64_t C = qkv.dim(3) / 3;
  const Tensor q = ops::slice(qkv, 3, 0, C), k = ops::slice(qkv, 3, C, 2 * C);
  const Tensor v = ops::slice(qkv, 3, 2 * C, 3 * C);
  const auto attend = [&](const Tensor& values, Axis axis) {
    return ops::manhattan_attention(q, k, values, decay, rotary, {o.heads, axis, o.mode});
  };
  const Tensor gathered =
      o.decomposed ? attend(attend(v, Axis::W), Axis::H) : attend(v, Axis::both);
  return lepe_w.defined() ? ops::depthwise_conv2d(v, lepe_w, lepe_bias, gathered) : gathered;
}

void check(const Tensor& qkv, const Tensor& decay, const Tensor& rotary, const Tensor& lepe_w,
           const Tensor& lepe_bias, int64_t heads) {
  CHECK(qkv.defined() && qkv.rank() == 4 && qkv.dim(3) > 0 && qkv.dim(3) % 3 == 0, kOp, ": qkv is ",
        qkv.shape(), ", expected (B, H, W, 3 C) with C > 0");
  const int64_t C = qkv.dim(3) / 3;
  CHECK(heads > 0 && C % heads == 0, kOp, ": ", C, " channels cannot be divided among ", heads,
        " heads");
  const DType parameters = wide(qkv.dtype());
  if (decay.defined()) expect(kOp, "decay", decay, {heads}, parameters);
  CHECK(!decay.node, kOp, ": decay has no gradient; detach() it");
  if (rotary.defined())
    expect(kOp, "rotary", rotary, {qkv.dim(1) * qkv.dim(2), C / heads}, parameters);
  CHECK(!rotary.node, kOp, ": rotary has no gradient; detach() it");
  const int64_t k = lepe_w.defined() && lepe_w.rank() == 4 ? lepe_w.dim(2) : 1;
  if (lepe_w.defined()) expect(kOp, "lepe_w", lepe_w, {C, 1, k, k}, parameters);
  CHECK(k % 2 == 1, kOp, ": lepe_w is ", lepe_w.shape(), "; the filter's size must be odd");
  CHECK(lepe_w.defined() || !lepe_bias.defined(), kOp, ": lepe_bias without lepe_w");
  if (lepe_bias.defined()) expect(kOp, "lepe_bias", lepe_bias, {C}, parameters);
}

}  // namespace

bool ops::packs(const Tensor& x, const PackedOptions& o) {
  return x.device() == Device::cuda && x.dtype() == DType::bf16 && x.rank() == 4 && o.heads > 0 &&
         x.dim(3) % o.heads == 0 &&
         gpu::packed_attention_serves(lines_of(x, x.dim(3), o), nullptr, nullptr);
}

Tensor ops::packed_attention(const Tensor& qkv, const Tensor& decay, const Tensor& rotary,
                             const Tensor& lepe_w, const Tensor& lepe_bias,
                             const PackedOptions& options) {
  check(qkv, decay, rotary, lepe_w, lepe_bias, options.heads);
  const int64_t C = qkv.dim(3) / 3, k = lepe_w.defined() ? lepe_w.dim(2) : 0;
  const Lines lines = lines_of(qkv, C, options);
  const bool own_kernels =
      qkv.device() == Device::cuda && qkv.dtype() == DType::bf16 && qkv.numel() > 0 &&
      gpu::packed_attention_serves(
          lines, static_cast<const bf16*>(qkv.raw()),
          rotary.defined() ? static_cast<const float*>(rotary.raw()) : nullptr);
  if (!own_kernels) return composed(qkv, decay, rotary, lepe_w, lepe_bias, options);

  const bool recorded = needs_grad({qkv, lepe_w, lepe_bias});
  Tensor y = Tensor::empty({lines.B, lines.H, lines.W, C}, qkv.dtype(), qkv.device()), y1;
  if (options.decomposed && recorded) y1 = Tensor::empty_like(y);
  call(kOp, qkv, gpu::packed_attention_forward, qkv, decay, rotary, lepe_w, lepe_bias, y1, y, lines,
       k);
  const int64_t keys = options.decomposed ? lines.W + lines.H : lines.H * lines.W;
  count_multiply_adds(y.numel() * (2 * keys + k * k));  // scores and values; taps
  return record(kOp, y, {qkv, lepe_w, lepe_bias},
                [qkv = qkv.detach(), decay, rotary, w = lepe_w.detach(), y1, lines, k,
                 need_w = needs_grad({lepe_w, lepe_bias}),
                 has_bias = lepe_bias.defined()](const Tensor& dy) -> Grads {
                  Tensor dqkv = Tensor::empty_like(qkv), dw, dbias;
                  if (need_w) dw = Tensor::empty_like(w);
                  if (need_w && has_bias) dbias = Tensor::empty({w.dim(0)}, w.dtype(), w.device());
                  call("packed_attention_backward", qkv, gpu::packed_attention_backward, qkv, decay,
                       rotary, w, y1, dy, dqkv, dw, dbias, lines, k);
                  return {dqkv, dw, dbias};
                });
}

}  // namespace rmt

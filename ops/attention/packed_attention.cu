// packed_attention in bf16. Where a head of an image fits shared memory, in stages 2 and 3 of RMT
// at 224 x 224, forward is one launch (whole_head_forward.cuh), and in stage 3 backward is
// (whole_head_backward.cuh). The rest is made of the kernels of manhattan_attention (kernels.h) and
// depthwise_conv2d (depthwise_calls.h) in turn, which take tensors inside wider ones: q, k and v
// are columns of qkv, dq, dk and dv of dqkv.
#include "core/cuda/limits.h"
#include "core/storage.h"
#include "ops/attention/whole_head_backward.cuh"
#include "ops/attention/whole_head_forward.cuh"
#include "ops/kernels/depthwise_calls.h"

namespace rmt::gpu {
namespace {

// What the calls of one packed_attention have in common.
struct Packed {
  Lines lines;
  int64_t C, k;
  const bf16* qkv;
  const float *decay, *rotary;

  const bf16* v() const { return qkv + 2 * C; }
  Map map() const { return {lines.B, lines.H, lines.W, C, k, k / 2}; }
  // A along `axis`, of values with v_stride numbers from a position to the next.
  Attention<bf16> along(ops::Axis axis, const bf16* values, int64_t v_stride,
                        const bf16* dy = nullptr) const {
    Lines l = lines;
    l.axis = axis;
    return {qkv, qkv + C, values, dy, decay, rotary, l, 3 * C, v_stride, C};
  }
};

}  // namespace

bool packed_attention_serves(const Lines& lines, const bf16* qkv, const float* rotary) {
  const int64_t longest =
      lines.axis == ops::Axis::both ? lines.H * lines.W : std::max(lines.H, lines.W);
  return (lines.D == 16 || lines.D == 32) && longest <= kMaxPositions &&
         lines.mode != ops::DecayMode::post_multiply && cuda::aligned(qkv, rotary);
}

void packed_attention_forward(const bf16* qkv, const float* decay, const float* rotary,
                              const float* w, const float* bias, bf16* y1, bf16* y,
                              const Lines& lines, int64_t k) {
  using ops::Axis;
  const Packed p{lines, lines.heads * lines.D, k, qkv, decay, rotary};
  if (const int side = whole_head::forward_side(lines, k, cuda::limits().shared_bytes))
    return whole_head::forward(side, p.along(Axis::W, p.v(), 3 * p.C), w, bias, y1, y);
  if (lines.axis == Axis::both) {
    attention_forward(p.along(Axis::both, p.v(), 3 * p.C), y);
  } else {
    const Storage own(y1 ? 0 : lines.B * lines.H * lines.W * p.C * sizeof(bf16), Device::cuda);
    if (!y1) y1 = static_cast<bf16*>(own.data());
    attention_forward(p.along(Axis::W, p.v(), 3 * p.C), y1);
    attention_forward(p.along(Axis::H, y1, p.C), y);
  }
  if (w) depthwise_convolve<bf16>(p.v(), 3 * p.C, w, bias, y, y, p.C, p.map(), false);
}

void packed_attention_backward(const bf16* qkv, const float* decay, const float* rotary,
                               const float* w, const bf16* y1, const bf16* dy, bf16* dqkv,
                               float* dw, float* dbias, const Lines& lines, int64_t k) {
  using ops::Axis;
  const Packed p{lines, lines.heads * lines.D, k, qkv, decay, rotary};
  const int64_t C = p.C;
  bf16 *dq = dqkv, *dk = dqkv + C, *dv = dqkv + 2 * C;
  if (whole_head::fits_backward(lines, k, cuda::limits().shared_bytes))
    return whole_head::backward(p.along(Axis::W, p.v(), 3 * C, dy), w, y1, {dq, dk, dv}, dw, dbias);
  if (w) depthwise_backward<bf16>(p.v(), 3 * C, dy, w, dv, 3 * C, dw, dbias, p.map(), false);
  const bool add_v = w != nullptr;
  if (lines.axis == Axis::both)
    return attention_backward<bf16>(p.along(Axis::both, p.v(), 3 * C, dy),
                                    {dq, dk, dv, false, add_v});
  const Storage own(lines.B * lines.H * lines.W * C * sizeof(bf16), Device::cuda);
  bf16* dy1 = static_cast<bf16*>(own.data());
  attention_backward<bf16>(p.along(Axis::H, y1, C, dy), {dq, dk, dy1});
  attention_backward<bf16>(p.along(Axis::W, p.v(), 3 * C, dy1), {dq, dk, dv, true, add_v});
}

}  // namespace rmt::gpu

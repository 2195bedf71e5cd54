// What the general kernels of manhattan_attention.cu and the ones for tensor cores have in common.
#pragma once
#include "core/cuda/runtime.h"
#include "ops/attention/manhattan_attention.h"
#include "ops/kernels/extents.h"

namespace rmt::gpu {

constexpr double kLog2e = 1.44269504088896340736;  // scores are in units of log 2

// One call's arguments: q, k, v, dy (B, H, W, heads D), decay (heads) or null, rotary (H W, D) or
// null.
template <class T>
struct Attention {
  const T *q, *k, *v, *dy;
  const Wide<T>*decay, *rotary;
  Lines lines;
};

// Where a head of a line lies. Units, one head of one line each, are numbered line by line and head
// by head.
template <class T>
struct Head {
  int64_t at, stride;    // position i begins at element at + i stride of a tensor
  const Wide<T>* table;  // rotary of position 0, or null; position i's is i table_stride further
  int64_t table_stride;
  Wide<T> slope;  // decay in units of log 2

  __device__ Head(const Attention<T>& a, int64_t unit) {
    const Lines& l = a.lines;
    auto locate = [&](auto u) {  // divides in u's type: 64 bits take several times as long as 32
      using I = decltype(u);
      const I line = u / I(l.heads), across = l.axis == ops::Axis::W   ? I(l.H)
                                              : l.axis == ops::Axis::H ? I(l.W)
                                                                       : I(1);
      const int64_t head = u % I(l.heads),
                    in_map = int64_t(line % across) * (l.axis == ops::Axis::W ? l.W : 1),
                    C = l.heads * l.D;
      at = (int64_t(line / across) * l.H * l.W + in_map) * C + head * l.D, stride = l.step() * C,
      table_stride = l.step() * l.D;
      table = a.rotary ? a.rotary + in_map * l.D : nullptr;
      slope = a.decay ? Wide<T>(kLog2e) * a.decay[head] : Wide<T>(0);
    };
    unit <= UINT32_MAX ? locate(uint32_t(unit)) : locate(unit);
  }
};

// x0, x1 -> x0 cosine - x1 sine, x1 cosine + x0 sine
template <class W>
__device__ __forceinline__ void rotate(W& x0, W& x1, W cosine, W sine) {
  const W y0 = x0 * cosine - x1 * sine;
  x1 = x1 * cosine + x0 * sine, x0 = y0;
}

}  // namespace rmt::gpu

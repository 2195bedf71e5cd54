// What all CUDA kernels of attention share: where a unit's numbers lie, the rotation. The general
// kernels are in tiles.cuh and manhattan_attention.cu, those for tensor cores in
// tensor_core_tiles.cuh and tensor_cores.cuh.
#pragma once
#include "core/cuda/runtime.h"
#include "ops/attention/kernels.h"

namespace rmt::gpu {

// A unit as a kernel wants it: with its own pointers.
template <class T>
struct UnitOf : Unit {
  const Wide<T>* angles;  // of position i at angles + i angle_stride, or null
  Wide<T> decay;          // in units of log 2

  __device__ UnitOf(const Attention<T>& a, int64_t number)
      : Unit(a.lines, number),
        angles(a.rotary ? a.rotary + first_angle : nullptr),
        decay(a.decay ? Wide<T>(kLog2e) * a.decay[head] : Wide<T>(0)) {}
};

// The point x0, x1 turned:  x0 cosine - x1 sine,  x1 cosine + x0 sine.  With -sine: back.
template <class W>
__device__ __forceinline__ void rotate(W& x0, W& x1, W cosine, W sine) {
  const W turned = x0 * cosine - x1 * sine;
  x1 = x1 * cosine + x0 * sine;
  x0 = turned;
}

// f(0), ..., f(n - 1), written out by the compiler, so that arrays indexed in f stay in registers.
template <int n, class F>
__device__ __forceinline__ void unrolled(const F& f) {
#pragma unroll
  for (int i = 0; i < n; ++i) f(i);
}

}  // namespace rmt::gpu

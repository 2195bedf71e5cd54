// Reductions within a warp and a block, in one fixed order: the same sum on every run.
#pragma once
#include "core/cuda/runtime.h"

namespace rmt::cuda {

constexpr unsigned kFullWarp = 0xffffffffu;

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {  // of numbers: a NaN may be lost
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

// f over the `width` lanes (a power of two, neighbours) that hold x; every lane gets the result.
// The whole warp must call.
template <int width = 32, class F, class T>
__device__ __forceinline__ T warp_reduce(T x, F f) {
#pragma unroll
  for (int step = width / 2; step > 0; step /= 2) x = f(x, __shfl_xor_sync(kFullWarp, x, step, 32));
  return x;
}
template <class F, class T>
__device__ __forceinline__ T
warp_reduce(T x, F f, int width) {  // the same for a width that is known only now
  for (int step = width / 2; step > 0; step /= 2) x = f(x, __shfl_xor_sync(kFullWarp, x, step, 32));
  return x;
}
template <int width = 32, class T>
__device__ __forceinline__ T warp_sum(T x) {
  return warp_reduce<width>(x, Add());
}
template <int width = 32, class T>
__device__ __forceinline__ T warp_max(T x) {
  return warp_reduce<width>(x, Max());
}

// f over all threads of a block (a whole number of warps); every thread gets it. All threads must
// call. May be called again at once.
template <class F, class T>
__device__ T block_reduce(T x, F f) {
  SHARED(T, part, 32);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32,
            warps = int(blockDim.x) / 32;
  x = warp_reduce<32>(x, f);
  if (lane == 0) part[warp] = x;
  __syncthreads();
  x = part[0];
  for (int w = 1; w < warps; ++w) x = f(x, part[w]);
  __syncthreads();  // part may be written again
  return x;
}
template <class T>
__device__ T block_sum(T x) {
  return block_reduce(x, Add());
}
template <class T>
__device__ T block_max(T x) {
  return block_reduce(x, Max());
}

}  // namespace rmt::cuda

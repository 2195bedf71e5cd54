// The recurrent form on the GPU (formula: recurrent.h). The columns of the state share nothing but
// q and k, so a thread has one of them, D numbers in shared memory, and walks from position to
// position without waiting for anybody. L steps one after the other: few threads, and long waits.
#pragma once
#include "ops/retention/tiles.cuh"

namespace rmt::gpu {

// Blocks: unit, 32 columns of v. Threads: a column.
template <class T>
__global__ void __launch_bounds__(tiles::kSide)
    retention_recurrent_kernel(const T* q, const T* k, const T* v, const Wide<T>* decays, T* y,
                               Sequences s) {
  using W = Wide<T>;
  DYNAMIC_SHARED(W, states);  // (D, columns)
  const int64_t groups = tiles::count(s.E), unit = blockIdx.x / groups;
  const int64_t e = blockIdx.x % groups * tiles::kSide + threadIdx.x;
  if (e >= s.E) return;
  W* const state = states + threadIdx.x;
  const W gamma = tiles::power(decays[unit % s.heads], 1);
  const Walk<const T> queries = s.walk(q, s.D, unit), keys = s.walk(k, s.D, unit),
                      values = s.walk(v, s.E, unit);
  const Walk<T> out = s.walk(y, s.E, unit);
  for (int64_t d = 0; d < s.D; ++d) state[d * tiles::kSide] = 0;
  for (int64_t n = 0; n < s.L; ++n) {
    const T *query = queries[n], *key = keys[n];
    const W value = W(values[n][e]);
    W sum = 0;
#pragma unroll 4
    for (int64_t d = 0; d < s.D; ++d) {
      W& x = state[d * tiles::kSide];
      x = gamma * x + W(key[d]) * value;
      sum += W(query[d]) * x;
    }
    out[n][e] = T(sum);
  }
}

template <class T>
void retain_recurrent(const T* q, const T* k, const T* v, const Wide<T>* decay, T* y,
                      const Sequences& s) {
  const int64_t blocks = s.units() * tiles::count(s.E);
  cuda::launch("retention_recurrent", retention_recurrent_kernel<T>, dim3(unsigned(blocks)),
               dim3(tiles::kSide), size_t(s.D * tiles::kSide) * sizeof(Wide<T>), q, k, v, decay, y,
               s);
}

}  // namespace rmt::gpu

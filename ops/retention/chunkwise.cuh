// The chunkwise form on the GPU (formula: chunkwise.h). A state waits for the one before it, which
// would leave most of a GPU idle, so what costs much is done for all chunks at once, and only a sum
// goes from chunk to chunk:
//
//   1  U_c = sum_i gamma^(n-1-i) k_i^T v_i      what chunk c adds to the state
//   2  S_(c+1) = gamma^n S_c + U_c              a thread for each number of the state
//   3  y = parallel form of the chunk + gamma^(i+1) q_i S_c
#pragma once
#include "core/storage.h"
#include "ops/retention/parallel.cuh"

namespace rmt::gpu {

// U of every chunk, though nobody needs the last one's. Blocks: unit, chunk, tile of channels of k,
// tile of channels of v.
template <class T>
__global__ void __launch_bounds__(tiles::kThreads)
    retention_chunks_kernel(const T* k, const T* v, const Wide<T>* decays, Wide<T>* states,
                            Sequences s) {
  using W = Wide<T>;
  using tiles::kSide;
  SHARED(W, a, tiles::kTile);
  SHARED(W, b, tiles::kTile);
  int64_t block = blockIdx.x;
  const int64_t e0 = block % tiles::count(s.E) * kSide;
  block /= tiles::count(s.E);
  const int64_t d0 = block % tiles::count(s.D) * kSide;
  block /= tiles::count(s.D);  // counts the chunks of all units
  const int64_t unit = block / s.chunks(), first = block % s.chunks() * s.chunk;
  const int64_t n = min(s.chunk, s.L - first);
  const W decay = decays[unit % s.heads];
  const Walk<const T> keys = s.walk(k, s.D, unit), values = s.walk(v, s.E, unit);
  tiles::Patch<W> sum = {};
  for (int64_t i0 = 0; i0 < n; i0 += kSide) {
    tiles::fill(a, n - i0, s.D - d0, [&](int i, int d) {
      return W(keys[first + i0 + i][d0 + d]) * tiles::power(decay, n - 1 - (i0 + i));
    });
    tiles::fill(b, n - i0, s.E - e0,
                [&](int i, int e) { return W(values[first + i0 + i][e0 + e]); });
    __syncthreads();
    sum.add_of_transposed(a, b);
    __syncthreads();
  }
  W* const state = states + block * s.D * s.E;
  sum.for_each([&](int d, int e, W x) {
    if (d0 + d < s.D && e0 + e < s.E) state[(d0 + d) * s.E + e0 + e] = x;
  });
}

// In the place of each U_c the state before its chunk. A thread for each number of a unit's state.
template <class W>
__global__ void __launch_bounds__(cuda::kThreads)
    retention_states_kernel(const W* decays, W* states, Sequences s) {
  const int64_t i = int64_t(blockIdx.x) * cuda::kThreads + threadIdx.x, numbers = s.D * s.E;
  if (i >= s.units() * numbers) return;
  const int64_t unit = i / numbers;
  const W gamma_n = tiles::power(decays[unit % s.heads], s.chunk);
  W* const first = states + unit * s.chunks() * numbers + i % numbers;
  W before = 0;
  for (int64_t c = 0; c < s.chunks(); ++c) {
    const W added = first[c * numbers];
    first[c * numbers] = before;
    before = gamma_n * before + added;
  }
}

template <class T>
void retain_chunkwise(const T* q, const T* k, const T* v, const Wide<T>* decay, T* y,
                      const Sequences& s) {
  using W = Wide<T>;
  const int64_t states = s.units() * s.chunks(), numbers = s.D * s.E;
  const Storage storage(size_t(states * numbers) * sizeof(W), Device::cuda);
  W* const state = static_cast<W*>(storage.data());
  cuda::launch("retention_chunks", retention_chunks_kernel<T>,
               dim3(unsigned(states * tiles::count(s.D) * tiles::count(s.E))),
               dim3(tiles::kThreads), 0, k, v, decay, state, s);
  cuda::launch("retention_states", retention_states_kernel<W>,
               dim3(unsigned(cuda::blocks_for(s.units() * numbers))), dim3(cuda::kThreads), 0,
               decay, state, s);
  retain_parallel(q, k, v, decay, static_cast<const W*>(state), y, s);
}

}  // namespace rmt::gpu

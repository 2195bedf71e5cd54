// The parallel form on the GPU (formula and picture: parallel.h): a block for 32 queries of one
// chunk, which walks over the keys 32 at a time. The parallel form is one chunk; for the chunkwise
// form the block adds what the state holds of the chunks before.
#pragma once
#include "ops/retention/tiles.cuh"

namespace rmt::gpu {

// Blocks: unit, chunk, tile of queries, tile of columns of v. states (units, chunks, D, E), each as
// it is before its chunk, or null.
template <class T>
__global__ void __launch_bounds__(tiles::kThreads)
    retention_parallel_kernel(const T* q, const T* k, const T* v, const Wide<T>* decays,
                              const Wide<T>* states, T* y, Sequences s) {
  using W = Wide<T>;
  using tiles::kSide;
  SHARED(W, a, tiles::kTile);
  SHARED(W, b, tiles::kTile);
  SHARED(W, scores, tiles::kTile);
  int64_t block = blockIdx.x;
  const int64_t e0 = block % tiles::count(s.E) * kSide;
  block /= tiles::count(s.E);
  const int64_t i0 = block % tiles::count(s.chunk) * kSide;
  block /= tiles::count(s.chunk);  // counts the chunks of all units
  const int64_t unit = block / s.chunks(), first = block % s.chunks() * s.chunk;
  const int64_t n = min(s.chunk, s.L - first);  // positions of the chunk
  if (i0 >= n) return;
  const W decay = decays[unit % s.heads];
  const Walk<const T> queries = s.walk(q, s.D, unit), keys = s.walk(k, s.D, unit),
                      values = s.walk(v, s.E, unit);
  tiles::Patch<W> sum = {};
  for (int64_t j0 = 0; j0 <= i0; j0 += kSide) {
    tiles::Patch<W> score = {};  // of i and j: q_i . k_j, kSide of the D features at a time
    for (int64_t d0 = 0; d0 < s.D; d0 += kSide) {
      tiles::fill(a, n - i0, s.D - d0,
                  [&](int i, int d) { return W(queries[first + i0 + i][d0 + d]); });
      tiles::fill(b, n - j0, s.D - d0,
                  [&](int j, int d) { return W(keys[first + j0 + j][d0 + d]); });
      __syncthreads();
      score.add_transposed(a, b);
      __syncthreads();
    }
    score.for_each([&](int i, int j, W x) {  // times gamma^(i - j), and 0 for keys after i
      const int64_t distance = i0 + i - (j0 + j);
      scores[i * tiles::kRow + j] = distance >= 0 ? x * tiles::power(decay, distance) : W(0);
    });
    tiles::fill(b, n - j0, s.E - e0,  // sum_ie += sum_j scores_ij v_je
                [&](int j, int e) { return W(values[first + j0 + j][e0 + e]); });
    __syncthreads();
    sum.add(scores, b);
    __syncthreads();
  }
  if (states) {  // sum_ie += gamma^(i + 1) sum_d q_id S_de
    const W* const state = states + block * s.D * s.E;
    for (int64_t d0 = 0; d0 < s.D; d0 += kSide) {
      tiles::fill(a, n - i0, s.D - d0, [&](int i, int d) {
        return W(queries[first + i0 + i][d0 + d]) * tiles::power(decay, i0 + i + 1);
      });
      tiles::fill(b, s.D - d0, s.E - e0,
                  [&](int d, int e) { return state[(d0 + d) * s.E + e0 + e]; });
      __syncthreads();
      sum.add(a, b);
      __syncthreads();
    }
  }
  const Walk<T> out = s.walk(y, s.E, unit);
  sum.for_each([&](int i, int e, W x) {
    if (i0 + i < n && e0 + e < s.E) out[first + i0 + i][e0 + e] = T(x);
  });
}

// Chunks of s.chunk positions; states null: each without what came before it.
template <class T>
void retain_parallel(const T* q, const T* k, const T* v, const Wide<T>* decay,
                     const Wide<T>* states, T* y, const Sequences& s) {
  const int64_t blocks = s.units() * s.chunks() * tiles::count(s.chunk) * tiles::count(s.E);
  cuda::launch("retention_parallel", retention_parallel_kernel<T>, dim3(unsigned(blocks)),
               dim3(tiles::kThreads), 0, q, k, v, decay, states, y, s);
}

}  // namespace rmt::gpu

// The GPU's kernels of ops that broadcast. A thread takes N neighbours of the innermost dimension,
// 16 bytes where that divides it. f takes and returns Values<Wide<T>, N>. Sums have a fixed order.
#pragma once
#include <algorithm>
#include <utility>

#include "core/cuda/columns.cuh"
#include "core/cuda/warp.cuh"
#include "ops/kernels/broadcast.h"

namespace rmt::cuda {

// f(x_0, x_1, ...) and where it is taken.
template <class F, class T, int K>
struct BroadcastTerms {
  F f;
  Broadcast<K> s;
  const T* x[K];

  // N neighbours, or N times the same number.
  template <int N>
  static __device__ __forceinline__ Values<Wide<T>, N> take(const T* p, bool moves) {
    if (moves) return load<N>(p);
    return Wide<T>(*p);
  }
  template <int N, size_t... k>
  __device__ __forceinline__ Values<Wide<T>, N> apply(const int64_t (&at)[K],
                                                      std::index_sequence<k...>) const {
    return f(take<N>(x[k] + at[k], s.step[k] != 0)...);
  }
  // At the k-th place of s.kept, the r-th of s.summed, columns c ... c + N - 1.
  template <int N>
  __device__ __forceinline__ Values<Wide<T>, N> at(unsigned k, unsigned r, unsigned c) const {
    int64_t offsets[K];
    s.offsets(k, r, c, offsets);
    return apply<N>(offsets, std::make_index_sequence<K>());
  }
  // For column_sums(): column c of the result, the r-th of the terms of its sum.
  template <int N>
  __device__ __forceinline__ void operator()(int64_t r, int64_t c, Values<Wide<T>, N>* sums) const {
    const unsigned n = unsigned(s.n), k = unsigned(c) / n;
    sums[0] += at<N>(k, unsigned(r), unsigned(c) - k * n);
  }
  // Can a thread take N neighbours at once?
  bool vectors(int N) const {
    bool fit = s.n % N == 0;
    for (const T* p : x) fit = fit && aligned(p);
    return fit;
  }
};

template <class T, int K, class F>
BroadcastTerms<F, T, K> terms_of(const char* name, const Broadcast<K>& s, F f,
                                 const T* const (&x)[K]) {
  // So that the kernels may divide in 32 bits.
  CHECK(s.kept.numel * s.summed.numel * s.n < int64_t(1) << 32, name, ": ",
        s.kept.numel * s.summed.numel * s.n, " elements, expected fewer than 2^32");
  BroadcastTerms<F, T, K> terms{f, s, {}};
  for (int k = 0; k < K; ++k) terms.x[k] = x[k];
  return terms;
}

// A thread to each N numbers of y.
template <int N, class F, class T, int K>
__global__ void __launch_bounds__(kThreads)
    broadcast_map_kernel(BroadcastTerms<F, T, K> terms, T* y, int64_t packs) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= packs) return;
  const unsigned width = unsigned(terms.s.n) / N, row = unsigned(i) / width;
  store<N>(y + i * N, terms.template at<N>(row, 0, (unsigned(i) - row * width) * N));
}

template <class T, int K, class F>
void broadcast_map(const char* name, const Broadcast<K>& s, T* y, F f, const T* const (&x)[K]) {
  const int64_t numel = s.kept.numel * s.n;
  if (numel == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  const auto terms = terms_of(name, s, f, x);
  auto run = [&](auto kernel, int64_t packs) {
    launch(name, kernel, dim3(unsigned(blocks_for(packs))), dim3(kThreads), 0, terms, y, packs);
  };
  if (terms.vectors(N) && aligned(y))
    run(broadcast_map_kernel<N, F, T, K>, numel / N);
  else
    run(broadcast_map_kernel<1, F, T, K>, numel);
}

// Sums along runs: a warp to each number of the result and each part of its terms. partial (parts,
// results), a part for each blockIdx.y.
template <int N, class F, class T, int K>
__global__ void __launch_bounds__(kThreads)
    run_sums_kernel(BroadcastTerms<F, T, K> terms, Wide<T>* partial) {
  const unsigned width = unsigned(terms.s.n) / N, lane = threadIdx.x % 32;
  const int64_t results = terms.s.kept.numel, packs = terms.s.summed.numel * width,
                k = int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32,
                begin = packs * blockIdx.y / gridDim.y, end = packs * (blockIdx.y + 1) / gridDim.y;
  Values<Wide<T>, N> sums = 0;
  if (k < results)
    for (int64_t i = begin + lane; i < end; i += 32) {
      const unsigned r = unsigned(i) / width;
      sums += terms.template at<N>(unsigned(k), r, (unsigned(i) - r * width) * N);
    }
  Wide<T> total = 0;
  total += sums;
  total = warp_sum(total);
  if (k < results && lane == 0) partial[blockIdx.y * results + k] = total;
}

// y_k = sum of f(x_0, x_1, ...) over the dimensions that y does not have.
template <class T, int K, class F>
void broadcast_sum(const char* name, const Broadcast<K>& s, Wide<T>* y, F f,
                   const T* const (&x)[K]) {
  const int64_t results = s.kept.numel * (s.sums ? 1 : s.n);
  if (results == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  const auto terms = terms_of(name, s, f, x);
  const bool vectors = terms.vectors(N);
  if (!s.sums) {
    if (vectors)
      column_sums<1, N>(name, terms, Outputs<Wide<T>>{{y}}, s.summed.numel, results);
    else
      column_sums<1, 1>(name, terms, Outputs<Wide<T>>{{y}}, s.summed.numel, results);
    return;
  }
  // Enough warps for the largest GPUs, each with some terms for every thread.
  const int64_t packs = s.summed.numel * s.n / (vectors ? N : 1),
                parts = std::clamp<int64_t>(packs / (8 * 32), 1,
                                            std::clamp<int64_t>(8192 / results, 1, 8192));
  const Partial<Wide<T>> partial(parts, results);
  launch(name, vectors ? run_sums_kernel<N, F, T, K> : run_sums_kernel<1, F, T, K>,
         dim3(unsigned(blocks_for(results, kThreads / 32)), unsigned(parts)), dim3(kThreads), 0,
         terms, partial.at());
  add_parts<Wide<T>>(partial, {}, Outputs<Wide<T>>{{y}, results});
}

// What gradient() in broadcast.h asks for: into dx, or if that is null, sums.
template <class T, int K, class F>
void broadcast_gradient(const char* name, const Broadcast<K>& s, T* dx, Wide<T>* sums, F f,
                        const T* const (&x)[K]) {
  if (dx)
    broadcast_map(name, s, dx, f, x);
  else
    broadcast_sum(name, s, sums, f, x);
}

}  // namespace rmt::cuda

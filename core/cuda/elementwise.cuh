// The kernel of every elementwise op: y_i = f(x_i, ...), a thread to each 16 bytes of y.
#pragma once
#include <bit>

#include "core/cuda/launch.h"
#include "core/cuda/ptx.h"
#include "core/dtype.h"

namespace rmt::cuda {

constexpr int kThreads = 256;  // of a block, where nothing speaks for another number

inline int64_t blocks_for(int64_t n, int64_t per_block = kThreads) {
  return (n + per_block - 1) / per_block;
}

// N numbers that are loaded and stored at once: 16 bytes of T.
template <class T, int N = 16 / int(sizeof(T))>
struct alignas(N * sizeof(T)) Pack {
  T at[N];
};

template <class... P>
bool aligned(const P*... p) {
  return ((reinterpret_cast<uintptr_t>(p) % 16 == 0) && ...);
}

// N numbers to compute with.
template <class T, int N>
struct Values {
  T at[N];
};

// Two bf16 are one register: widening them is one instruction each, rounding both at once one.
template <class T, int N>
__device__ __forceinline__ Values<Wide<T>, N> widen(const Pack<T, N>& pack) {
  Values<Wide<T>, N> v;
  if constexpr (std::is_same_v<T, bf16> && N % 2 == 0) {
    const auto words = std::bit_cast<Pack<uint32_t, N / 2>>(pack);
#pragma unroll
    for (int j = 0; j < N; j += 2)
      v.at[j] = __uint_as_float(words.at[j / 2] << 16),
      v.at[j + 1] = __uint_as_float(words.at[j / 2] & 0xffff0000u);
  } else {
#pragma unroll
    for (int j = 0; j < N; ++j) v.at[j] = Wide<T>(pack.at[j]);
  }
  return v;
}
template <class T, int N>
__device__ __forceinline__ Pack<T, N> narrow(const Wide<T>* v) {
  if constexpr (std::is_same_v<T, bf16> && N % 2 == 0) {
    Pack<uint32_t, N / 2> words;
#pragma unroll
    for (int j = 0; j < N; j += 2) words.at[j / 2] = ptx::pack_bf16(v[j], v[j + 1]);
    return std::bit_cast<Pack<T, N>>(words);
  } else {
    Pack<T, N> pack;
#pragma unroll
    for (int j = 0; j < N; ++j) pack.at[j] = T(v[j]);
    return pack;
  }
}

template <class T, int N>
constexpr int kAtOnce = N * sizeof(T) <= 16
                            ? N
                            : 16 / int(sizeof(T));  // as many of N numbers as one access moves

// The N numbers at p, in accesses of up to 16 bytes, to which p is aligned. A pack is copied whole
// before it is looked into: that makes it one access.
template <int N, class T>
__device__ __forceinline__ Values<Wide<T>, N> load(const T* p) {
  constexpr int n = kAtOnce<T, N>;
  Values<Wide<T>, N> v;
#pragma unroll
  for (int i = 0; i < N; i += n) {
    const Pack<T, n> pack = *reinterpret_cast<const Pack<T, n>*>(p + i);
    const Values<Wide<T>, n> part = widen(pack);
#pragma unroll
    for (int j = 0; j < n; ++j) v.at[i + j] = part.at[j];
  }
  return v;
}
template <int N, class T>
__device__ __forceinline__ void store(T* p, const Values<Wide<T>, N>& v) {
  constexpr int n = kAtOnce<T, N>;
#pragma unroll
  for (int i = 0; i < N; i += n) *reinterpret_cast<Pack<T, n>*>(p + i) = narrow<T, n>(v.at + i);
}

// f takes Wide<X>s and returns Wide<T>. `packs` threads do N numbers each, those after them the n -
// N packs that are left, one each.
template <int N, class F, class T, class... X>
__global__ void __launch_bounds__(kThreads)
    map_kernel(F f, T* y, int64_t n, int64_t packs, const X*... x) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < packs) {
    Values<Wide<T>, N> out;
    [&](const Values<Wide<X>, N>&... in) {
#pragma unroll
      for (int j = 0; j < N; ++j) out.at[j] = f(in.at[j]...);
    }(load<N>(x + i * N)...);
    store<N>(y + i * N, out);
  } else if (const int64_t k = N * packs + (i - packs); k < n) {
    y[k] = T(f(Wide<X>(x[k])...));
  }
}

// y_i = f(x_i, ...) for n numbers; y may be one of the x.
template <class F, class T, class... X>
void map(const char* name, F f, T* y, int64_t n, const X*... x) {
  if (n == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  const int64_t packs = aligned(y, x...) ? n / N : 0;
  launch(name, map_kernel<N, F, T, X...>, dim3(unsigned(blocks_for(packs + n - N * packs))),
         dim3(kThreads), 0, f, y, n, packs, x...);
}

}  // namespace rmt::cuda

// The kernel for every type that tensors have on a GPU, for ops/NAME.cpp to link with.
#define INSTANTIATE(kernel)                         \
  template decltype(kernel<float>) kernel<float>;   \
  template decltype(kernel<double>) kernel<double>; \
  template decltype(kernel<::rmt::bf16>) kernel<::rmt::bf16>;

// The kernel of every elementwise op: y_i = f(x_i, ...), a thread to each 16 bytes of y.
#pragma once
#include <bit>

#include "core/cuda/launch.h"
#include "core/cuda/ptx.h"
#include "core/dtype.h"

namespace rmt::cuda {

// Threads of a block, where nothing speaks for another number.
constexpr int kThreads = 256;

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

// N numbers to compute with as if they were one: a * b + c is meant number by number, and a single
// number among the operands stands for N of them.
template <class T, int N>
struct Values {
  T at[N];

  Values() = default;
  // Implicit: x * 2 is x_n * 2.
  __device__ __forceinline__ Values(T x) {
#pragma unroll
    for (int n = 0; n < N; ++n) at[n] = x;
  }
  template <class U>
  __device__ __forceinline__ explicit Values(const Values<U, N>& x) {
#pragma unroll
    for (int n = 0; n < N; ++n) at[n] = T(x.at[n]);
  }

  // f(a_n, b_n), ... for each n.
  template <class F, class... X>
  static __device__ __forceinline__ Values map(F f, const X&... x) {
    Values y;
#pragma unroll
    for (int n = 0; n < N; ++n) y.at[n] = f(x.at[n]...);
    return y;
  }
  friend __device__ __forceinline__ Values operator+(const Values& a, const Values& b) {
    return map([](T x, T y) { return x + y; }, a, b);
  }
  friend __device__ __forceinline__ Values operator-(const Values& a, const Values& b) {
    return map([](T x, T y) { return x - y; }, a, b);
  }
  friend __device__ __forceinline__ Values operator*(const Values& a, const Values& b) {
    return map([](T x, T y) { return x * y; }, a, b);
  }
  friend __device__ __forceinline__ Values operator/(const Values& a, const Values& b) {
    return map([](T x, T y) { return x / y; }, a, b);
  }
  __device__ __forceinline__ Values& operator+=(const Values& b) { return *this = *this + b; }
  __device__ __forceinline__ Values& operator*=(const Values& b) { return *this = *this * b; }
  friend __device__ __forceinline__ Values square(const Values& x) { return x * x; }

  // Over the N numbers, in order: total + x_0 + x_1 + ..., and the greatest of `most` and all x_n.
  friend __device__ __forceinline__ T& operator+=(T& total, const Values& x) {
#pragma unroll
    for (int n = 0; n < N; ++n) total += x.at[n];
    return total;
  }
  friend __device__ __forceinline__ T max(T most, const Values& x) {
#pragma unroll
    for (int n = 0; n < N; ++n) most = most > x.at[n] ? most : x.at[n];
    return most;
  }
};

// Two bf16 are one register: widening them is one instruction each, rounding both at once one.
template <class T, int N>
__device__ __forceinline__ Values<Wide<T>, N> widen(const Pack<T, N>& pack) {
  Values<Wide<T>, N> v;
  if constexpr (std::is_same_v<T, bf16> && N % 2 == 0) {
    const auto words = std::bit_cast<Pack<uint32_t, N / 2>>(pack);
#pragma unroll
    for (int j = 0; j < N; j += 2) {
      v.at[j] = __uint_as_float(words.at[j / 2] << 16);
      v.at[j + 1] = __uint_as_float(words.at[j / 2] & 0xffff0000u);
    }
  } else {
#pragma unroll
    for (int j = 0; j < N; ++j) v.at[j] = Wide<T>(pack.at[j]);
  }
  return v;
}
// Rounded to T.
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

// As many of N numbers as one access moves.
template <class T, int N>
constexpr int kAtOnce = N * sizeof(T) <= 16 ? N : 16 / int(sizeof(T));

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

// f takes Wide<X>s and returns Wide<T>. `packs` threads do N numbers each, those after them one of
// the n - N packs numbers that are left.
template <int N, class F, class T, class... X>
__global__ void __launch_bounds__(kThreads)
    map_kernel(F f, T* y, int64_t n, int64_t packs, const X*... x) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < packs) {
    store<N>(y + i * N, Values<Wide<T>, N>::map(f, load<N>(x + i * N)...));
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

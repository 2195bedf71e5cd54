// Kernels that need a whole row of a (rows, C) block at once: `width` lanes of a warp, 4 to 32,
// share a row and keep it in registers, so that memory is read once however often the row is looked
// at. Lane l holds packs l, l + width, l + 2 width, ... of N columns each, P of them; a warp works
// on 32 / width rows.
#pragma once
#include <type_traits>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/warp.cuh"

namespace rmt::cuda {

// A thread's part of its row.
struct Lanes {
  int lane, width;
  int64_t row;
  // The number of columns; 0 beyond the last row, where threads come along to the shuffles and
  // touch no memory.
  int C;

  // Row `first` + the number of the thread's group of lanes in its block; width = 2^shift.
  __device__ Lanes(int64_t first, int64_t rows, int columns, int shift)
      : lane(int(threadIdx.x) & ((1 << shift) - 1)),
        width(1 << shift),
        row(first + (threadIdx.x >> shift)),
        C(row < rows ? columns : 0) {}
  // For a kernel whose blocks take kThreads / width rows each: launch_rows().
  static __device__ Lanes of_block(int64_t rows, int columns, int shift) {
    return Lanes(int64_t(blockIdx.x) * (kThreads >> shift), rows, columns, shift);
  }
  // One thread a row.
  __device__ bool leads() const { return lane == 0 && C > 0; }
  template <class T>
  __device__ T sum(T x) const {
    return warp_reduce(x, Add(), width);
  }
  template <class T>
  __device__ T max(T x) const {
    return warp_reduce(x, Max(), width);
  }
};

// f(p, c) for the packs p of a lane, which begin at column c. P = 0: as many as there are.
template <int N, int P, class F>
__device__ __forceinline__ void for_packs(int lane, int width, int C, F f) {
  if constexpr (P > 0) {
#pragma unroll
    for (int p = 0; p < P; ++p)
      if (const int c = (p * width + lane) * N; c < C) f(p, c);
  } else {
    for (int p = 0, c = lane * N; c < C; ++p, c += width * N) f(p, c);
  }
}
template <int N, int P, class F>
__device__ __forceinline__ void for_packs(const Lanes& lanes, F f) {
  for_packs<N, P>(lanes.lane, lanes.width, lanes.C, f);
}

// What x is in another lane: the one whose number is ours with the bits of `apart` flipped.
template <class T, int N>
__device__ __forceinline__ Values<T, N> of_lane_apart(const Values<T, N>& x, int apart) {
  return Values<T, N>::map([=](T x_n) { return __shfl_xor_sync(kFullWarp, x_n, apart); }, x);
}

// A lane's packs of one row, still in the type of memory, which is widened at each use: half the
// registers for bf16.
template <class T, int N, int P>
struct Row {
  Pack<T, N> pack[P];
  // A row still to come: write() will make the packs.
  __device__ explicit Row(const T*) {}
  __device__ Row(const T* row, const Lanes& lanes) {
    for_packs<N, P>(lanes,
                    [&](int p, int c) { pack[p] = *reinterpret_cast<const Pack<T, N>*>(row + c); });
  }
  __device__ Values<Wide<T>, N> at(int p, int) const { return widen(pack[p]); }
  // Rounds v to T, keeps it, and writes it to `row` in memory.
  __device__ void write(T* row, int p, int c, const Values<Wide<T>, N>& v) {
    pack[p] = narrow<T, N>(v.at);
    *reinterpret_cast<Pack<T, N>*>(row + c) = pack[p];
  }
};

// P = 0, for rows that are too long: read again at each use, from L1 or L2.
template <class T, int N>
struct Row<T, N, 0> {
  const T* row;
  __device__ explicit Row(const T* row_) : row(row_) {}
  __device__ Row(const T* row_, const Lanes&) : row(row_) {}
  __device__ Values<Wide<T>, N> at(int, int c) const { return load<N>(row + c); }
  __device__ void write(T* to, int, int c, const Values<Wide<T>, N>& v) { store<N>(to + c, v); }
};

// Starts a kernel whose threads are Lanes::of_block().
template <class... P, class... A>
void launch_rows(const char* name, void (*kernel)(P...), int64_t rows, int shift,
                 const A&... args) {
  launch(name, kernel, dim3(unsigned(blocks_for(rows, kThreads >> shift))), dim3(kThreads), 0,
         args...);
}

// Chooses the layout for rows of C columns and calls f(N, P, shift), N and P as compile-time
// constants. `vectors`: all pointers are aligned to 16 bytes. The fewest lanes (4 at least) that
// hold a row in `most` packs each, if 32 do: many bytes in flight for a thread, few shuffles.
template <class T, class F>
void with_row_layout(int64_t C, bool vectors, int most, F f) {
  constexpr int N = 16 / int(sizeof(T));
  // Packs a lane at most: 32 numbers of bf16 or f32, 8 of f64.
  constexpr int P = N == 4 ? 8 : 4;
  if (vectors && C % N == 0 && C <= 32 * P * N) {
    int shift = 2;
    while (shift < 5 && C > (most * N << shift)) ++shift;
    const int64_t packs = blocks_for(C, N << shift);
    if (packs <= 2)
      return f(std::integral_constant<int, N>(), std::integral_constant<int, 2>(), shift);
    if (packs == 3)
      return f(std::integral_constant<int, N>(), std::integral_constant<int, 3>(), shift);
    if (packs == 4)
      return f(std::integral_constant<int, N>(), std::integral_constant<int, 4>(), shift);
    if constexpr (P == 8)
      return f(std::integral_constant<int, N>(), std::integral_constant<int, 8>(), shift);
  }
  if (C <= 32 * 4) return f(std::integral_constant<int, 1>(), std::integral_constant<int, 4>(), 5);
  f(std::integral_constant<int, 1>(), std::integral_constant<int, 0>(), 5);
}

}  // namespace rmt::cuda

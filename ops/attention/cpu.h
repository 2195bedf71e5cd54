// The CPU's kernels of manhattan_attention. For one unit (one head of one line, lines.h):
//
//    gather    q', k', v  into tiles (n, D), the head's channels side by side, q and k rotated
//    for each block of queries:
//      s^T = k' q'^T             scores of the block with all n keys, transposed   (n, kQueries)
//      s   = A                   cpu_scores.h
//      y   = A v                 and out to where the block's positions lie        (kQueries, D)
//
// Memory is O(n), whatever n. Backward gathers dy too, makes A again, and adds up dk and dv over
// the blocks:
//
//    dA^T = v dy^T,   dS from A and dA,   dv += A^T dy,   dk' += dS^T q',   dq' = dS k'
#pragma once
#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/parallel.h"
#include "core/rows.h"
#include "ops/attention/cpu_scores.h"
#include "ops/kernels/tile.h"

namespace rmt::cpu {

using simd::Vec;

// --- between tensors and tiles ---

// Pairs of channels x0, x1 turned by the angles of `table` = cos, sin, cos, sin, ...:
//   x0 cos - x1 sin,  x1 cos + x0 sin          or with sine_sign = -1 back.
template <class T>
inline Vec<T> rotate(Vec<T> x, Vec<T> table, T sine_sign) {
  Vec<T> sign;  // -, +, -, +, ...
  for (int i = 0; i < simd::lanes<T>; ++i) sign[i] = i % 2 ? sine_sign : -sine_sign;
  return x * simd::repeat_even<T>(table) +
         simd::swap_pairs<T>(x) * (simd::repeat_odd<T>(table) * sign);
}

// A tile has a row for each position of a unit and a column for each channel, (np, Dp), both
// rounded up to whole vectors.
template <class T>
struct TileShape {
  int64_t n, D, np, Dp;
  explicit TileShape(const Lines& lines)
      : n(lines.n()), D(lines.D), np(padded<T>(n)), Dp(padded<T>(D)) {}
};

// tile = factor x for the positions and channels of `unit`, turned by the angles of `rotary` unless
// that is null; zeros in the padding.
template <class T>
void gather(const T* x, const Unit unit, const T* rotary, T factor, const TileShape<T> shape,
            T* tile) {
  std::fill(tile + shape.n * shape.Dp, tile + shape.np * shape.Dp, T(0));
  for (int64_t i = 0; i < shape.n; ++i) {
    const T* from = x + unit.first + i * unit.stride;
    const T* angles = rotary ? rotary + unit.first_angle + i * unit.angle_stride : nullptr;
    T* to = tile + i * shape.Dp;
    if (shape.D < shape.Dp) simd::store<T>(to + shape.Dp - simd::lanes<T>, Vec<T>{});
    simd::for_columns<T>(shape.D, [&](int64_t c, auto count) {
      Vec<T> v = simd::load(from + c, count) * factor;
      if (angles) v = rotate<T>(v, simd::load(angles + c, count), T(1));
      simd::store<T>(to + c, v, count);
    });
  }
}

// The way back, for the positions [i0, i1) of the line, whose tile begins at i0:
// x_i = factor(i) tile_i, turned back by the angles of `rotary` unless that is null.
template <class T, class Factor>
void scatter(const T* tile, int64_t i0, int64_t i1, const Factor& factor, const Unit unit,
             const T* rotary, const TileShape<T> shape, T* x) {
  for (int64_t i = i0; i < i1; ++i) {
    const T* from = tile + (i - i0) * shape.Dp;
    const T* angles = rotary ? rotary + unit.first_angle + i * unit.angle_stride : nullptr;
    T* to = x + unit.first + i * unit.stride;
    simd::for_columns<T>(shape.D, [&](int64_t c, auto count) {
      Vec<T> v = simd::load(from + c, count) * factor(i);
      if (angles) v = rotate<T>(v, simd::load(angles + c, count), T(-1));
      simd::store<T>(to + c, v, count);
    });
  }
}

// One thread's memory, handed out piece by piece; aligned to vectors where the pieces are.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t n)
      : numbers_(Tensor::empty({n}, dtype_of<T>)), next_(numbers_.data<T>()) {}
  T* take(int64_t n) { return std::exchange(next_, next_ + n); }

 private:
  Tensor numbers_;
  T* next_;
};

// --- the kernels ---

// The arguments of a call, and what both directions do with them.
template <class T>
struct Attention {
  const T *q, *k, *v;  // (B, H, W, C)
  const T* decay;      // (heads), or null
  const T* rotary;     // (H W, D), or null
  Lines lines;
  Distances<T> distances{lines};
  TileShape<T> shape{lines};
  int64_t n = shape.n, np = shape.np, Dp = shape.Dp;
  T scale = T(1 / std::sqrt(double(lines.D)));

  static constexpr int64_t kBlock = kQueries<T>;
  // Strides that tile::multiply is to know when it is compiled.
  using One = std::integral_constant<int64_t, 1>;
  using Block = std::integral_constant<int64_t, kBlock>;

  // work(begin, end) for pieces of all units.
  template <class F>
  void for_units(const F& work) const {
    const int64_t grain = std::max<int64_t>(1, (int64_t(1) << 21) / (n * n * lines.D));
    parallel_for(lines.units(), grain, work);
  }

  Scores<T> block(const Unit& unit, int64_t first) const {
    const T unit_decay = decay ? T(kLog2e) * decay[unit.head] : T(0);
    return {distances, n, first, std::min(kBlock, np - first), unit_decay};
  }

  // s (n, queries) = a b for the tile a (n, D) and the columns of a block in b (D, np).
  void products(const T* a, const T* b, T* s, int64_t queries) const {
    constexpr int64_t V = simd::lanes<T>;
    const auto multiply = [&](auto row) {
      tile::multiply(n, queries, lines.D, a, row, One(), b, np, s, kBlock);
    };
    // The row length as a constant, where it is a common one.
    if (Dp == V)
      multiply(std::integral_constant<int64_t, V>());
    else if (Dp == 2 * V)
      multiply(std::integral_constant<int64_t, 2 * V>());
    else
      multiply(Dp);
  }

  void forward(T* y) const {
    for_units([&](int64_t begin, int64_t end) {
      Scratch<T> scratch(4 * np * Dp + (n + Dp + 1) * kBlock);
      T *q_tile = scratch.take(np * Dp), *k_tile = scratch.take(np * Dp);
      T *v_tile = scratch.take(np * Dp), *q_transposed = scratch.take(Dp * np);
      T *s = scratch.take(n * kBlock), *y_tile = scratch.take(kBlock * Dp);
      T* factor = scratch.take(kBlock);
      for (int64_t number = begin; number < end; ++number) {
        const Unit unit(lines, number);
        gather(q, unit, rotary, scale * T(kLog2e), shape, q_tile);
        gather(k, unit, rotary, T(1), shape, k_tile);
        gather<T>(v, unit, nullptr, T(1), shape, v_tile);
        tile::transpose(np, Dp, q_tile, q_transposed);
        for (int64_t first = 0; first < n; first += kBlock) {
          const Scores<T> scores = block(unit, first);
          const int64_t last = std::min(n, first + kBlock);
          products(k_tile, q_transposed + first, s, scores.queries);
          scores.attention(lines.mode, s, factor);
          tile::multiply(last - first, Dp, n, s, One(), Block(), v_tile, Dp, y_tile, Dp);
          const auto factor_of = [&](int64_t i) { return factor[i - first]; };
          scatter<T>(y_tile, first, last, factor_of, unit, nullptr, shape, y);
        }
      }
    });
  }

  void backward(const T* dy, T* dq, T* dk, T* dv) const {
    for_units([&](int64_t begin, int64_t end) {
      Scratch<T> scratch(8 * np * Dp + (2 * n + Dp + 1) * kBlock);
      T *q_tile = scratch.take(np * Dp), *k_tile = scratch.take(np * Dp);
      T *v_tile = scratch.take(np * Dp), *dy_tile = scratch.take(np * Dp);
      T *q_transposed = scratch.take(Dp * np), *dy_transposed = scratch.take(Dp * np);
      T *dk_tile = scratch.take(np * Dp), *dv_tile = scratch.take(np * Dp);
      T *s = scratch.take(n * kBlock), *ds = scratch.take(n * kBlock);
      T *dq_tile = scratch.take(kBlock * Dp), *factor = scratch.take(kBlock);
      const auto constant = [](T x) { return [x](int64_t) { return x; }; };
      for (int64_t number = begin; number < end; ++number) {
        const Unit unit(lines, number);
        gather(q, unit, rotary, scale * T(kLog2e), shape, q_tile);
        gather(k, unit, rotary, T(1), shape, k_tile);
        gather<T>(v, unit, nullptr, T(1), shape, v_tile);
        gather<T>(dy, unit, nullptr, T(1), shape, dy_tile);
        tile::transpose(np, Dp, q_tile, q_transposed);
        tile::transpose(np, Dp, dy_tile, dy_transposed);
        for (int64_t first = 0; first < n; first += kBlock) {
          const Scores<T> scores = block(unit, first);
          const int64_t last = std::min(n, first + kBlock), m = last - first;
          const bool add = first > 0;
          products(k_tile, q_transposed + first, s, scores.queries);
          products(v_tile, dy_transposed + first, ds, scores.queries);
          scores.attention_backward(lines.mode, s, factor, ds);
          tile::multiply(n, Dp, m, s, Block(), One(), dy_tile + first * Dp, Dp, dv_tile, Dp, add);
          tile::multiply(n, Dp, m, ds, Block(), One(), q_tile + first * Dp, Dp, dk_tile, Dp, add);
          tile::multiply(m, Dp, n, ds, One(), Block(), k_tile, Dp, dq_tile, Dp);
          scatter(dq_tile, first, last, constant(scale), unit, rotary, shape, dq);
        }
        // The tile of q holds D^-1/2 log2(e) q', and dk' = D^-1/2 sum_i dS_ij q'_i.
        scatter(dk_tile, 0, n, constant(T(1 / kLog2e)), unit, rotary, shape, dk);
        scatter<T>(dv_tile, 0, n, constant(T(1)), unit, nullptr, shape, dv);
      }
    });
  }
};

template <class T>
void manhattan_attention_forward(const T* q, const T* k, const T* v, const T* decay,
                                 const T* rotary, T* y, const Lines& lines) {
  Attention<T>{q, k, v, decay, rotary, lines}.forward(y);
}

template <class T>
void manhattan_attention_backward(const T* q, const T* k, const T* v, const T* decay,
                                  const T* rotary, const T* dy, T* dq, T* dk, T* dv,
                                  const Lines& lines) {
  Attention<T>{q, k, v, decay, rotary, lines}.backward(dy, dq, dk, dv);
}

}  // namespace rmt::cpu

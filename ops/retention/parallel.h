// The parallel form on the CPU: two matrix products with a mask between them,
//
//   y = ((q k^T) . M) v,    M_nm = gamma^(n-m) for m <= n, else 0,
//
// a block of queries and a block of keys at a time, so that the (L, L) scores are never there at
// once:
//
//              keys                     A block above the diagonal is all mask and left out.
//            +----+----+----+
//   queries  | \  |    |    |           M depends on n - m alone: each row is the one above it,
//            +----+----+----+           shifted by one. So all of M lies in one line of numbers,
//            | S  | \  |    |
//            +----+----+----+              gamma^(L-1) ... gamma^2 gamma 1 0 0 0 ... 0
//            | S  | S  | \  |
//            +----+----+----+           of which row n begins at number L - 1 - n.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "ops/kernels/tile.h"
#include "ops/retention/tiles.h"

namespace rmt::cpu {

// Retention among at most `most` positions of one unit: fill q, k, v, then compute(), then take y.
template <class T>
class Parallel {
 public:
  const Tile<T> q, k;  // rows of D channels
  const Tile<T> v, y;  // rows of E channels

  Parallel(int64_t most, const Sequences& s)
      : q(padded(most), s.D),
        k(padded(most), s.D),
        v(most, s.E),
        y(most, s.E),
        most_(most),
        keys_(padded(most) * k.width),
        scores_(kBlock, kBlock),
        mask_(2 * most + kBlock) {}

  // Powers too small to matter are 0: products with numbers next to the smallest are slow.
  void set_decay(double decay) {
    using limits = std::numeric_limits<T>;
    for (int64_t n = 0; n < most_; ++n) {
      const double p = std::exp(decay * double(n));
      mask_.first[most_ - 1 - n] = p > limits::min() / limits::epsilon() ? T(p) : T(0);
    }
  }
  // gamma^n, n < most.
  T power(int64_t n) const { return mask_.first[most_ - 1 - n]; }

  // From the first n rows of q, k, v to those of y.
  void compute(int64_t n) const {
    for (int64_t i = 0; i < n; i += kBlock)
      for (int64_t j = 0; j <= i; j += kBlock)
        add_block(i, std::min(kBlock, n - i), j, std::min(kBlock, n - j));
  }

 private:
  // Positions of a block: few, since half of a block on the diagonal is computed for nothing.
  static constexpr int64_t kBlock = 32;
  using One = std::integral_constant<int64_t, 1>;
  using Block = std::integral_constant<int64_t, kBlock>;
  static int64_t padded(int64_t n) { return (n + kBlock - 1) / kBlock * kBlock; }

  // y_i = or += sum over `keys` positions from j on of (q_i . k_j) M_ij v_j, for `queries`
  // positions from i on.
  void add_block(int64_t i, int64_t queries, int64_t j, int64_t keys) const {
    const int64_t width = whole_vectors<T>(keys);
    T* const k_transposed = keys_.first + j * k.width;  // (D, width)
    if (i == j) tile::transpose(width, k.width, k[j], k_transposed);
    tile::multiply(queries, width, k.columns, q[i], q.width, One(), k_transposed, width, scores_[0],
                   Block());
    for (int64_t r = 0; r < queries; ++r) {
      const T* const mask = mask_.first + (most_ - 1 - (i + r) + j);
      for (int64_t c = 0; c < width; c += simd::lanes<T>) {
        T* const score = scores_[r] + c;
        simd::store<T>(score, simd::load<T>(score) * simd::load<T>(mask + c));
      }
    }
    tile::multiply(queries, y.width, keys, scores_[0], Block(), One(), v[j], v.width, y[i], y.width,
                   j > 0);
  }

  const int64_t most_;
  const Numbers<T> keys_;  // k transposed, a block after the other
  const Tile<T> scores_;
  const Numbers<T> mask_;
};

// One unit.
template <class T>
void retain_parallel(Walk<const T> q, Walk<const T> k, Walk<const T> v, double decay, Walk<T> y,
                     const Sequences& s) {
  Parallel<T> all(s.L, s);
  all.set_decay(decay);
  all.q.load(q, 0, s.L);
  all.k.load(k, 0, s.L);
  all.v.load(v, 0, s.L);
  all.compute(s.L);
  all.y.store(y, 0, s.L);
}

}  // namespace rmt::cpu

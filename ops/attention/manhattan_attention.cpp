// For each head, with q', k' the rotated q and k, and d_ij the distance of i and j along the axis:
//   S_ij = D^-1/2 q'_i . k'_j,   A = softmax(S + decay d)  or  softmax(S) exp(decay d)  or the
//   latter divided by its row sums,   y_i = sum_j A_ij v_j dA_ij = dy_i . v_j,  dv_j = sum_i A_ij
//   dy_i,  dq'_i = D^-1/2 sum_j dS_ij k'_j,  dk'_j = D^-1/2 sum_i dS_ij q'_i,  rotated back;  and
//   dS is P (g - sum_j P_ij g_ij)  with P = A, g = dA, when the rows of A sum to 1 (for the
//   normalised product its two normalisations collapse into this),
//                            with P = softmax(S), g = dA exp(decay d), for post_multiply.
// A unit of work is one head of one line: a row of the map, a column, or all of it. q, k, v are
// gathered into tiles with the head's channels side by side. Scores are kept transposed, keys j
// down and queries i across the vector lanes, so that softmax is arithmetic between whole vectors,
// and padding lanes are queries that nobody reads. Queries are taken kBlock vectors at a time:
// memory is O(L), whatever L.
#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>

#include "core/parallel.h"
#include "core/rows.h"
#include "ops/attention/manhattan_attention.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/extents.h"
#include "ops/kernels/tile.h"

namespace rmt {
namespace gpu {  // manhattan_attention.cu
template <class T>
void manhattan_attention_forward(const T* q, const T* k, const T* v, const Wide<T>* decay,
                                 const Wide<T>* rotary, T* y, const Lines& lines);
template <class T>
void manhattan_attention_backward(const T* q, const T* k, const T* v, const Wide<T>* decay,
                                  const Wide<T>* rotary, const T* dy, T* dq, T* dk, T* dv,
                                  const Lines& lines);
}  // namespace gpu

namespace cpu {
namespace {

using ops::Axis, ops::DecayMode, simd::Vec;

constexpr int64_t kBlock = 4;  // vectors of queries a block
constexpr double kLog2e =
    1.44269504088896340736;  // scores are in units of log 2: softmax(S) = 2^(S log2 e - max) / sum

template <class T>
int64_t padded(int64_t n) {
  return (n + simd::lanes<T> - 1) / simd::lanes<T> * simd::lanes<T>;
}

// Distances between key j = (yj, xj) and the queries i ...: the vector at y + yj y_step + i plus
// that at x + xj x_step + i. Along an axis there is one yj, whose distances are 0, and the x part
// slides over the numbers n - 1, ..., 1, 0, 1, ....
template <class T>
struct Distance {
  Tensor numbers;
  const T *y, *x;
  int64_t H, W, y_step, x_step;

  Distance(const Lines& lines) {
    const int64_t n = lines.n(), np = padded<T>(n);
    const bool map = lines.axis == Axis::both;
    numbers = Tensor::zeros({map ? (lines.H + lines.W) * np : n + 2 * np}, dtype_of<T>);
    T* to = numbers.data<T>();
    y = to;
    if (map) {
      H = lines.H, W = lines.W, y_step = x_step = np, x = y + H * np;
      for (int64_t a = 0; a < H + W; ++a)
        for (int64_t i = 0; i < np; ++i)
          to[a * np + i] = T(a < H ? std::abs(a - i / W) : std::abs(a - H - i % W));
    } else {
      H = 1, W = n, y_step = 0, x_step = -1, x = y + np + n - 1;
      for (int64_t i = 0; i < n + np; ++i) to[np + i] = T(std::abs(i - (n - 1)));
    }
  }
};

// f(j, distances) for all keys j, with NV vectors of distances to the queries from i on.
template <class T, int NV, class F>
[[gnu::always_inline]] inline void for_keys(const Distance<T>& d, int64_t i, const F& f) {
  constexpr int V = simd::lanes<T>;
  int64_t j = 0;
  for (int64_t yj = 0; yj < d.H; ++yj) {
    Vec<T> dy[NV], sum[NV];
    for (int v = 0; v < NV; ++v) dy[v] = simd::load<T>(d.y + yj * d.y_step + i + v * V);
    for (int64_t xj = 0; xj < d.W; ++xj, ++j) {
      for (int v = 0; v < NV; ++v) sum[v] = dy[v] + simd::load<T>(d.x + xj * d.x_step + i + v * V);
      f(j, sum);
    }
  }
}

// The scores of a block of queries with all n keys, s (n, ld), and what is done to them, NV vectors
// of queries at a time.
template <class T>
struct Scores {
  static constexpr int V = simd::lanes<T>;
  static constexpr int64_t ld = kBlock * V;
  const Distance<T>& distance;
  int64_t n, first, columns;  // the block's queries are first ... first + columns - 1
  T decay;                    // in units of log 2

  // f(c, std::integral_constant NV) for all columns c of the block
  template <class F>
  void for_columns(const F& f) const {
    int64_t c = 0;
    for (; c + 2 * V <= columns; c += 2 * V) f(c, std::integral_constant<int, 2>());
    if (c < columns) f(c, std::integral_constant<int, 1>());
  }

  // s = 2^(s + slope d - max),  factor = 1 / sum over j
  void softmax(T* s, T* factor, T slope) const {
    for_columns([&](int64_t c, auto nv) {
      constexpr int NV = nv;
      Vec<T> most[NV], sum[NV];
      for (int v = 0; v < NV; ++v)
        most[v] = simd::broadcast<T>(-std::numeric_limits<T>::infinity()), sum[v] = Vec<T>{};
      for_keys<T, NV>(distance, first + c, [&](int64_t j, const Vec<T>* d) {
        for (int v = 0; v < NV; ++v) {
          T* p = s + j * ld + c + v * V;
          const Vec<T> z = simd::load<T>(p) + slope * d[v];
          simd::store<T>(p, z);
          most[v] = simd::max<T>(most[v], z);
        }
      });
      for (int64_t j = 0; j < n; ++j)
        for (int v = 0; v < NV; ++v) {
          T* p = s + j * ld + c + v * V;
          const Vec<T> e = simd::exp2(simd::load<T>(p) - most[v]);
          simd::store<T>(p, e);
          sum[v] += e;
        }
      for (int v = 0; v < NV; ++v) simd::store<T>(factor + c + v * V, 1 / sum[v]);
    });
  }

  // s = s factor exp(decay d), or s = s exp(decay d) without a factor;  with sum: 1 / sum over j of
  // the result
  void multiply_decay(T* s, const T* factor, T* sum) const {
    for_columns([&](int64_t c, auto nv) {
      constexpr int NV = nv;
      Vec<T> f[NV], total[NV];
      for (int v = 0; v < NV; ++v)
        f[v] = factor ? simd::load<T>(factor + c + v * V) : simd::broadcast<T>(1),
        total[v] = Vec<T>{};
      for_keys<T, NV>(distance, first + c, [&](int64_t j, const Vec<T>* d) {
        for (int v = 0; v < NV; ++v) {
          T* p = s + j * ld + c + v * V;
          const Vec<T> z = simd::load<T>(p) * f[v] * simd::exp2(decay * d[v]);
          simd::store<T>(p, z);
          total[v] += z;
        }
      });
      for (int v = 0; sum && v < NV; ++v) simd::store<T>(sum + c + v * V, 1 / total[v]);
    });
  }

  // s -> A_ij = s_ij factor_i
  void attention(DecayMode mode, T* s, T* factor) const {
    softmax(s, factor, mode == DecayMode::log_additive ? decay : T(0));
    if (mode == DecayMode::post_multiply) multiply_decay(s, nullptr, nullptr);
    if (mode == DecayMode::post_multiply_normalised) multiply_decay(s, factor, factor);
  }

  // s = P = s factor,  g = P (g - sum_j P g)
  void softmax_backward(T* s, const T* factor, T* g) const {
    for_columns([&](int64_t c, auto nv) {
      constexpr int NV = nv;
      Vec<T> f[NV], sum[NV];
      for (int v = 0; v < NV; ++v) f[v] = simd::load<T>(factor + c + v * V), sum[v] = Vec<T>{};
      for (int64_t j = 0; j < n; ++j)
        for (int v = 0; v < NV; ++v) {
          const int64_t at = j * ld + c + v * V;
          const Vec<T> p = simd::load<T>(s + at) * f[v];
          simd::store<T>(s + at, p);
          sum[v] += p * simd::load<T>(g + at);
        }
      for (int64_t j = 0; j < n; ++j)
        for (int v = 0; v < NV; ++v) {
          const int64_t at = j * ld + c + v * V;
          simd::store<T>(g + at, simd::load<T>(s + at) * (simd::load<T>(g + at) - sum[v]));
        }
    });
  }

  // From s = S, g = dA: s = A, g = dS.
  void backward(DecayMode mode, T* s, T* factor, T* g) const {
    const bool post = mode == DecayMode::post_multiply;
    if (post) {
      softmax(s, factor, T(0));
      multiply_decay(g, nullptr, nullptr);
    } else {
      attention(mode, s, factor);
    }
    softmax_backward(s, factor, g);
    if (post) multiply_decay(s, nullptr, nullptr);
  }
};

// x0, x1 -> x0 cos - sign x1 sin, x1 cos + sign x0 sin for the pairs of channels, table = cos, sin,
// cos, sin, ...
template <class T>
inline Vec<T> rotate(Vec<T> x, Vec<T> table, T sign) {
  Vec<T> alternating;
  for (int i = 0; i < simd::lanes<T>; ++i) alternating[i] = i % 2 ? sign : -sign;
  return x * simd::repeat_even<T>(table) +
         simd::swap_pairs<T>(x) * (simd::repeat_odd<T>(table) * alternating);
}

// One head of one line, and its tiles (np, Dp): a position's D channels a row, rows and columns
// padded to whole vectors with zeros.
template <class T>
struct Head {
  int64_t n, D, Dp, at, stride;  // position i begins at element at + i stride of a tensor
  const T* table;  // rotary of position 0, or null; position i's is i table_stride further
  int64_t table_stride;

  Head(const Lines& lines, const T* rotary, int64_t line, int64_t head)
      : n(lines.n()), D(lines.D), Dp(padded<T>(D)) {
    const int64_t C = lines.heads * D, first = lines.first(line);
    at = first * C + head * D, stride = lines.step() * C;
    table = rotary ? rotary + first % (lines.H * lines.W) * D : nullptr,
    table_stride = lines.step() * D;
  }

  // tile_i = factor x_i, rotated if `turn`
  void gather(const T* x, T* tile, bool turn, T factor = 1) const {
    const Head h = *this;  // a copy, which the compiler knows that no store changes
    std::fill(tile + h.n * h.Dp, tile + padded<T>(h.n) * h.Dp, T(0));
    for (int64_t i = 0; i < h.n; ++i) {
      if (h.D < h.Dp) simd::store<T>(tile + (i + 1) * h.Dp - simd::lanes<T>, Vec<T>{});
      simd::for_columns<T>(h.D, [&](int64_t c, auto count) {
        Vec<T> v = simd::load(x + h.at + i * h.stride + c, count) * factor;
        if (turn && h.table)
          v = rotate<T>(v, simd::load(h.table + i * h.table_stride + c, count), T(1));
        simd::store<T>(tile + i * h.Dp + c, v, count);
      });
    }
  }

  // x_i = factor(i) tile_(i - i0), rotated back if `turn`, for the positions [i0, i1)
  template <class Factor>
  void scatter(const T* tile, T* x, int64_t i0, int64_t i1, bool turn, const Factor& factor) const {
    const Head h = *this;
    for (int64_t i = i0; i < i1; ++i)
      simd::for_columns<T>(h.D, [&](int64_t c, auto count) {
        Vec<T> v = simd::load(tile + (i - i0) * h.Dp + c, count) * factor(i);
        if (turn && h.table)
          v = rotate<T>(v, simd::load(h.table + i * h.table_stride + c, count), T(-1));
        simd::store<T>(x + h.at + i * h.stride + c, v, count);
      });
  }
};

// One thread's scratch memory, aligned to vectors when handed out in multiples of them.
template <class T>
struct Room {
  Tensor numbers;
  T* next;
  explicit Room(int64_t n) : numbers(Tensor::empty({n}, dtype_of<T>)), next(numbers.data<T>()) {}
  T* take(int64_t n) { return std::exchange(next, next + n); }
};

// One call's arguments, and work(begin, end) for pieces of its units, numbered line by line and
// head by head.
template <class T>
struct Attention {
  Lines lines;
  Distance<T> distance;
  const T *q, *k, *v, *decay,
      *rotary;  // (B, H, W, C), decay (heads) or null, rotary (H W, D) or null
  int64_t n = lines.n(), np = padded<T>(n), D = lines.D, Dp = padded<T>(D);
  static constexpr int64_t ld = Scores<T>::ld;
  using One = std::integral_constant<int64_t, 1>;
  using Ld = std::integral_constant<int64_t, ld>;

  Head<T> head(int64_t unit) const {
    return Head<T>(lines, rotary, unit / lines.heads, unit % lines.heads);
  }
  Scores<T> scores(int64_t unit, int64_t first) const {
    return {distance, n, first, std::min(ld, np - first),
            decay ? T(kLog2e) * decay[unit % lines.heads] : T(0)};
  }
  T scale() const { return T(1 / std::sqrt(double(D))); }

  template <class F>
  void for_units(const F& work) const {
    const int64_t grain = std::max<int64_t>(1, (int64_t(1) << 21) / (n * n * D));
    parallel_for(lines.count() * lines.heads, grain, work);
  }

  // s (n, columns) = keys b for the tiles keys (np, Dp) and b, the columns of a transposed tile
  // (Dp, np) that belong to a block of queries
  void products(const T* keys, const T* b, T* s, int64_t columns) const {
    constexpr int64_t V = simd::lanes<T>;
    if (Dp == V)  // the row length as a constant, where it is a common one
      tile::multiply(n, columns, D, keys, std::integral_constant<int64_t, V>(), One(), b, np, s,
                     ld);
    else if (Dp == 2 * V)
      tile::multiply(n, columns, D, keys, std::integral_constant<int64_t, 2 * V>(), One(), b, np, s,
                     ld);
    else
      tile::multiply(n, columns, D, keys, Dp, One(), b, np, s, ld);
  }

  void forward(T* y) const {
    for_units([&](int64_t begin, int64_t end) {
      Room<T> room(4 * np * Dp + (n + Dp + 1) * ld);
      T *tq = room.take(np * Dp), *tq_t = room.take(np * Dp), *tk = room.take(np * Dp),
        *tv = room.take(np * Dp);
      T *s = room.take(n * ld), *ty = room.take(ld * Dp), *factor = room.take(ld);
      for (int64_t unit = begin; unit < end; ++unit) {
        const Head<T> h = head(unit);
        h.gather(q, tq, true, scale() * T(kLog2e));
        h.gather(k, tk, true);
        h.gather(v, tv, false);
        tile::transpose(np, Dp, tq, tq_t);
        for (int64_t first = 0; first < n; first += ld) {
          const Scores<T> block = scores(unit, first);
          const int64_t last = std::min(n, first + ld);
          products(tk, tq_t + first, s, block.columns);
          block.attention(lines.mode, s, factor);
          tile::multiply(last - first, Dp, n, s, One(), Ld(), tv, Dp, ty, Dp);
          h.scatter(ty, y, first, last, false, [&](int64_t i) { return factor[i - first]; });
        }
      }
    });
  }

  void backward(const T* dy, T* dq, T* dk, T* dv) const {
    for_units([&](int64_t begin, int64_t end) {
      Room<T> room(8 * np * Dp + (2 * n + Dp + 1) * ld);
      T *tq = room.take(np * Dp), *tq_t = room.take(np * Dp), *tdy = room.take(np * Dp),
        *tdy_t = room.take(np * Dp), *tk = room.take(np * Dp);
      T *tv = room.take(np * Dp), *tdk = room.take(np * Dp), *tdv = room.take(np * Dp);
      T *s = room.take(n * ld), *ds = room.take(n * ld), *tdq = room.take(ld * Dp),
        *factor = room.take(ld);
      for (int64_t unit = begin; unit < end; ++unit) {
        const Head<T> h = head(unit);
        h.gather(q, tq, true, scale() * T(kLog2e));
        h.gather(k, tk, true);
        h.gather(v, tv, false);
        h.gather(dy, tdy, false);
        tile::transpose(np, Dp, tq, tq_t);
        tile::transpose(np, Dp, tdy, tdy_t);
        for (int64_t first = 0; first < n; first += ld) {
          const Scores<T> block = scores(unit, first);
          const int64_t last = std::min(n, first + ld), m = last - first;
          products(tk, tq_t + first, s, block.columns);
          products(tv, tdy_t + first, ds, block.columns);
          block.backward(lines.mode, s, factor, ds);
          tile::multiply(n, Dp, m, s, Ld(), One(), tdy + first * Dp, Dp, tdv, Dp, first > 0);
          tile::multiply(n, Dp, m, ds, Ld(), One(), tq + first * Dp, Dp, tdk, Dp, first > 0);
          tile::multiply(m, Dp, n, ds, One(), Ld(), tk, Dp, tdq, Dp);
          h.scatter(tdq, dq, first, last, true, [&](int64_t) { return scale(); });
        }
        h.scatter(tdk, dk, 0, n, true,
                  [&](int64_t) { return T(1 / kLog2e); });  // tq is D^-1/2 log2(e) q'
        h.scatter(tdv, dv, 0, n, false, [&](int64_t) { return T(1); });
      }
    });
  }
};

template <class T>
void manhattan_attention_forward(const T* q, const T* k, const T* v, const T* decay,
                                 const T* rotary, T* y, const Lines& lines) {
  Attention<T>{lines, Distance<T>(lines), q, k, v, decay, rotary}.forward(y);
}

template <class T>
void manhattan_attention_backward(const T* q, const T* k, const T* v, const T* decay,
                                  const T* rotary, const T* dy, T* dq, T* dk, T* dv,
                                  const Lines& lines) {
  Attention<T>{lines, Distance<T>(lines), q, k, v, decay, rotary}.backward(dy, dq, dk, dv);
}

}  // namespace
}  // namespace cpu

Tensor ops::manhattan_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                const Tensor& decay, const Tensor& rotary,
                                const ManhattanOptions& options) {
  const char* op = "manhattan_attention";
  CHECK(q.defined() && q.rank() == 4 && q.dim(3) > 0, op, ": q is ", q.shape(),
        ", expected (B, H, W, C) with C > 0");
  expect(op, "k", k, q.shape(), q.dtype());
  expect(op, "v", v, q.shape(), q.dtype());
  const int64_t H = q.dim(1), W = q.dim(2), C = q.dim(3), heads = options.heads;
  CHECK(heads > 0 && C % heads == 0, op, ": ", C, " channels cannot be divided among ", heads,
        " heads");
  const int64_t D = C / heads;
  if (decay.defined()) expect(op, "decay", decay, {heads}, wide(q.dtype()));
  CHECK(!decay.node, op, ": decay has no gradient; detach() it");
  if (rotary.defined()) expect(op, "rotary", rotary, {H * W, D}, wide(q.dtype()));
  CHECK(!rotary.defined() || D % 2 == 0, op, ": rotary turns pairs of channels, but a head has ", D,
        "; give an even number, or no rotary");
  CHECK(!rotary.node, op, ": rotary has no gradient; detach() it");

  const Lines lines{q.dim(0), H, W, heads, D, options.axis, options.mode};
  Tensor y = Tensor::empty_like(q);
  if (q.numel() > 0) DISPATCH(q, manhattan_attention_forward, q, k, v, decay, rotary, y, lines);
  return record(
      op, y, {q, k, v},
      [q = q.detach(), k = k.detach(), v = v.detach(), decay, rotary,
       lines](const Tensor& dy) -> Grads {
        Tensor dq = Tensor::empty_like(q), dk = Tensor::empty_like(k), dv = Tensor::empty_like(v);
        if (q.numel() > 0)
          DISPATCH(q, manhattan_attention_backward, q, k, v, decay, rotary, dy, dq, dk, dv, lines);
        return {dq, dk, dv};
      });
}

}  // namespace rmt

// Softmax and decay on the CPU: what is done to the scores of a block of queries with all keys of
// their line, between the product that makes them and the product that uses them.
//
// Scores are kept transposed, s (n, kQueries): a key's row holds its scores with neighbouring
// queries, which fill vectors. The sums of softmax, over keys, are then arithmetic between whole
// vectors, never within one:
//
//             queries first, first + 1, ...
//           +-----------------------------+
//    key 0  | s s s s | s s s s | ...     |      most_i = max over the column
//    key 1  | s s s s | s s s s |         |      sum_i  = sum over the column
//     ...   |  vector |  vector |         |
//           +-----------------------------+
//
// Columns of queries that do not exist are computed along and read by nobody.
#pragma once
#include <algorithm>
#include <limits>
#include <type_traits>

#include "core/simd.h"
#include "core/tensor.h"
#include "ops/attention/lines.h"

namespace rmt::cpu {

// Queries of a block: 4 vectors.
template <class T>
constexpr int64_t kQueries = 4 * simd::lanes<T>;

// n rounded up to whole vectors.
template <class T>
int64_t padded(int64_t n) {
  return (n + simd::lanes<T> - 1) / simd::lanes<T> * simd::lanes<T>;
}

// A number for each of several neighbouring queries: N vectors, computed with as one.
template <class T, int N>
struct PerQuery {
  simd::Vec<T> at[N];

  PerQuery() = default;
  [[gnu::always_inline]] explicit PerQuery(T x) {
    for (simd::Vec<T>& v : at) v = simd::broadcast<T>(x);
  }
  [[gnu::always_inline]] explicit PerQuery(const T* p) {
    for (int v = 0; v < N; ++v) at[v] = simd::load<T>(p + v * simd::lanes<T>);
  }
  [[gnu::always_inline]] void store(T* p) const {
    for (int v = 0; v < N; ++v) simd::store<T>(p + v * simd::lanes<T>, at[v]);
  }

#define RMT_PER_QUERY(function, expression)                                               \
  [[gnu::always_inline]] friend PerQuery function(const PerQuery& a, const PerQuery& b) { \
    PerQuery c;                                                                           \
    for (int v = 0; v < N; ++v) c.at[v] = expression;                                     \
    return c;                                                                             \
  }
  RMT_PER_QUERY(operator+, a.at[v] + b.at[v])
  RMT_PER_QUERY(operator-, a.at[v] - b.at[v])
  RMT_PER_QUERY(operator*, a.at[v] * b.at[v])
  RMT_PER_QUERY(operator/, a.at[v] / b.at[v])
  RMT_PER_QUERY(max, simd::max<T>(a.at[v], b.at[v]))
#undef RMT_PER_QUERY
  [[gnu::always_inline]] friend PerQuery operator*(T a, const PerQuery& b) {
    return PerQuery(a) * b;
  }
  [[gnu::always_inline]] friend PerQuery exp2(const PerQuery& a) {
    PerQuery c;
    for (int v = 0; v < N; ++v) c.at[v] = simd::exp2(a.at[v]);
    return c;
  }
};

// The distances d_ij = |y_i - y_j| + |x_i - x_j| of a line, made ready to be read as vectors over
// the queries i: both terms are tables, in which the numbers for key j = (y_j, x_j) begin at
//   rows + y_j row_step   and   columns + x_j column_step.
// Over the map these are (H, np) and (W, np). Along an axis there is one y_j, whose numbers are 0,
// and d_ij = |i - j| slides over one sequence n - 1, ..., 1, 0, 1, ..., n - 1: its step is -1.
template <class T>
struct Distances {
  Tensor numbers;
  const T *rows, *columns;
  int64_t H, W, row_step, column_step;

  explicit Distances(const Lines& lines) {
    const int64_t n = lines.n(), np = padded<T>(n);
    if (lines.axis == ops::Axis::both) {
      H = lines.H;
      W = lines.W;
      row_step = column_step = np;
      numbers = Tensor::zeros({(H + W) * np}, dtype_of<T>);
      T* to = numbers.data<T>();
      for (int64_t i = 0; i < np; ++i) {
        for (int64_t y = 0; y < H; ++y) to[y * np + i] = T(std::abs(y - i / W));
        for (int64_t x = 0; x < W; ++x) to[(H + x) * np + i] = T(std::abs(x - i % W));
      }
      rows = to;
      columns = to + H * np;
    } else {
      H = 1;
      W = n;
      row_step = 0;
      column_step = -1;
      numbers = Tensor::zeros({np + n + np}, dtype_of<T>);
      T* to = numbers.data<T>();
      for (int64_t i = 0; i < n + np; ++i) to[np + i] = T(std::abs(i - (n - 1)));
      rows = to;
      columns = to + np + n - 1;
    }
  }

  // f(j, d_ij for the queries i ...) for all keys j.
  template <class Q, class F>
  [[gnu::always_inline]] void for_keys(int64_t i, const F& f) const {
    int64_t j = 0;
    for (int64_t y = 0; y < H; ++y) {
      const Q dy(rows + y * row_step + i);
      for (int64_t x = 0; x < W; ++x) f(j++, dy + Q(columns + x * column_step + i));
    }
  }
};

// One block of queries: first, ..., first + queries - 1. Its matrices s, g are (n, kQueries),
// transposed as drawn above; factor (kQueries) has a number for each query.
template <class T>
struct Scores {
  static constexpr int64_t ld = kQueries<T>;
  const Distances<T>& distances;
  int64_t n, first, queries;
  T decay;  // in units of log 2, as the scores are: e^x = 2^(x log2 e)

  // s = P / factor,  where P = softmax(s + slope d) over keys: 2^z / sum 2^z without the division.
  void softmax(T* s, T* factor, T slope) const {
    for_queries([&](int64_t c, auto vectors) {
      using Q = PerQuery<T, vectors>;
      Q most(-std::numeric_limits<T>::infinity()), sum(T(0));
      distances.template for_keys<Q>(first + c, [&](int64_t j, const Q& d) {
        const Q z = Q(s + j * ld + c) + slope * d;
        z.store(s + j * ld + c);
        most = max(most, z);
      });
      for (int64_t j = 0; j < n; ++j) {
        const Q e = exp2(Q(s + j * ld + c) - most);
        e.store(s + j * ld + c);
        sum = sum + e;
      }
      (Q(T(1)) / sum).store(factor + c);
    });
  }

  // s = s exp(decay d)
  void multiply_decay(T* s) const {
    for_queries([&](int64_t c, auto vectors) {
      using Q = PerQuery<T, vectors>;
      distances.template for_keys<Q>(first + c, [&](int64_t j, const Q& d) {
        (Q(s + j * ld + c) * exp2(decay * d)).store(s + j * ld + c);
      });
    });
  }

  // s = s factor exp(decay d), then factor = 1 / the sum of s over keys.
  void multiply_decay_and_normalise(T* s, T* factor) const {
    for_queries([&](int64_t c, auto vectors) {
      using Q = PerQuery<T, vectors>;
      const Q f(factor + c);
      Q sum(T(0));
      distances.template for_keys<Q>(first + c, [&](int64_t j, const Q& d) {
        const Q z = Q(s + j * ld + c) * f * exp2(decay * d);
        z.store(s + j * ld + c);
        sum = sum + z;
      });
      (Q(T(1)) / sum).store(factor + c);
    });
  }

  // From s = S:  s = A / factor, so A_ij = s_ij factor_i.
  void attention(ops::DecayMode mode, T* s, T* factor) const {
    softmax(s, factor, mode == ops::DecayMode::log_additive ? decay : T(0));
    if (mode == ops::DecayMode::post_multiply) multiply_decay(s);
    if (mode == ops::DecayMode::post_multiply_normalised) multiply_decay_and_normalise(s, factor);
  }

  // From s = P / factor and g = dP:  s = P,  g = dS = P (dP - sum_j P_ij dP_ij).
  void softmax_backward(T* s, const T* factor, T* g) const {
    for_queries([&](int64_t c, auto vectors) {
      using Q = PerQuery<T, vectors>;
      const Q f(factor + c);
      Q dot(T(0));
      for (int64_t j = 0; j < n; ++j) {
        const Q p = Q(s + j * ld + c) * f;
        p.store(s + j * ld + c);
        dot = dot + p * Q(g + j * ld + c);
      }
      for (int64_t j = 0; j < n; ++j) {
        const int64_t at = j * ld + c;
        (Q(s + at) * (Q(g + at) - dot)).store(g + at);
      }
    });
  }

  // From s = S and g = dA:  s = A,  g = dS. Where the rows of A sum to 1, dS is softmax's with
  // P = A and dP = dA (ops/attention/README.md, "The gradient"); for post_multiply P stands alone,
  // with dP = dA exp(decay d).
  void attention_backward(ops::DecayMode mode, T* s, T* factor, T* g) const {
    if (mode == ops::DecayMode::post_multiply) {
      softmax(s, factor, T(0));
      multiply_decay(g);
      softmax_backward(s, factor, g);
      multiply_decay(s);
    } else {
      attention(mode, s, factor);
      softmax_backward(s, factor, g);
    }
  }

 private:
  // f(c, number of vectors, a constant) for the block's columns: two vectors at a time, then one.
  template <class F>
  void for_queries(const F& f) const {
    constexpr int64_t V = simd::lanes<T>;
    int64_t c = 0;
    for (; c + 2 * V <= queries; c += 2 * V) f(c, std::integral_constant<int, 2>());
    if (c < queries) f(c, std::integral_constant<int, 1>());
  }
};

}  // namespace rmt::cpu

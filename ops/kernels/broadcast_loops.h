// The CPU's kernels of ops that broadcast: y = f(x_0, x_1, ...), and sums of such over the
// dimensions that the result does not have.
#pragma once
#include <algorithm>
#include <utility>

#include "core/rows.h"
#include "ops/kernels/broadcast.h"

namespace rmt::simd {

// f(x_0, x_1, ...) along the innermost dimension: of each tensor neighbours, or one number again
// and again.
template <class T, int K, class F>
struct Run {
  F f;
  const T* first[K];
  bool moves[K];

  // From where s says that the tensors x are, see Broadcast::offsets().
  Run(const Broadcast<K>& s, const F& function, const T* const (&x)[K], int64_t kept,
      int64_t summed, int64_t column)
      : f(function) {
    int64_t at[K];
    s.offsets(kept, summed, column, at);
    for (int k = 0; k < K; ++k) {
      first[k] = x[k] + at[k];
      moves[k] = s.step[k] != 0;
    }
  }
  template <class Count>
  Vec<T> operator()(Index<Count> c) const {
    return [&]<size_t... k>(std::index_sequence<k...>) {
      return f((moves[k] ? load(first[k] + c.first, c.count) : broadcast(*first[k]))...);
    }
    (std::make_index_sequence<K>());
  }
};

// y_i = f(x_0, x_1, ...), in pieces of y, whatever its dimensions.
template <class T, int K, class F>
void broadcast_map(const Broadcast<K>& s, T* y, const F& f, const T* const (&x)[K]) {
  parallel_for(s.kept.numel * s.n, 1 << 14, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t row = begin / s.n, first = begin - row * s.n,
                    count = std::min(s.n - first, end - begin);
      const Run g(s, f, x, row, 0, first);
      const View<T> to = y + begin;
      for_columns<T>(count, [=](auto c) { to[c] = g(c); });
      begin += count;
    }
  });
}

// y_k = sum of f(x_0, x_1, ...) over the dimensions that y does not have. Runs are cut into pieces
// of 2048: of a sum they are rows to be added, else columns, each with its own sum.
template <class T, int K, class F>
void broadcast_sum(const Broadcast<K>& s, T* y, const F& f, const T* const (&x)[K]) {
  constexpr int64_t most = 2048;
  const int64_t pieces = (s.n + most - 1) / most, width = std::min(s.n, most);
  // One sum over all pieces of all runs.
  const auto sum_runs = [&](int64_t k) {
    const auto add_row = [&](int64_t row, T* sum) {
      const int64_t r = row / pieces, first = (row - r * pieces) * most;
      *sum += sum_columns<T>(std::min(most, s.n - first), Run(s, f, x, k, r, first));
    };
    y[k] = T(sum_rows<T>(s.summed.numel * pieces, width, 1, add_row)[0]);
  };
  // As many sums as one piece has columns.
  const auto sum_columns_of = [&](int64_t piece) {
    const int64_t k = piece / pieces, first = (piece - k * pieces) * most,
                  count = std::min(most, s.n - first);
    const auto add_row = [&](int64_t r, View<T> sums) {
      const Run g(s, f, x, k, r, first);
      for_columns<T>(count, [=](auto c) { sums[c] += g(c); });
    };
    const std::vector<double> sums = sum_rows<T>(s.summed.numel, count, count, add_row);
    std::copy(sums.begin(), sums.end(), y + k * s.n + first);
  };
  if (s.sums)
    for_each_row(s.kept.numel, s.summed.numel * s.n, sum_runs);
  else
    for_each_row(s.kept.numel * pieces, s.summed.numel * width, sum_columns_of);
}

// What gradient() in broadcast.h asks for: into dx, or if that is null, sums.
template <class T, int K, class F>
void broadcast_gradient(const Broadcast<K>& s, T* dx, T* sums, const F& f, const T* const (&x)[K]) {
  if (dx)
    broadcast_map(s, dx, f, x);
  else
    broadcast_sum(s, sums, f, x);
}

}  // namespace rmt::simd

// What the tests of ops that broadcast share: pairs of shapes, and the slow definition.
#pragma once
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "tests/check_op.h"

namespace rmt::test {

inline std::vector<std::pair<Shape, Shape>> broadcast_shapes() {
  return {{{7, 13}, {13}},
          {{13}, {7, 13}},
          {{57, 64}, {64}},              // 16 bytes at once
          {{5000, 4}, {4}},              // sums in several parts
          {{3, 5003}, {5003}},           // columns in several pieces
          {{3, 5003}, {3, 1}},           // a sum of several pieces
          {{3, 7, 16}, {1, 7, 16}},      // position embeddings
          {{2, 3, 7, 7}, {3, 7, 7}},     // a bias of scores
          {{2, 3, 7, 8}, {1, 3, 1, 1}},  // a number for each head
          {{3, 7, 13}, {7, 1}},
          {{3, 1, 13}, {7, 13}},  // both are repeated
          {{7, 1}, {1, 13}},
          {{5, 7}, {}},
          {{}, {49, 57}},
          {{2, 1, 3, 1, 2}, {5, 1, 4, 1}},
          {{2, 1, 2, 1, 2, 1, 2, 3}, {1, 2, 1, 2, 1, 2, 1, 3}},  // as many dimensions as there are
          {{1}, {1, 1, 1}},
          {{0, 5}, {5}},
          {{0, 5}, {}},
          {{3, 1}, {3, 0}}};
}

inline Shape broadcast_shape(const Shape& a, const Shape& b) {
  Shape y = a.rank() < b.rank() ? b : a;
  for (int d = 1; d <= std::min(a.rank(), b.rank()); ++d) y.set(-d, a[-d] == 1 ? b[-d] : a[-d]);
  return y;
}

// For f32, beside the usual 16 roundings: a gradient is a sum of K terms of random signs and
// size s. Added one after the other they make partial sums of about s sqrt(n), of which each is
// rounded by 2^-24 at most, in the mean square by a third of that squared. In all that is 2^-24 s K
// / sqrt(6), and of the sum's own size s sqrt(K) it is 2^-24 sqrt(K / 6). Wide vectors add fewer at
// a time.
inline double sum_tolerance(const Shape& a, const Shape& b) {
  const double least = double(std::max<int64_t>(1, std::min(a.numel(), b.numel()))),
               K = double(broadcast_shape(a, b).numel()) / least;
  return (16 + std::sqrt(K / 6)) * 0x1p-24;
}

// Where in a tensor of this shape the i-th element of y is read, dimension by dimension.
inline int64_t broadcast_index(int64_t i, const Shape& y, const Shape& shape) {
  int64_t at = 0, step = 1;
  for (int d = 1; d <= shape.rank(); ++d) {
    if (shape[-d] != 1) at += i % y[-d] * step;
    step *= shape[-d];
    i /= y[-d];
  }
  return at;
}

// y_i = f(a_i, b_i)
template <class F>
Naive broadcast_naive(F f) {
  return [f](Inputs in) {
    const Shape a = in[0].shape(), b = in[1].shape(), shape = broadcast_shape(a, b);
    std::vector<double> y(size_t(shape.numel()));
    for (int64_t i = 0; i < int64_t(y.size()); ++i)
      y[size_t(i)] = f(in[0].data<double>()[broadcast_index(i, shape, a)],
                       in[1].data<double>()[broadcast_index(i, shape, b)]);
    return y;
  };
}

// N(0, 1), rounded to bf16: a parameter in f32 has these numbers beside bf16 too.
inline Tensor randn_bf16(const Shape& shape, uint64_t seed) {
  return randn(shape, seed).to(DType::bf16).to(DType::f64);
}

// Away from 0, of both signs.
inline Tensor divisors(const Shape& shape, uint64_t seed) {
  Tensor x = randn_bf16(shape, seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] += x.data<double>()[i] < 0 ? -1 : 1;
  return x.to(DType::bf16).to(DType::f64);
}

// Of bf16 and f32, of an op with a parameter on either side.
inline const std::vector<bool> kParameters[] = {{false, true}, {true, false}};

}  // namespace rmt::test

// Some positions of a unit, brought together for the CPU: rows of numbers that lie side by side,
// where a tensor has the channels of the other heads between them.
#pragma once
#include "core/rows.h"
#include "core/tensor.h"
#include "ops/retention/sequences.h"

namespace rmt::cpu {

// n rounded up to whole vectors.
template <class T>
constexpr int64_t whole_vectors(int64_t n) {
  return (n + simd::lanes<T> - 1) / simd::lanes<T> * simd::lanes<T>;
}

// n zeros, aligned to vectors.
template <class T>
struct Numbers {
  Tensor tensor;
  T* first;
  explicit Numbers(int64_t n) : tensor(Tensor::zeros({n}, dtype_of<T>)), first(tensor.data<T>()) {}
  T* begin() const { return first; }
  T* end() const { return first + tensor.numel(); }
};

template <class T>
struct Tile {
  const int64_t columns, width;  // of a row, which ends with zeros up to a whole vector
  const Numbers<T> numbers;

  Tile(int64_t rows, int64_t columns_)
      : columns(columns_), width(whole_vectors<T>(columns)), numbers(rows * width) {}
  T* operator[](int64_t row) const { return numbers.first + row * width; }

  // Row i = factor(i) x[first + i] for i = 0 ... n - 1.
  template <class Factor>
  void load(Walk<const T> x, int64_t first, int64_t n, const Factor& factor) const {
    for (int64_t i = 0; i < n; ++i) {
      const simd::View<const T> from = x[first + i];
      const simd::View<T> to = (*this)[i];
      const T f = factor(i);
      simd::for_columns<T>(columns, [&](auto c) { to[c] = from[c] * f; });
    }
  }
  void load(Walk<const T> x, int64_t first, int64_t n) const {
    load(x, first, n, [](int64_t) { return T(1); });
  }
  void store(Walk<T> x, int64_t first, int64_t n) const {
    for (int64_t i = 0; i < n; ++i) {
      const simd::View<const T> from = (*this)[i];
      const simd::View<T> to = x[first + i];
      simd::for_columns<T>(columns, [&](auto c) { to[c] = from[c]; });
    }
  }
};

}  // namespace rmt::cpu

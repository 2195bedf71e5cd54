// Broadcasting: tensors of different shapes meet as if the smaller were repeated. Shapes are
// aligned at their ends; in each dimension the extents are equal or 1, and a missing one counts
// as 1. With a (B, N, L, L) and b (N, 1, L), b is the same for every sample and every row of a map.
//
// The gradient of a repeated operand is the sum over its repetitions. Both are one loop nest: over
// the dimensions of y, in which each tensor takes a step or stays. Neighbouring dimensions in which
// the same tensors stay are one: (B, L, C) with (L, C) is a nest of B by L C, (B, L, C) with () a
// single loop.
#pragma once
#include "autograd/tape.h"

namespace rmt {

// Dimensions of a loop nest over K tensors, outermost first.
template <int K>
struct Nest {
  int rank = 0;
  int64_t numel = 1;
  int64_t extent[Shape::max_rank] = {};
  int64_t step[Shape::max_rank][K] = {};  // of tensor k in its elements; 0 where it stays

  // Adds to at[k] where tensor k is at the i-th place, counted in row-major order.
  template <class Int>
  HD void add_offsets(Int i, int64_t (&at)[K]) const {
    for (int d = rank - 1; d >= 0; --d) {
      Int index = i;
      if (d > 0) {
        i /= Int(extent[d]);
        index -= i * Int(extent[d]);
      }
      for (int k = 0; k < K; ++k) at[k] += int64_t(index) * step[d][k];
    }
  }
};

// The dimensions of y: those that the result has too, and those that it is a sum over. A result of
// y's shape has no sums.
template <int K>
struct Broadcast {
  Nest<K> kept, summed;  // but for the innermost dimension:
  int64_t n = 1;         // its extent
  int64_t step[K] = {};  // 1, or 0 where tensor k stays
  bool sums = false;     // is it summed over?

  // A result whose shape broadcasts to y's, from K tensors whose shapes do.
  Broadcast(const Shape& y, const Shape& result, const Shape (&x)[K]);

  // Where the tensors are at the k-th place of `kept`, the r-th of `summed`, and column c.
  template <class Int>
  HD void offsets(Int k, Int r, Int c, int64_t (&at)[K]) const {
    for (int i = 0; i < K; ++i) at[i] = int64_t(c) * step[i];
    kept.add_offsets(k, at);
    summed.add_offsets(r, at);
  }
};

template <int K>
Broadcast<K>::Broadcast(const Shape& y, const Shape& result, const Shape (&x)[K]) {
  auto extent = [](const Shape& s, int from_end) {
    return from_end <= s.rank() ? s[-from_end] : 1;
  };
  struct Dim {
    int64_t extent;
    bool summed;
    int64_t step[K];
  } dims[Shape::max_rank];  // innermost first
  int rank = 0;
  int64_t size[K];  // of what lies inside in tensor k
  for (int64_t& s : size) s = 1;
  for (int d = 1; d <= y.rank(); ++d) {
    if (y[-d] == 1) continue;
    Dim dim{y[-d], extent(result, d) == 1, {}};
    bool alike = rank > 0 && dims[rank - 1].summed == dim.summed;
    for (int k = 0; k < K; ++k) {
      const int64_t e = extent(x[k], d);
      dim.step[k] = e == 1 ? 0 : size[k];
      size[k] *= e;
      alike = alike && (dims[rank - 1].step[k] == 0) == (e == 1);
    }
    if (alike)
      dims[rank - 1].extent *= dim.extent;
    else
      dims[rank++] = dim;
  }
  if (rank == 0) return;
  n = dims[0].extent;
  sums = dims[0].summed;
  for (int k = 0; k < K; ++k) step[k] = dims[0].step[k] == 0 ? 0 : 1;
  for (int d = rank - 1; d > 0; --d) {
    Nest<K>& nest = dims[d].summed ? summed : kept;
    for (int k = 0; k < K; ++k) nest.step[nest.rank][k] = dims[d].step[k];
    nest.extent[nest.rank++] = dims[d].extent;
    nest.numel *= dims[d].extent;
  }
}

// The operands of an op, and its result to be: y of the shape that a and b have together. Of bf16
// and f32 the f32 is a parameter: y is bf16, and so is the parameter here (in_dtype(), tape.h).
struct Operands {
  Tensor a, b, y;  // off the tape, of one dtype
  // Throws Error, with op's name, where a or b is undefined, or shapes or dtypes do not fit.
  Operands(const char* op, const Tensor& a, const Tensor& b);
};

// What the gradient of an operand must look like.
struct GradientOf {
  Shape shape;
  DType dtype;
  bool needed;
  explicit GradientOf(const Tensor& x)
      : shape(x.shape()), dtype(x.dtype()), needed(needs_grad(x)) {}
  // Each element of dy gives one of the gradient: nothing to sum, nothing to widen.
  bool like(const Tensor& dy) const { return shape == dy.shape() && dtype == dy.dtype(); }
};

// compute(dx, sums) writes the gradient: into dx when it is like dy, else into sums, which is f32
// for bf16, so that sums are rounded once; the other is undefined. Returns the gradient in x's
// dtype, or an undefined tensor where none is needed.
template <class F>
Tensor gradient(const GradientOf& x, const Tensor& dy, const F& compute) {
  if (!x.needed) return Tensor();
  const DType dtype = x.like(dy) ? x.dtype : wide(x.dtype);
  const Tensor dx = Tensor::empty(x.shape, dtype, dy.device());
  if (x.like(dy))
    compute(dx, Tensor());
  else
    compute(Tensor(), dx);
  return dx.to(x.dtype);
}

}  // namespace rmt

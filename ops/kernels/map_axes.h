// Ops on maps treat rows and columns alike, each by itself. Along one axis, `size` inputs become
// `count` outputs, and
//
//   of(o)       are the neighbouring inputs that output o reads, its window,
//   readers(i)  the neighbouring outputs that read input i.
//
// So a result gathers over of(o), and the gradient by input i over readers(i): every number is
// written by one thread, and sums have a fixed order. Where the result is a weighted sum,
// weight<T>(o, i) is the weight; all else is in integers, and exact. Internal to ops/.
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace rmt {

struct Range {  // [begin, end); empty where end <= begin
  int begin, end;
  HD int size() const { return end - begin; }
};

// a / b rounded up, a >= 0, b > 0.
HD inline int divide_up(int a, int b) { return (a + b - 1) / b; }

// k neighbours in steps of `stride`, the first window beginning at -pad; what lies outside the map
// is not read.
struct SlidingAxis {
  int size, count, k, stride, pad;
  HD int start(int o) const { return o * stride - pad; }
  HD Range of(int o) const {
    const int first = start(o);
    return {first > 0 ? first : 0, first + k < size ? first + k : size};
  }
  // start(o) <= i < start(o) + k
  HD Range readers(int i) const {
    const int after = i + pad - k, last = (i + pad) / stride;
    return {after < 0 ? 0 : after / stride + 1, last < count ? last + 1 : count};
  }
};

// The mean over a sliding window, whose positions count up to `margin` beyond the map: all of them
// when margin is pad, those on the map alone when it is 0.
struct AverageAxis : SlidingAxis {
  int margin;
  template <class T>
  HD T weight(int o, int) const {
    const int first = start(o), end = first + k;
    return T(1) /
           T((end < size + margin ? end : size + margin) - (first > -margin ? first : -margin));
  }
};

// The mean over window o of `count` that cover the inputs evenly. The outputs that read input i are
// window i of `size` over the outputs: o size < (i + 1) count and i count < (o + 1) size.
// size count < 2^29 here and below.
struct AdaptiveAxis {
  int size, count;
  HD Range of(int o) const { return {o * size / count, divide_up((o + 1) * size, count)}; }
  HD Range readers(int i) const { return AdaptiveAxis{count, size}.of(i); }
  template <class T>
  HD T weight(int o, int) const {
    return T(1) / T(of(o).size());
  }
};

// Input floor(o size / count) alone.
struct NearestAxis {
  int size, count;
  HD Range of(int o) const { return {o * size / count, o * size / count + 1}; }
  HD Range readers(int i) const {
    return {divide_up(i * count, size), divide_up((i + 1) * count, size)};
  }
  template <class T>
  HD T weight(int, int) const {
    return 1;
  }
};

// The two neighbours of place s = max(0, (o + 1/2) size / count - 1/2), with weights 1 - f and f, f
// = s - floor(s); beyond the middle of the last input, that alone.
struct BilinearAxis {
  int size, count;
  HD int doubled(int o) const {  // 2 count s
    const int s = (2 * o + 1) * size - count;
    return s > 0 ? s : 0;
  }
  HD Range of(int o) const {
    const int first = doubled(o) / (2 * count);
    return {first, first + 2 < size ? first + 2 : size};
  }
  // i - 1 < s < i + 1
  HD Range readers(int i) const {
    const int after = (2 * i - 1) * count - size, end = (2 * i + 3) * count - size;
    const int last = end > 0 ? divide_up(end, 2 * size) : 0;
    return {after < 0 ? 0 : after / (2 * size) + 1, last < count ? last : count};
  }
  template <class T>
  HD T weight(int o, int i) const {
    const int s = doubled(o), first = s / (2 * count);
    if (first == size - 1) return 1;
    const T f = T(s % (2 * count)) / T(2 * count);
    return i == first ? 1 - f : f;
  }
};

// An axis of the gradient: what were outputs are read, and inputs are made.
template <class Axis>
struct Transposed {
  Axis of_result;
  int size, count;
  HD explicit Transposed(const Axis& a) : of_result(a), size(a.count), count(a.size) {}
  HD Range of(int o) const { return of_result.readers(o); }
  template <class T>
  HD T weight(int o, int i) const {
    return of_result.template weight<T>(i, o);
  }
};

// The maps x (B, rows.size, columns.size, C) -> y (B, rows.count, columns.count, C).
template <class Axis>
struct Maps {
  int64_t B, C;
  Axis rows, columns;
  // The number of a pixel of x and of y, counted through the batch.
  HD int64_t x_at(int64_t image, int row, int column) const {
    return (image * rows.size + row) * columns.size + column;
  }
  HD int64_t y_at(int64_t image, int row, int column) const {
    return (image * rows.count + row) * columns.count + column;
  }
  int64_t x_pixels() const { return B * rows.size * columns.size; }
  int64_t y_pixels() const { return B * rows.count * columns.count; }
};
template <class Axis>
Maps<Transposed<Axis>> transposed(const Maps<Axis>& m) {
  return {m.B, m.C, Transposed<Axis>(m.rows), Transposed<Axis>(m.columns)};
}

// The place of pixel `number` of maps of H rows and W columns.
struct Pixel {
  int64_t image;
  int row, column;
  template <class Int>
  HD Pixel(Int number, Int H, Int W)
      : image(number / W / H), row(int(number / W % H)), column(int(number % W)) {}
};

}  // namespace rmt

// The extents of a row-major block: up to 8 dimensions, by value, no allocation. {} is a scalar
// with one element.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>

#include "core/error.h"

namespace rmt {

class Shape {
 public:
  static constexpr int max_rank = 8;
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(dims.begin(), dims.end()) {}
  template <class It>
  Shape(It first, It last) {
    for (; first != last; ++first) push_back(*first);
  }

  int rank() const { return rank_; }
  // Extent i; negative i counts from the end, so [-1] is the innermost.
  int64_t operator[](int i) const {
    int j = i < 0 ? i + rank_ : i;
    CHECK(j >= 0 && j < rank_, "shape ", *this, " has no dimension ", i);
    return dims_[size_t(j)];
  }
  void set(int i, int64_t extent) { dims_[size_t(i < 0 ? i + rank_ : i)] = extent; }
  void push_back(int64_t extent) {
    CHECK(rank_ < max_rank, "a shape has at most ", max_rank, " dimensions");
    dims_[size_t(rank_++)] = extent;
  }
  int64_t numel() const {
    int64_t n = 1;
    for (int64_t d : *this) n *= d;
    return n;
  }
  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }

  friend bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i)
      if (a.dims_[size_t(i)] != b.dims_[size_t(i)]) return false;
    return true;
  }
  friend std::ostream& operator<<(std::ostream& out, const Shape& s) {
    out << '(';
    for (int i = 0; i < s.rank_; ++i) out << (i ? ", " : "") << s.dims_[size_t(i)];
    return out << ')';
  }

 private:
  std::array<int64_t, max_rank> dims_{};
  int rank_ = 0;
};

}  // namespace rmt

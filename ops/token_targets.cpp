// The targets of token labelling, with d the dense map of the teacher's logits, 0 where there are
// none:
//
//   z_rsk = sum_ij rows_ri columns_sj d_ijk,   the weights are RoIAlign's
//   target_rsk = softmax(z_rs)_k (1 - e + e / K) + e / K
//
// A row (r, s) of the target reads few classes. All others have z = 0 and so the same target: the
// row, (K), is filled with it, and the few are written over it.
#include "ops/token_targets.h"

#include <cmath>
#include <limits>

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/extents.h"
#include "ops/kernels/roi_align.h"

namespace rmt {
namespace gpu {  // token_targets.cu
template <class T>
void token_targets(const float* values, const int32_t* classes, const double* boxes,
                   const double* mix, T* target, const TokenTargets& n);
}  // namespace gpu

namespace cpu {
namespace {

// The classes that a row of the target reads, in the order in which they come, and their z.
class Scores {
 public:
  explicit Scores(int64_t K) : z_(K), seen_(K) {}

  void add(int32_t k, double z) {
    if (!seen_[k]) classes_.push_back(k);
    seen_[k] = true;
    z_[k] += z;
  }

  // Writes the row, (K), and removes all classes.
  template <class T>
  void write(T* row, const TokenTargets& n) {
    const int64_t others = n.K - int64_t(classes_.size());
    double max = others ? 0 : -std::numeric_limits<double>::infinity();
    for (int32_t k : classes_) max = std::max(max, z_[k]);
    const double other = others ? std::exp(-max) : 0;  // exp(z - max) of each that is not read
    double sum = double(others) * other;
    for (int32_t k : classes_) sum += std::exp(z_[k] - max);
    std::fill_n(row, n.K, T(n.smoothed(other / sum)));
    for (int32_t k : classes_) {
      row[k] = T(n.smoothed(std::exp(z_[k] - max) / sum));
      z_[k] = 0;
      seen_[k] = false;
    }
    classes_.clear();
  }

 private:
  std::vector<double> z_;      // (K)
  std::vector<uint8_t> seen_;  // (K)
  std::vector<int32_t> classes_;
};

// Adds what row (r, s) reads of one image's map (h, w, T).
void add_scores(const float* values, const int32_t* classes, const double* box, int r, int s,
                const TokenTargets& n, Scores& scores) {
  const RoiAxis rows(int(n.h), int(n.rows), box[1], box[3]),
      columns(int(n.w), int(n.columns), box[0], box[2]);
  const Range i_of = rows.of(r), j_of = columns.of(s);
  std::vector<double> weights(j_of.size());
  for (int j = j_of.begin; j < j_of.end; ++j) weights[j - j_of.begin] = columns.weight(s, j);
  for (int i = i_of.begin; i < i_of.end; ++i) {
    const double weight_i = rows.weight(r, i);
    for (int j = j_of.begin; j < j_of.end; ++j)
      for (int64_t at = (i * n.w + j) * n.T, end = at + n.T; at < end; ++at)
        scores.add(classes[at], weight_i * weights[j - j_of.begin] * double(values[at]));
  }
}

// target (B, size): each b with its B - 1 - b. In an odd batch the one in the middle stays.
template <class T>
void mix_targets(double lambda, T* target, int64_t B, int64_t size) {
  simd::for_each_row(B / 2, 2 * size, [=](int64_t b) {
    T *p = target + b * size, *q = target + (B - 1 - b) * size;
    for (int64_t i = 0; i < size; ++i) {
      const double u = p[i], v = q[i];
      p[i] = T(lambda * u + (1 - lambda) * v);
      q[i] = T(lambda * v + (1 - lambda) * u);
    }
  });
}

template <class T>
void token_targets(const float* values, const int32_t* classes, const double* boxes,
                   const double* mix, T* target, const TokenTargets& n) {
  simd::for_rows(n.B * n.rows * n.columns, n.K, [=](int64_t begin, int64_t end) {
    Scores scores(n.K);
    for (int64_t cell = begin; cell < end; ++cell) {
      const Pixel at(cell, n.rows, n.columns);
      const int64_t map = at.image * n.h * n.w * n.T;
      add_scores(values + map, classes + map, boxes + 4 * at.image, at.row, at.column, n, scores);
      scores.write(target + cell * n.K, n);
    }
  });
  if (mix) mix_targets(mix[1], target, n.B, n.rows * n.columns * n.K);
}

// For tensors on the CPU. Those on a GPU are not waited for: see the header.
void check_classes(const Tensor& classes, int64_t K) {
  const int32_t* k = classes.data<int32_t>();
  for (int64_t i = 0; i < classes.numel(); ++i)
    CHECK(k[i] >= 0 && k[i] < K, "token_targets: class ", k[i], " at place ", i, " of ",
          classes.shape(), ", expected one of 0 ... ", K - 1);
}
void check_boxes(const Tensor& boxes) {
  const double* box = boxes.data<double>();
  for (int64_t b = 0; b < boxes.dim(0); ++b, box += 4)
    CHECK(is_box(box), "token_targets: box ", b, " is {", box[0], ", ", box[1], ", ", box[2], ", ",
          box[3], "}, expected {left, top, right, bottom} as shares of the map, in [-1, 2]");
}

}  // namespace
}  // namespace cpu

// values classes (B, h, w, T), boxes (B, 4), mix (6) -> (B, rows, columns, K)
Tensor ops::token_targets(const Tensor& values, const Tensor& classes, const Tensor& boxes,
                          int64_t K, int64_t rows, int64_t columns, double smoothing, DType dtype,
                          const Tensor& mix) {
  expect_defined("token_targets", "values", values);
  CHECK(values.rank() == 4 && values.dtype() == DType::f32, "token_targets: values is ",
        values.dtype(), " ", values.shape(), ", expected f32 (B, h, w, T)");
  const int64_t B = values.dim(0), h = values.dim(1), w = values.dim(2), T = values.dim(3);
  constexpr int64_t limit = std::numeric_limits<int>::max();
  CHECK(h > 0 && w > 0 && T > 0 && h * w * T <= limit, "token_targets: values is ", values.shape(),
        ", expected h, w, T > 0 and fewer than 2^31 numbers a map");
  expect("token_targets", "classes", classes, values.shape(), DType::i32);
  expect("token_targets", "boxes", boxes, {B, 4}, DType::f64);
  if (mix.defined()) expect("token_targets", "mix", mix, {6}, DType::f64);
  CHECK(!needs_grad(values), "token_targets: values has no gradient; detach() it");
  CHECK(K > 0 && rows > 0 && columns > 0 && K <= limit && rows * columns <= limit,
        "token_targets: ", K, " classes for ", rows, " x ", columns, " tokens, expected 1 or more");
  CHECK(dtype == DType::f32 || dtype == DType::f64, "token_targets: targets in ", dtype,
        ", expected f32 or f64");
  if (classes.device() == Device::cpu) cpu::check_classes(classes, K);
  if (boxes.device() == Device::cpu) cpu::check_boxes(boxes);
  Tensor target = Tensor::empty({B, rows, columns, K}, dtype, values.device());
  DISPATCH(target, token_targets, values, classes, boxes, mix, target,
           (TokenTargets{B, h, w, T, K, rows, columns, smoothing}));
  return target;
}

}  // namespace rmt

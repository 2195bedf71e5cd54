// The cross entropy of rows z_i, (K), with one class each, its label l_i:
//
//   y = 1 / n sum_i m_i (lse_i - z_(i, l_i)),   lse_i = log sum_k exp(z_ik)
//   dz_ik = dy / n m_i (softmax(z_i)_k - [k = l_i])
//
// where n is the normaliser, and m_i = 0 for a row that is ignored, else 1.
#include "ops/pixel_cross_entropy.h"

#include <limits>

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/labels.h"
#include "ops/kernels/mean_loss.h"

namespace rmt {
namespace gpu {  // pixel_cross_entropy.cu
template <class T>
void pixel_cross_entropy_forward(const T* z, const Labels& labels, Wide<T>* y, int64_t rows,
                                 int64_t K, int64_t ignored, double normaliser);
template <class T>
void pixel_cross_entropy_backward(const T* z, const Labels& labels, const Wide<T>* dy, T* dz,
                                  int64_t rows, int64_t K, int64_t ignored, double normaliser);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// Of a row: max z, sum exp(z - max). Everything in terms of z - max, which loses nothing when z is
// large.
template <class T>
struct RowSums {
  T max, exps;
};

template <class T>
RowSums<T> row_sums(int64_t r, View<const T> z, int64_t K) {
  // Beyond the last class: exp gives 0.
  constexpr T least = -std::numeric_limits<T>::infinity();
  const T max = simd::max_columns<T>(K, [&](auto k) { return z(r, k); });
  Vec<T> exps{};
  simd::for_columns<T>(K, [&](auto k) { exps += simd::exp(z(r, k, least) - max); });
  return {max, simd::sum(exps)};
}

template <class T>
void pixel_cross_entropy_forward(View<const T> z, const Labels& labels, T* y, int64_t rows,
                                 int64_t K, int64_t ignored, double normaliser) {
  const double total = sum_of_rows(rows, K, [&](int64_t r) {
    const int64_t label = labels[r];
    if (label == ignored) return 0.0;
    const RowSums<T> row = row_sums<T>(r, z, K);
    return std::log(double(row.exps)) - double(z.data()[r * K + label] - row.max);
  });
  *y = T(total / normaliser);
}

template <class T>
void pixel_cross_entropy_backward(View<const T> z, const Labels& labels, const T* dy, View<T> dz,
                                  int64_t rows, int64_t K, int64_t ignored, double normaliser) {
  const T scale = T(double(*dy) / normaliser);
  simd::for_each_row(rows, K, [=](int64_t r) {
    T* row_of_dz = dz.data() + r * K;
    const int64_t label = labels[r];
    if (label == ignored) {
      std::fill_n(row_of_dz, K, T(0));
      return;
    }
    const RowSums<T> row = row_sums<T>(r, z, K);
    const T share = scale / row.exps;
    simd::for_columns<T>(K, [&](auto k) { dz(r, k) = simd::exp(z(r, k) - row.max) * share; });
    row_of_dz[label] -= scale;
  });
}

void check_labels(const Labels& labels, int64_t rows, int64_t K, int64_t ignored) {
  for (int64_t r = 0; r < rows; ++r)
    CHECK((labels[r] >= 0 && labels[r] < K) || labels[r] == ignored, "pixel_cross_entropy: label ",
          r, " is ", labels[r], ", expected one of 0 ... ", K - 1, ", or ", ignored,
          " to be ignored");
}

}  // namespace
}  // namespace cpu

// logits (..., K), labels (...)
Tensor ops::pixel_cross_entropy(const Tensor& logits, const Tensor& labels, int64_t ignored,
                                double normaliser) {
  const int64_t K = expect_columns("pixel_cross_entropy", "logits", logits);
  Shape shape;
  for (int i = 0; i + 1 < logits.rank(); ++i) shape.push_back(logits.dim(i));
  const Labels at = expect_labels("pixel_cross_entropy", labels, shape, logits.device());
  CHECK(normaliser > 0, "pixel_cross_entropy: normaliser ", normaliser, ", expected more than 0");
  const int64_t rows = labels.numel();
  if (logits.device() == Device::cpu) cpu::check_labels(at, rows, K, ignored);
  Tensor y = Tensor::empty({}, wide(logits.dtype()), logits.device());
  DISPATCH(logits, pixel_cross_entropy_forward, logits, at, y, rows, K, ignored, normaliser);
  return record("pixel_cross_entropy", y, {logits},
                [z = logits.detach(), labels = labels.detach(), at, rows, K, ignored,
                 normaliser](const Tensor& dy) -> Grads {
                  Tensor dz = Tensor::empty_like(z);
                  DISPATCH(z, pixel_cross_entropy_backward, z, at, dy, dz, rows, K, ignored,
                           normaliser);
                  return {dz};
                });
}

}  // namespace rmt

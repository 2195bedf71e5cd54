// The loss of a classifier, for targets t whose rows have any sum, and the targets of labels.
//
//   y = 1 / B sum_bk t_bk (lse_b - z_bk),   lse_b = log sum_k exp(z_bk)
//   dz_bk = dy / B (softmax(z_b)_k sum_j t_bj - t_bk)
#include <limits>

#include "core/rows.h"
#include "ops/cross_entropy.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"

namespace rmt {
namespace gpu {  // cross_entropy.cu
template <class T>
void cross_entropy_forward(const T* z, const Wide<T>* t, Wide<T>* y, int64_t B, int64_t K);
template <class T>
void cross_entropy_backward(const T* z, const Wide<T>* t, const Wide<T>* dy, T* dz, int64_t B,
                            int64_t K);
template <class T>
void smooth_one_hot(const int64_t* labels, const double* mix, T* target, int64_t B, int64_t K,
                    double eps);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

// Of row b: max z, sum exp(z - max), sum t, sum t (z - max).
template <class T>
struct RowSums {
  T max, exps, targets, product;
};

// Everything in terms of z - max, which loses nothing when z is large.
template <class T>
RowSums<T> row_sums(int64_t b, View<const T> z, View<const T> t, int64_t K) {
  // Beyond the last class: exp gives 0.
  constexpr T least = -std::numeric_limits<T>::infinity();
  const T max = simd::max_columns<T>(K, [&](auto k) { return z(b, k); });
  Vec<T> exps{}, targets{}, product{};
  simd::for_columns<T>(K, [&](auto k) {
    exps += simd::exp(z(b, k, least) - max);
    targets += t(b, k);
    product += t(b, k) * (z(b, k) - max);
  });
  return {max, simd::sum(exps), simd::sum(targets), simd::sum(product)};
}

template <class T>
void cross_entropy_forward(View<const T> z, View<const T> t, T* y, int64_t B, int64_t K) {
  std::vector<double> losses(B);
  simd::for_each_row(B, K, [&](int64_t b) {
    const RowSums<T> row = row_sums<T>(b, z, t, K);
    losses[b] = std::log(double(row.exps)) * double(row.targets) - double(row.product);
  });
  double total = 0;
  for (double loss : losses) total += loss;
  *y = T(total / double(B));
}

template <class T>
void cross_entropy_backward(View<const T> z, View<const T> t, const T* dy, View<T> dz, int64_t B,
                            int64_t K) {
  simd::for_each_row(B, K, [=](int64_t b) {
    const RowSums<T> row = row_sums<T>(b, z, t, K);
    const T scale = *dy / T(B), weight = row.targets / row.exps;
    simd::for_columns<T>(
        K, [&](auto k) { dz(b, k) = scale * (simd::exp(z(b, k) - row.max) * weight - t(b, k)); });
  });
}

template <class T>
void smooth_one_hot(const int64_t* labels, const double* mix, T* target, int64_t B, int64_t K,
                    double eps) {
  const double low = eps / double(K), lambda = mix ? mix[1] : 1;
  std::fill_n(target, B * K, T(low));
  for (int64_t b = 0; b < B; ++b) {
    const int64_t own = labels[b], other = labels[B - 1 - b];
    target[b * K + other] = T((1 - lambda) * (1 - eps) + low);
    target[b * K + own] = T((own == other ? 1 : lambda) * (1 - eps) + low);
  }
}

}  // namespace
}  // namespace cpu

// logits target (B, K)
Tensor ops::cross_entropy(const Tensor& logits, const Tensor& target) {
  expect_defined("cross_entropy", "logits", logits);
  CHECK(logits.rank() == 2 && logits.numel() > 0, "cross_entropy: logits is ", logits.shape(),
        ", expected (B, K) with B > 0 and K > 0");
  expect("cross_entropy", "target", target, logits.shape(), wide(logits.dtype()));
  CHECK(!needs_grad(target), "cross_entropy: target has no gradient; detach() it");
  const int64_t B = logits.dim(0), K = logits.dim(1);
  Tensor y = Tensor::empty({}, target.dtype(), logits.device());
  DISPATCH(logits, cross_entropy_forward, logits, target, y, B, K);
  return record("cross_entropy", y, {logits},
                [z = logits.detach(), t = target.detach(), B, K](const Tensor& dy) -> Grads {
                  Tensor dz = Tensor::empty_like(z);
                  DISPATCH(z, cross_entropy_backward, z, t, dy, dz, B, K);
                  return {dz};
                });
}

// labels (B) -> (B, K)
Tensor ops::smooth_one_hot(const Tensor& labels, int64_t K, double eps, DType dtype,
                           const Tensor& mix) {
  expect_defined("smooth_one_hot", "labels", labels);
  CHECK(labels.rank() == 1 && labels.dtype() == DType::i64, "smooth_one_hot: labels is ",
        labels.dtype(), " ", labels.shape(), ", expected i64 (B)");
  const int64_t B = labels.dim(0);
  if (mix.defined()) expect("smooth_one_hot", "mix", mix, {6}, DType::f64);
  // On a GPU a label out of range makes its row nan, so that the loss says so without a wait for
  // each batch.
  if (labels.device() == Device::cpu) {
    const int64_t* label = labels.data<int64_t>();
    for (int64_t b = 0; b < B; ++b)
      CHECK(label[b] >= 0 && label[b] < K, "smooth_one_hot: label ", b, " is ", label[b],
            ", expected one of 0 ... ", K - 1);
  }
  Tensor target = Tensor::empty({B, K}, dtype, labels.device());
  DISPATCH(target, smooth_one_hot, labels, mix, target, B, K, eps);
  return target;
}

}  // namespace rmt

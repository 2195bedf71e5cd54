// y = 1 / B sum_bk t_bk (lse_b - z_bk),  lse_b = log sum_k exp(z_bk);   dz_bk = dy / B
// (softmax(z_b)_k sum_j t_bj - t_bk)
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

using simd::Vec;

template <class T>
constexpr T least = -std::numeric_limits<T>::infinity();  // no maximum, and exp gives 0

template <class T>
struct Row {
  T max, exps, targets, product;  // of a row: max z, sum exp(z - max), sum t, sum t (z - max)
};

// Everything in terms of z - max, which loses nothing when z is large.
template <class T>
Row<T> row_sums(const T* z, const T* t, int64_t K) {
  Vec<T> largest = simd::broadcast<T>(least<T>), exps{}, targets{}, product{};
  simd::for_columns<T>(K, [&](int64_t k, auto count) {
    largest = simd::max<T>(largest, simd::load(z + k, count, least<T>));
  });
  const T max = simd::max_lane<T>(largest);
  simd::for_columns<T>(K, [&](int64_t k, auto count) {
    Vec<T> target = simd::load(t + k, count);
    exps += simd::exp(simd::load(z + k, count, least<T>) - max);
    targets += target;
    product += target * (simd::load(z + k, count) - max);
  });
  return {max, simd::sum<T>(exps), simd::sum<T>(targets), simd::sum<T>(product)};
}

template <class T>
void cross_entropy_forward(const T* z, const T* t, T* y, int64_t B, int64_t K) {
  std::vector<double> losses(static_cast<size_t>(B));
  simd::for_rows(B, K, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      Row<T> row = row_sums(z + b * K, t + b * K, K);
      losses[size_t(b)] = std::log(double(row.exps)) * double(row.targets) - double(row.product);
    }
  });
  double total = 0;
  for (double loss : losses) total += loss;
  *y = T(total / double(B));
}

template <class T>
void cross_entropy_backward(const T* z, const T* t, const T* dy, T* dz, int64_t B, int64_t K) {
  simd::for_rows(B, K, [=](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      Row<T> row = row_sums(z + b * K, t + b * K, K);
      const T scale = *dy / T(B), weight = row.targets / row.exps;
      simd::for_columns<T>(K, [&](int64_t k, auto count) {
        Vec<T> e = simd::exp(simd::load(z + b * K + k, count) - row.max);
        simd::store<T>(dz + b * K + k, scale * (e * weight - simd::load(t + b * K + k, count)),
                       count);
      });
    }
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

Tensor ops::cross_entropy(const Tensor& logits, const Tensor& target) {  // (B, K) both
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

Tensor ops::smooth_one_hot(const Tensor& labels, int64_t K, double eps, DType dtype,
                           const Tensor& mix) {  // labels (B) -> (B, K)
  expect_defined("smooth_one_hot", "labels", labels);
  CHECK(labels.rank() == 1 && labels.dtype() == DType::i64, "smooth_one_hot: labels is ",
        labels.dtype(), " ", labels.shape(), ", expected i64 (B)");
  const int64_t B = labels.dim(0);
  if (mix.defined()) expect("smooth_one_hot", "mix", mix, {6}, DType::f64);
  if (labels.device() == Device::cpu) {  // on a GPU a label out of range makes its row nan, so that
                                         // the loss says so without a wait for each batch
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

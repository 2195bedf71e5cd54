// The focal loss of logits z_ik against t_ik = [k = label_i]. With p = sigmoid(x) and l(x) =
// -log(1 - p) = max(x, 0) + log(1 + e^-|x|), of which -log p = l(-x),
//
//   f(x) = p^gamma l(x),   f'(x) = p^gamma (p + gamma (1 - p) l(x))
//
// is the loss of t = 0, and f(-x) that of t = 1. So with s = -1, a = alpha where t = 1, and s = 1,
// a = 1 - alpha elsewhere, over the rows with label_i >= 0 and with n the normaliser,
//
//   y = 1 / n sum_ik a f(s z_ik);   dz_ik = dy / n a s f'(s z_ik)
//
// For gamma = 2 these are alpha (1 - p)^2 (2 p log p - (1 - p)) for t = 1, and (1 - alpha) p^2 (p -
// 2 (1 - p) log(1 - p)) for t = 0.
#include "ops/sigmoid_focal.h"

#include "core/rows.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/expect.h"
#include "ops/kernels/mean_loss.h"
#include "ops/kernels/softplus.h"

namespace rmt {
namespace gpu {  // sigmoid_focal.cu
template <class T>
void sigmoid_focal_forward(const T* z, const int64_t* labels, Wide<T>* y, int64_t N, int64_t K,
                           double normaliser, const ops::FocalOptions& o);
template <class T>
void sigmoid_focal_backward(const T* z, const int64_t* labels, const Wide<T>* dy, T* dz, int64_t N,
                            int64_t K, double normaliser, const ops::FocalOptions& o);
}  // namespace gpu

namespace cpu {
namespace {

using simd::Vec, simd::View;

template <class T>
struct Focal {
  Vec<T> p, power, l;  // of x: p, p^gamma and l(x)
  Focal(Vec<T> x, T gamma) {
    const Vec<T> zero{}, e = simd::exp(simd::min<T>(x, -x)), log_e = log_1p<T>(e);
    p = (x < 0 ? e : simd::broadcast(T(1))) / (T(1) + e);
    power = gamma == 2 ? p * p : simd::exp(-gamma * (simd::max<T>(-x, zero) + log_e));
    l = simd::max<T>(x, zero) + log_e;
  }
  Vec<T> loss() const { return power * l; }
  Vec<T> slope(T gamma) const { return power * (p + gamma * (T(1) - p) * l); }
};

// The factors s and a of some columns, of which the one of the label, if it is there, has its own.
template <class T>
struct Factors {
  Vec<T> s = simd::broadcast(T(1)), a;
  template <class Index>
  Factors(Index k, int64_t label, T alpha) : a(simd::broadcast(1 - alpha)) {
    const int64_t lane = label - k.first;
    if (lane < 0 || lane >= k.count) return;
    s[lane] = -1;
    a[lane] = alpha;
  }
};

template <class T>
void sigmoid_focal_forward(View<const T> z, const int64_t* labels, T* y, int64_t N, int64_t K,
                           double normaliser, const ops::FocalOptions& o) {
  const T alpha = T(o.alpha), gamma = T(o.gamma);
  const double total = sum_of_rows(N, K, [=](int64_t i) {
    if (labels[i] < 0) return 0.0;
    return double(simd::sum_columns<T>(K, [&](auto k) {
      const Factors<T> of(k, labels[i], alpha);
      return of.a * Focal<T>(of.s * z(i, k), gamma).loss();
    }));
  });
  *y = T(total / normaliser);
}

template <class T>
void sigmoid_focal_backward(View<const T> z, const int64_t* labels, const T* dy, View<T> dz,
                            int64_t N, int64_t K, double normaliser, const ops::FocalOptions& o) {
  const T alpha = T(o.alpha), gamma = T(o.gamma), scale = T(double(*dy) / normaliser);
  simd::for_each_row(N, K, [=](int64_t i) {
    if (labels[i] < 0) {
      std::fill_n(dz.data() + i * K, K, T(0));
      return;
    }
    simd::for_columns<T>(K, [&](auto k) {
      const Factors<T> of(k, labels[i], alpha);
      dz(i, k) = scale * of.a * of.s * Focal<T>(of.s * z(i, k), gamma).slope(gamma);
    });
  });
}

void check_labels(const int64_t* labels, int64_t N, int64_t K) {
  for (int64_t i = 0; i < N; ++i)
    CHECK(labels[i] >= -1 && labels[i] <= K, "sigmoid_focal: label ", i, " is ", labels[i],
          ", expected one of 0 ... ", K - 1, ", ", K, " for the background, or -1 to be ignored");
}

}  // namespace
}  // namespace cpu

// logits (N, K), labels (N)
Tensor ops::sigmoid_focal(const Tensor& logits, const Tensor& labels, double normaliser,
                          const FocalOptions& o) {
  expect_defined("sigmoid_focal", "logits", logits);
  CHECK(logits.rank() == 2 && logits.dim(1) > 0, "sigmoid_focal: logits is ", logits.shape(),
        ", expected (N, K) with K > 0");
  const int64_t N = logits.dim(0), K = logits.dim(1);
  expect("sigmoid_focal", "labels", labels, {N}, DType::i64);
  CHECK(normaliser > 0, "sigmoid_focal: normaliser ", normaliser, ", expected more than 0");
  CHECK(o.alpha >= 0 && o.alpha <= 1 && o.gamma >= 0, "sigmoid_focal: alpha ", o.alpha, ", gamma ",
        o.gamma, ", expected alpha in [0, 1] and gamma of 0 or more");
  if (labels.device() == Device::cpu) cpu::check_labels(labels.data<int64_t>(), N, K);
  Tensor y = Tensor::empty({}, wide(logits.dtype()), logits.device());
  DISPATCH(logits, sigmoid_focal_forward, logits, labels, y, N, K, normaliser, o);
  return record("sigmoid_focal", y, {logits},
                [z = logits.detach(), labels = labels.detach(), N, K, normaliser,
                 o](const Tensor& dy) -> Grads {
                  Tensor dz = Tensor::empty_like(z);
                  DISPATCH(z, sigmoid_focal_backward, z, labels, dy, dz, N, K, normaliser, o);
                  return {dz};
                });
}

}  // namespace rmt

// sigmoid_focal.cpp's formulas, a thread to each logit. A label out of range makes the loss nan,
// since nobody waits for the GPU to look at labels.
#include <cmath>

#include "ops/kernels/mean_loss.cuh"
#include "ops/kernels/softplus.cuh"
#include "ops/sigmoid_focal.h"

namespace rmt::gpu {
namespace {

using cuda::kThreads;

template <class W>
struct Focal {
  W p, power, l;  // of x: p, p^gamma and l(x)
  __device__ Focal(W x, W gamma) {
    const W e = cuda::exact_exp(x > 0 ? -x : x), log_e = cuda::log_1p(e);
    p = (x < 0 ? e : W(1)) / (1 + e);
    power = gamma == 2 ? p * p : cuda::exact_exp(-gamma * ((x < 0 ? -x : W(0)) + log_e));
    l = (x > 0 ? x : W(0)) + log_e;
  }
};

// One loss and its derivative, for number i of the logits (N, K).
template <class T>
struct LossOfLogit {
  using W = Wide<T>;
  const T* z;
  const int64_t* labels;
  int64_t K;
  W alpha, gamma;

  // f(x, s, a) for a row that counts, else 0.
  template <class F>
  __device__ W with_factors(int64_t i, F f) const {
    const int64_t row = i / K, label = labels[row];
    if (label == -1) return 0;
    if (label < 0 || label > K) return W(NAN);
    const bool t = i - row * K == label;
    const W s = t ? W(-1) : W(1);
    return f(Focal<W>(s * W(z[i]), gamma), s, t ? alpha : 1 - alpha);
  }
  __device__ double operator()(int64_t i) const {
    return double(with_factors(i, [](const Focal<W>& x, W, W a) { return a * x.power * x.l; }));
  }
  __device__ W slope(int64_t i) const {
    return with_factors(i, [g = gamma](const Focal<W>& x, W s, W a) {
      return a * s * x.power * (x.p + g * (1 - x.p) * x.l);
    });
  }
};

// dy is read from device memory: nobody waits for it, so that a training step can be recorded.
template <class T>
__global__ void __launch_bounds__(kThreads)
    sigmoid_focal_backward_kernel(LossOfLogit<T> loss, const Wide<T>* dy, T* dz, int64_t n,
                                  double normaliser) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i < n) dz[i] = T(Wide<T>(double(*dy) / normaliser) * loss.slope(i));
}

}  // namespace

template <class T>
void sigmoid_focal_forward(const T* z, const int64_t* labels, Wide<T>* y, int64_t N, int64_t K,
                           double normaliser, const ops::FocalOptions& o) {
  const LossOfLogit<T> loss{z, labels, K, Wide<T>(o.alpha), Wide<T>(o.gamma)};
  cuda::sum_of_numbers("sigmoid_focal_forward", loss, y, N * K, normaliser);
}

template <class T>
void sigmoid_focal_backward(const T* z, const int64_t* labels, const Wide<T>* dy, T* dz, int64_t N,
                            int64_t K, double normaliser, const ops::FocalOptions& o) {
  if (N == 0) return;
  const LossOfLogit<T> loss{z, labels, K, Wide<T>(o.alpha), Wide<T>(o.gamma)};
  cuda::launch("sigmoid_focal_backward", sigmoid_focal_backward_kernel<T>,
               dim3(unsigned(cuda::blocks_for(N * K))), dim3(kThreads), 0, loss, dy, dz, N * K,
               normaliser);
}

INSTANTIATE(sigmoid_focal_forward)
INSTANTIATE(sigmoid_focal_backward)

}  // namespace rmt::gpu

// y = conv2d(g),   g = gelu(z),   z = (x - mean) rstd w_n + bias_n,   conv2d and statistics as in
// conv2d.cpp and batch_norm.cpp
// dz = dg gelu'(z),   dg and the convolution's dw and dbias as in conv2d.cpp
// dx, dw_n, dbias_n as in batch_norm.cpp, from dz, sum dz (x - mean) and sum dz
//
// In bf16 on a GPU z and g are computed where the convolution reads x, and only x stays in memory
// for the backward. There the kernel that makes dz, in the place of dx, sums it too, and leaves g
// for dw. Else it is the three ops in turn: on the CPU arithmetic takes longer than memory, and is
// better done once.
#include "ops/norm_gelu_conv2d.h"
#include "ops/conv2d.h"
#include "ops/gelu.h"
#include "ops/kernels/batch_norm.h"
#include "ops/kernels/conv2d.h"
#include "ops/kernels/dispatch.h"
#include "ops/kernels/multiply_adds.h"

namespace rmt {
namespace gpu {  // norm_gelu_conv2d.cu, with n for batch_norm's w, bias, mean and rstd (I)
// y (B, OH, OW, O), and its moments (2 O + 1) or null
void norm_gelu_conv2d_forward(const bf16* x, const float* n_w, const float* n_bias,
                              const float* mean, const float* rstd, const float* w,
                              const float* bias, bf16* y, double* moments, Conv c);
// dz and g (B, H, W, I), which may be null, and sums (2, I) of dz (x - mean) and of dz
void norm_gelu_conv2d_backward_z(const bf16* dy, const bf16* x, const float* n_w,
                                 const float* n_bias, const float* mean, const float* rstd,
                                 const float* w, bf16* dz, bf16* g, double* sums, Conv c);
}  // namespace gpu

Tensor ops::norm_gelu_conv2d(const Tensor& x, const BatchNormInputs& norm, const Tensor& w,
                             const Tensor& bias, int64_t stride, int64_t pad, Tensor* moments) {
  const char* op = "norm_gelu_conv2d";
  const Conv c = expect_conv(op, x, w, bias, stride, pad, 1);
  if (!convolves_on_tensor_cores(x, c) || c.I % 8 != 0 || c.B * c.OH * c.OW * c.O == 0) {
    const Tensor z =
        batch_norm(x, norm.w, norm.bias, norm.running_mean, norm.running_var, norm.options);
    return conv2d(gelu(z), w, bias, stride, pad, 1, moments);
  }
  const BatchStatistics s = batch_statistics(op, x, norm);
  const Tensor y = Tensor::empty({c.B, c.OH, c.OW, c.O}, x.dtype(), x.device());
  if (moments) *moments = Tensor::empty({2 * c.O + 1}, DType::f64, x.device());
  call(op, x, gpu::norm_gelu_conv2d_forward, x, norm.w, norm.bias, s.mean, s.rstd, w, bias, y,
       moments ? *moments : Tensor(), c);
  count_multiply_adds(y.numel() * c.patch());
  return record(
      op, y, {x, norm.w, norm.bias, w, bias},
      [x = x.detach(), n_w = norm.w.detach(), n_bias = norm.bias.detach(), w = w.detach(), s, c,
       need_w = needs_grad({w, bias}), need_x = needs_grad(x),
       has_bias = bias.defined()](const Tensor& dy) -> Grads {
        const Tensor dz = Tensor::empty_like(x), g = need_w ? Tensor::empty_like(x) : Tensor(),
                     sums = Tensor::empty({2, c.I}, DType::f64, x.device());
        call("norm_gelu_conv2d_backward_z", x, gpu::norm_gelu_conv2d_backward_z, dy, x, n_w, n_bias,
             s.mean, s.rstd, w, dz, g, sums, c);
        Grads grads = batch_norm_gradients(x, n_w, s, dz, sums, need_x ? dz : Tensor());
        grads.resize(5);  // of x, norm.w, norm.bias, w, bias
        if (!need_w) return grads;
        grads[3] = Tensor::empty_like(w);
        if (has_bias) grads[4] = Tensor::empty({c.O}, w.dtype(), w.device());
        call("conv2d_backward_w", x, gpu::conv2d_backward_w<bf16>, dy, g, grads[3], grads[4], c);
        return grads;
      });
}

}  // namespace rmt

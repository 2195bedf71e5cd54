// The ops: what can be done with tensors and differentiated. One page each, in the file of the same
// name.
//
// Letters: B batch, H W rows and columns, C channels, N heads, D channels of a head (C = N D), L =
// H W, K classes. Activations are (B, H, W, C), channels last. "(..., C)" is any shape that ends in
// C. Tensors are f32 or f64, all of one call alike; undefined optional tensors are left out of the
// formula. Every op returns a new tensor, throws Error on shapes that do not fit, and has a
// gradient for each of its floating-point inputs.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// ---- any shape
// ------------------------------------------------------------------------------------------------------------------------------
// y = a + b, same shapes. add.cpp
Tensor add(const Tensor& a, const Tensor& b);
// y = a b elementwise, same shapes. mul.cpp
Tensor mul(const Tensor& a, const Tensor& b);
// y = sum of all elements, shape (). sum.cpp
Tensor sum(const Tensor& x);
// The same elements under another shape (one extent may be -1); storage is shared. view.cpp
Tensor view(const Tensor& x, const Shape& shape);
// y = x Phi(x), Phi the normal distribution function: the exact GELU, by erf. gelu.cpp
Tensor gelu(const Tensor& x);
// y = x sigmoid(x), also called Swish. silu.cpp
Tensor silu(const Tensor& x);

// ---- the last dimension
// ---------------------------------------------------------------------------------------------------------------------
// y = x w^T + bias.  x (..., I), w (O, I), bias (O) or undefined -> (..., O). linear.cpp
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {});
// y_i = x w_i^T + bias_i for several w_i: linear() of one x, whose gradient is summed inside the
// products.                            linear.cpp
std::vector<Tensor> linears(const Tensor& x, const std::vector<Tensor>& w,
                            const std::vector<Tensor>& bias);
// y = exp(x - max x) / sum exp(x - max x) over the last dimension. softmax.cpp
Tensor softmax(const Tensor& x);
// y = (x - mean) / sqrt(var + eps) * w + bias, mean and biased variance over the last dimension.  x
// (..., C), w bias (C).            layer_norm.cpp
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& bias, double eps);
// y = x + s_b gamma_c f: one branch of a residual block.  x f (B, ..., C), gamma C elements
// (LayerScale) or undefined, s (B) (the factor of stochastic depth: 0 or 1 / keep; no gradient) or
// undefined. residual_add.cpp
Tensor residual_add(const Tensor& x, const Tensor& f, const Tensor& gamma = {},
                    const Tensor& s = {});

// sum = residual_add(x, f, gamma, s) and normed = layer_norm(sum, w, bias, eps), read and written
// once; gradients through either.     residual_layer_norm.cpp
struct ResidualNorm {
  Tensor sum, normed;
};
ResidualNorm residual_layer_norm(const Tensor& x, const Tensor& f, const Tensor& gamma,
                                 const Tensor& s, const Tensor& w, const Tensor& bias, double eps);

// s_b = 0 with probability `rate`, else 1 / (1 - rate), for every b of s (B): the factor of
// stochastic depth for sample first_sample + b, a function of (seed, step, layer, sample) alone.
// step () i64. No gradient. drop_path.cpp
struct DropPathOptions {
  uint64_t seed = 0;
  int64_t layer = 0, first_sample = 0;
  double rate = 0;
};
void drop_path_factors(const Tensor& s, const Tensor& step, const DropPathOptions& options);

// ---- images (B, H, W, C)
// --------------------------------------------------------------------------------------------------------------------
// Training: y = (x - mean_c) / sqrt(var_c + eps) * w_c + bias_c with mean and biased variance over
// B, H, W; running_mean and running_var (both or neither) move by `momentum` towards mean and
// unbiased variance.  Evaluation: the running statistics instead.  x (..., C). batch_norm.cpp
struct BatchNormOptions {
  bool training = true;
  double eps = 1e-5, momentum = 0.1;
};
Tensor batch_norm(const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormOptions& options);
// Cross-correlation.  x (B, H, W, I), w (O, I, k, k), bias (O) or undefined -> (B, H', W', O), H' =
// (H + 2 pad - k) / stride + 1.     conv2d.cpp
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride, int64_t pad);
// One k x k filter a channel, k odd, zero padding, same size out; plus a residual of x's shape (x
// itself included), in the same pass. x residual (B, H, W, C), w (C, 1, k, k), bias (C) or
// undefined. depthwise_conv2d.cpp
Tensor depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias,
                        const Tensor& residual = {});
// y_bhwc = (x_bhwc / 255 - mean_c) / deviation_c, read from right to left where mirror_b = 1;
// normal noise inside the rectangle of erase_b = {x, y, width, height, key}.  x (B, H, W, 3) u8,
// mirror (B) u8, erase (B, 5) i64, each or undefined -> (B, H, W, 3) of `dtype`. No gradient.
// normalize.cpp
struct NormalizeOptions {
  float mean[3], deviation[3];
};
Tensor normalize(const Tensor& x, const Tensor& mirror, const NormalizeOptions& options,
                 DType dtype, const Tensor& erase = {});
// Mixup and CutMix: y_b = x_b' inside the box, lambda x_b + (1 - lambda) x_b' elsewhere, b' = B - 1
// - b.  x (B, H, W, C), B even; mix (6) f64 {lambda of images, lambda of targets, x, y, width,
// height of the box}, on x's device; lambda = 1 and an empty box: y = x. mix_images.cpp
Tensor mix_images(const Tensor& x, const Tensor& mix);
// y = g + bias + conv(g, w), g = gelu(x): depthwise_conv2d(g, w, bias, g) as one op, which on a GPU
// never writes g. x (B, H, W, C), w (C, 1, k, k), bias (C) or undefined. gelu_depthwise_conv2d.cpp
Tensor gelu_depthwise_conv2d(const Tensor& x, const Tensor& w, const Tensor& bias);
// y_bc = mean over H, W of x_bhwc.  (B, H, W, C) -> (B, C). mean_pool.cpp
Tensor mean_pool(const Tensor& x);

// ---- attention with Manhattan decay (RMT.md 1.2.4-1.2.8)
// ------------------------------------------------------------------------------------ rotary_n,2j
// = cos(n angle_2j), rotary_n,2j+1 = sin(n angle_2j) for the raster index n = y W + x: the table of
// theta_shift, taken in double and rounded to `dtype`.  angle (D), each value twice -> (H W, D). No
// gradient.                                                          rotary.cpp
Tensor rotary_table(const Tensor& angle, int64_t H, int64_t W, DType dtype);

enum class Axis { W, H, both };  // attend along the row, along the column, over the whole map
enum class DecayMode {
  log_additive,   // A = softmax(S + decay d): the official code
  post_multiply,  // A = softmax(S) exp(decay d): the paper's equation 5; rows sum to less than 1
  post_multiply_normalised,  // the same divided by its row sum: equals log_additive up to rounding
};
struct ManhattanOptions {
  int64_t heads = 1;
  Axis axis = Axis::both;
  DecayMode mode = DecayMode::log_additive;
};
// For each head: S_ij = D^-1/2 rot(q_i) . rot(k_j), A from S as the mode says with d = |dx| + |dy|
// (along an axis: its own distance), y_i = sum_j A_ij v_j. q k v (B, H, W, C), decay (heads): log
// of the per-step factor, <= 0, no gradient; rotary (H W, D) from rotary_table, or undefined for
// none. No L x L tensor is kept: backward computes A again from q and k. manhattan_attention.cpp
Tensor manhattan_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& decay,
                           const Tensor& rotary, const ManhattanOptions& options);

// ---- loss
// -----------------------------------------------------------------------------------------------------------------------------------
// mean over B of -sum_k target_bk log softmax(logits)_bk, shape ().  logits target (B, K); rows of
// target sum to 1; no gradient for it.  cross_entropy.cpp
Tensor cross_entropy(const Tensor& logits, const Tensor& target);
// target_bk = eps / K, plus 1 - eps at k = label_b.  labels (B) i64 in [0, K) -> (B, K) of `dtype`.
// With `mix` (6) f64 (see mix_images) those of mixed images: lambda target_b + (1 - lambda)
// target_{B - 1 - b}, lambda that of targets. cross_entropy.cpp
Tensor smooth_one_hot(const Tensor& labels, int64_t K, double eps, DType dtype = DType::f32,
                      const Tensor& mix = {});

}  // namespace rmt::ops

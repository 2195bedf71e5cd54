// Depthwise convolutions on the GPU, for ops whose tensors lie inside wider ones: a stride is the
// number of elements from a pixel to the next, m.C for a tensor without gaps. T is f32, f64 or
// bf16. Defined in depthwise_conv2d.cu.
//
//   y_p   = bias + sum_t w_t x_(p + t - r) + residual_p      t over the k x k taps, r = k / 2
//   dx_p  = sum_t w_t dy_(p + r - t),   + dy_p where the residual was x
//   dw_t  = sum_p dy_p x_(p + t - r),   dbias = sum_p dy_p
#pragma once
#include "ops/kernels/extents.h"

namespace rmt::gpu {

// x (B, H, W, C), w (C, k k), bias (C) or null -> y (B, H, W, C), the taps in reverse order when
// `reversed`. residual: null; or x itself, with its stride; or a map that lies as y does, y
// included, to which the convolution is then added.
template <class T>
void depthwise_convolve(const T* x, int64_t x_stride, const Wide<T>* w, const Wide<T>* bias,
                        const T* residual, T* y, int64_t y_stride, const Map& m, bool reversed);

// dy (B, H, W, C) without gaps -> dx or null; dw (C, k k) and dbias (C), or dbias null, or both.
template <class T>
void depthwise_backward(const T* x, int64_t x_stride, const T* dy, const Wide<T>* w, T* dx,
                        int64_t dx_stride, Wide<T>* dw, Wide<T>* dbias, const Map& m,
                        bool residual_is_x);

}  // namespace rmt::gpu

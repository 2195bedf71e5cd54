// The convolution of neural networks (a cross-correlation: the filter is not turned round).
//
//   y_b,h,w,o = bias_o + sum_ijc x_b,(h stride + i - pad),(w stride + j - pad),c  w_ocij
//
// With groups > 1, the channels of x and of y fall into as many groups of neighbours, and those of
// group g in y see those of group g in x alone.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// x (B, H, W, I), w (O, I / groups, k, k), bias (O) or undefined -> y (B, OH, OW, O) with
// OH = (H + 2 pad - k) / stride + 1, rounded down, and OW likewise. x counts as 0 outside the map.
// f32, f64; bf16 on a GPU, with w and bias in f32. Throws Error for shapes and dtypes that do not
// fit, for stride < 1, pad < 0, groups that do not divide I and O, and a filter larger than the
// padded map.
//
// moments, if given, becomes for each channel of y the mean and the sum of squares around it, and
// then the number B OH OW of positions they are of: (2 O + 1) in f64, for the batch_norm that comes
// next (BatchNormOptions). The kernel that makes y leaves them; where there is none that can,
// moments becomes undefined.
//
// On a GPU a convolution in groups costs as much as one without. For groups = I = O and stride 1
// there is depthwise_conv2d, which is many times faster on both devices.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, int64_t stride, int64_t pad,
              int64_t groups = 1, Tensor* moments = nullptr);

}  // namespace rmt::ops

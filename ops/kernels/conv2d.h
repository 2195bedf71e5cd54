// What conv2d and the ops that contain it share. Defined in conv2d.cpp and conv2d.cu. Internal to
// ops/.
#pragma once
#include "core/tensor.h"
#include "ops/kernels/extents.h"

namespace rmt {

// Checks the arguments of a convolution, as conv2d.h states them.
Conv expect_conv(const char* op, const Tensor& x, const Tensor& w, const Tensor& bias,
                 int64_t stride, int64_t pad, int64_t groups);

namespace gpu {
// dy (B, OH, OW, O), x (B, H, W, I) -> dw and, if not null, dbias.
template <class T>
void conv2d_backward_w(const T* dy, const T* x, Wide<T>* dw, Wide<T>* dbias, Conv c);
// Is this x convolved by the kernels that gather their factors themselves (convolution.cuh)? They
// can leave moments of y, and compute batch norm and GELU on the way.
bool convolves_on_tensor_cores(const bf16* x, const Conv& c);
}  // namespace gpu
bool convolves_on_tensor_cores(const Tensor& x, const Conv& c);

}  // namespace rmt

// linear.cpp's formulas: three matrix products and a sum over rows, see gemm.cuh.
#include "core/cuda/elementwise.cuh"
#include "ops/kernels/gemm.cuh"

namespace rmt::gpu {

// x (rows, I), w (O, I), bias (O) or null -> y (rows, O)
template <class T>
void linear_forward(const T* x, const T* w, const T* bias, T* y, int64_t rows, int64_t I,
                    int64_t O) {
  multiply<T>(rows, O, I, {x}, {w, kTransposed}, y, bias);
}

// dy (rows, O) -> dx (rows, I), which is added to what dx holds when `accumulate`
template <class T>
void linear_backward_x(const T* dy, const T* w, T* dx, int64_t rows, int64_t I, int64_t O,
                       bool accumulate) {
  multiply<T>(rows, I, O, {dy}, {w}, dx, nullptr, accumulate);
}

// -> dw (O, I), dbias (O) or null
template <class T>
void linear_backward_w(const T* dy, const T* x, Wide<T>* dw, Wide<T>* dbias, int64_t rows,
                       int64_t I, int64_t O) {
  weight_gradient(O, I, rows, dy, x, dw, dbias);
}

INSTANTIATE(linear_forward)
INSTANTIATE(linear_backward_x)
INSTANTIATE(linear_backward_w)

}  // namespace rmt::gpu

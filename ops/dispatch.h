// From a tensor to the kernel for its dtype. An op checks its arguments, then calls DISPATCH(x, name, args...): cpu::name<T>(args...) with T the
// element type of x. Kernels take raw pointers and extents and check nothing.
#pragma once
#include "core/tensor.h"

namespace rmt {

// A tensor's data as whatever pointer the kernel's parameter is; null for an undefined tensor. Throws when the kernel's type is not the tensor's.
struct Pointer {
  const Tensor& x;
  template <class T>
  operator T*() const {
    return x.data<std::remove_const_t<T>>();
  }
};
inline Pointer ptr(const Tensor& x) { return {x}; }

}  // namespace rmt

#define DISPATCH(x, kernel, ...)                                                                                                  \
  do {                                                                                                                            \
    switch ((x).dtype()) {                                                                                                        \
      case ::rmt::DType::f32: cpu::kernel<float>(__VA_ARGS__); break;                                                             \
      case ::rmt::DType::f64: cpu::kernel<double>(__VA_ARGS__); break;                                                            \
      default: throw ::rmt::Error(::rmt::str(#kernel, ": not for dtype ", (x).dtype(), "; convert with Tensor::to(DType::f32)")); \
    }                                                                                                                             \
  } while (0)

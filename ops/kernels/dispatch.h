// From tensors to the kernel for their device and dtype. An op checks its arguments, then says
//
//   DISPATCH(x, softmax_forward, x, y, rows, M);
//
// which runs cpu::softmax_forward<T>, or gpu::softmax_forward<T> for an x on the GPU, with T the
// element type of x. A tensor among the arguments becomes the pointer that the kernel's parameter
// asks for (or the simd::View, which is one); all else is passed as it is. Kernels check nothing.
//
// Both kernels take the same arguments: `T` for activations, Wide<T> for parameters, their
// gradients and statistics (the same type, but for bf16).
#pragma once
#include <memory>
#include <type_traits>

#include "core/cuda/device.h"
#include "core/tensor.h"

namespace rmt {

// The argument a as the kernel's parameter type P, a pointer, a View or a number. A tensor gives
// the address of its elements, or null when it is undefined; it must be on `device` and of the
// parameter's type.
template <class P, class A>
P argument(const char* kernel, Device device, const A& a) {
  if constexpr (std::is_same_v<A, Tensor>) {
    using T = typename std::pointer_traits<P>::element_type;
    if (!a.defined()) return nullptr;
    CHECK(a.device() == device, kernel, ": one tensor ", a.shape(), " is on ", a.device(),
          ", another on ", device, "; bring them together with Tensor::to(Device)");
    constexpr DType expected = dtype_of<std::remove_const_t<T>>;
    CHECK(a.dtype() == expected, kernel, ": a tensor ", a.shape(), " is ", a.dtype(), ", expected ",
          expected);
    return static_cast<T*>(a.raw());
  } else {
    return a;
  }
}

// kernel(args...) on x's device. What a kernel for the GPU throws is thrown again with its name and
// the shape of x; under RMT_DEBUG=1 the GPU is waited for, so that its errors come out here too.
template <class... P, class... A>
void call(const char* name, const Tensor& x, void (*kernel)(P...), const A&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "the kernel has another number of parameters");
  if (x.device() == Device::cpu) return kernel(argument<P>(name, Device::cpu, args)...);
  try {
    kernel(argument<P>(name, Device::cuda, args)...);
    if (debugging()) cuda::synchronize();
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& e) {
    throw Error(str(name, " of ", x.dtype(), " ", x.shape(), ": ", e.what()));
  }
}

[[noreturn]] inline void refuse(const char* kernel, const Tensor& x) {
  const bool both_devices = x.dtype() == DType::f32 || x.dtype() == DType::f64;
  throw Error(str(kernel, ": no kernel for ", x.dtype(), " on ", x.device(), "; ",
                  both_devices ? "move its tensors to the other device with Tensor::to(Device)"
                               : "convert with Tensor::to(DType::f32)"));
}

}  // namespace rmt

// cpu::kernel<T> or gpu::kernel<T>.
#define DISPATCH(x, kernel, ...)             \
  do {                                       \
    if ((x).device() == ::rmt::Device::cuda) \
      DISPATCH_GPU(x, kernel, __VA_ARGS__);  \
    else                                     \
      DISPATCH_CPU(x, kernel, __VA_ARGS__);  \
  } while (0)

// For what an op does on a GPU alone.
#define DISPATCH_GPU(x, kernel, ...)                                  \
  do {                                                                \
    const bool on_gpu = (x).device() == ::rmt::Device::cuda;          \
    if (on_gpu && (x).dtype() == ::rmt::DType::f32)                   \
      ::rmt::call(#kernel, x, gpu::kernel<float>, __VA_ARGS__);       \
    else if (on_gpu && (x).dtype() == ::rmt::DType::f64)              \
      ::rmt::call(#kernel, x, gpu::kernel<double>, __VA_ARGS__);      \
    else if (on_gpu && (x).dtype() == ::rmt::DType::bf16)             \
      ::rmt::call(#kernel, x, gpu::kernel<::rmt::bf16>, __VA_ARGS__); \
    else                                                              \
      ::rmt::refuse(#kernel, x);                                      \
  } while (0)

// For an op that has no kernels for a GPU (yet).
#define DISPATCH_CPU(x, kernel, ...)                             \
  do {                                                           \
    const bool on_cpu = (x).device() == ::rmt::Device::cpu;      \
    if (on_cpu && (x).dtype() == ::rmt::DType::f32)              \
      ::rmt::call(#kernel, x, cpu::kernel<float>, __VA_ARGS__);  \
    else if (on_cpu && (x).dtype() == ::rmt::DType::f64)         \
      ::rmt::call(#kernel, x, cpu::kernel<double>, __VA_ARGS__); \
    else                                                         \
      ::rmt::refuse(#kernel, x);                                 \
  } while (0)

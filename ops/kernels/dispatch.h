// From a tensor to the kernel for its device and dtype. An op checks its arguments, then calls
// DISPATCH(x, name, args...): cpu::name<T>(args...), or gpu::name<T>(args...) for an x on the GPU,
// with T the element type of x. Kernels take raw pointers and extents and check nothing. A kernel's
// signature is the same on both sides: `T` for activations, Wide<T> for parameters, their gradients
// and statistics (the same type, but for bf16).
#pragma once
#include "core/cuda/device.h"
#include "core/tensor.h"

namespace rmt {

// While one lives, ptr() hands out addresses on that device alone. At its end, under RMT_DEBUG=1,
// the GPU is waited for and its error gets the op's name.
class Dispatch {
 public:
  Dispatch(const char* kernel, const Tensor& x) : kernel_(kernel), x_(x), before_(current) {
    current = this;
  }
  ~Dispatch() { current = before_; }
  Dispatch(const Dispatch&) = delete;
  Dispatch& operator=(const Dispatch&) = delete;

  static const Dispatch& now() { return *current; }
  Device device() const { return x_.device(); }
  const char* kernel() const { return kernel_; }

  [[noreturn]] void refuse() const {
    throw Error(str(kernel_, ": no kernel for ", x_.dtype(), " on ", x_.device(),
                    "; convert with Tensor::to(DType::f32), or compute on the CPU"));
  }

  // Runs a gpu:: kernel; what it throws is thrown again with the op and the shape it was called
  // for.
  template <class F>
  void on_gpu(const F& f) const {
    try {
      f();
      if (debugging()) cuda::synchronize();
    } catch (const OutOfMemory&) {
      throw;
    } catch (const Error& e) {
      throw Error(str(kernel_, " of ", x_.dtype(), " ", x_.shape(), ": ", e.what()));
    }
  }

 private:
  inline static thread_local const Dispatch* current = nullptr;
  const char* kernel_;
  const Tensor& x_;
  const Dispatch* before_;
};

// A tensor's data as whatever pointer the kernel's parameter is; null for an undefined tensor.
// Throws when the kernel's type is not the tensor's, or the tensor is not on the kernel's device.
struct Pointer {
  const Tensor& x;
  template <class T>
  operator T*() const {
    if (!x.defined()) return nullptr;
    const Dispatch& d = Dispatch::now();
    CHECK(x.device() == d.device(), d.kernel(), ": one tensor ", x.shape(), " is on ", x.device(),
          ", another on ", d.device(), "; bring them together with Tensor::to(Device)");
    CHECK(dtype_of<std::remove_const_t<T>> == x.dtype(), d.kernel(), ": a tensor ", x.shape(),
          " is ", x.dtype(), ", expected ", dtype_of<std::remove_const_t<T>>);
    return static_cast<T*>(x.raw());
  }
};
inline Pointer ptr(const Tensor& x) { return {x}; }

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
#define DISPATCH_GPU(x, kernel, ...)                                                             \
  do {                                                                                           \
    const ::rmt::Dispatch dispatch(#kernel, x);                                                  \
    if ((x).device() != ::rmt::Device::cuda) dispatch.refuse();                                  \
    switch ((x).dtype()) {                                                                       \
      case ::rmt::DType::f32: dispatch.on_gpu([&] { gpu::kernel<float>(__VA_ARGS__); }); break;  \
      case ::rmt::DType::f64: dispatch.on_gpu([&] { gpu::kernel<double>(__VA_ARGS__); }); break; \
      case ::rmt::DType::bf16:                                                                   \
        dispatch.on_gpu([&] { gpu::kernel<::rmt::bf16>(__VA_ARGS__); });                         \
        break;                                                                                   \
      default: dispatch.refuse();                                                                \
    }                                                                                            \
  } while (0)

// For an op that has no kernels for a GPU (yet).
#define DISPATCH_CPU(x, kernel, ...)                                   \
  do {                                                                 \
    const ::rmt::Dispatch dispatch(#kernel, x);                        \
    if ((x).device() != ::rmt::Device::cpu) dispatch.refuse();         \
    switch ((x).dtype()) {                                             \
      case ::rmt::DType::f32: cpu::kernel<float>(__VA_ARGS__); break;  \
      case ::rmt::DType::f64: cpu::kernel<double>(__VA_ARGS__); break; \
      default: dispatch.refuse();                                      \
    }                                                                  \
  } while (0)

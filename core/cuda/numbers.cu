// The arithmetic that tensors themselves need on the device: fill, convert, add, and the question whether all numbers are finite.
#include <cmath>
#include <utility>

#include "core/cuda/device.h"
#include "core/cuda/elementwise.cuh"

namespace rmt::cuda {
namespace {

template <class F>
void with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::f32: return f(float());
    case DType::f64: return f(double());
    case DType::bf16: return f(bf16());
    case DType::i32: return f(int32_t());
    case DType::i64: return f(int64_t());
    case DType::u8: return f(uint8_t());
  }
}

template <class T>
struct Constant {
  T value;
  HD T operator()() const { return value; }
};

struct Sum {
  template <class T>
  HD T operator()(T a, T b) const {
    return a + b;
  }
};

template <class From, class To>
__global__ void convert_kernel(const From* from, To* to, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= n) return;
  if constexpr (std::is_same_v<To, bf16>)
    to[i] = bf16(float(from[i]));
  else
    to[i] = static_cast<To>(Wide<From>(from[i]));
}

template <class T>
__global__ void count_non_finite_kernel(const T* x, int64_t n, int* count) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n && !std::isfinite(Wide<T>(x[i]))) atomicAdd(count, 1);
}

}  // namespace

void fill(void* x, DType dtype, double value, int64_t n) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    map("fill", Constant<Wide<T>>{static_cast<Wide<T>>(value)}, static_cast<T*>(x), n);
  });
}

void convert(const void* from, DType from_type, void* to, DType to_type, int64_t n) {
  if (n == 0) return;
  with_type(from_type, [&](auto f) {
    with_type(to_type, [&](auto t) {
      using From = decltype(f);
      using To = decltype(t);
      launch("convert", convert_kernel<From, To>, dim3(unsigned(blocks_for(n))), dim3(kThreads), 0, static_cast<const From*>(from), static_cast<To*>(to), n);
    });
  });
}

void add(void* sum, const void* x, DType dtype, int64_t n) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    map("add", Sum(), static_cast<T*>(sum), n, static_cast<const T*>(sum), static_cast<const T*>(x));
  });
}

bool all_finite(const void* x, DType dtype, int64_t n) {
  if (n == 0 || !is_float(dtype)) return true;
  int* count = static_cast<int*>(allocate(sizeof(int)));
  zero(count, sizeof(int));
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (!std::is_integral_v<T>)
      launch("count_non_finite", count_non_finite_kernel<T>, dim3(unsigned(blocks_for(n))), dim3(kThreads), 0, static_cast<const T*>(x), n, count);
  });
  int found = 0;
  copy(&found, Device::cpu, count, Device::cuda, sizeof(int));
  release(count, sizeof(int));
  return found == 0;
}

}  // namespace rmt::cuda

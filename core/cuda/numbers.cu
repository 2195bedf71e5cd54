// The arithmetic that tensors themselves need on the device: fill, convert, add, and the question
// whether all numbers are finite.
#include <cmath>
#include <utility>

#include "core/cuda/device.h"
#include "core/cuda/elementwise.cuh"
#include "core/storage.h"

namespace rmt::cuda {
namespace {

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

template <class To>
struct Convert {
  template <class From>
  HD Wide<To> operator()(From x) const {
    return static_cast<Wide<To>>(x);
  }
};

// *found becomes 1 if a number is not finite. A thread to each pack.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    find_non_finite_kernel(const T* x, int64_t n, int* found) {
  const int64_t i = (int64_t(blockIdx.x) * kThreads + threadIdx.x) * N;
  bool bad = false;
  if (i + N <= n) {
    const Values<Wide<T>, N> v = load<N>(x + i);
#pragma unroll
    for (int j = 0; j < N; ++j) bad = bad || !std::isfinite(v.at[j]);
  } else {
    for (int64_t j = i; j < n; ++j) bad = bad || !std::isfinite(Wide<T>(x[j]));
  }
  if (bad) atomicExch(found, 1);
}

}  // namespace

void fill(void* x, DType dtype, double value, int64_t n) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    map("fill", Constant<Wide<T>>{static_cast<Wide<T>>(value)}, static_cast<T*>(x), n);
  });
}

void convert(const void* from, DType from_type, void* to, DType to_type, int64_t n) {
  with_type(from_type, [&](auto f) {
    with_type(to_type, [&](auto t) {
      using From = decltype(f);
      using To = decltype(t);
      map("convert", Convert<To>(), static_cast<To*>(to), n, static_cast<const From*>(from));
    });
  });
}

void add(void* sum, const void* x, DType dtype, int64_t n) {
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    map("add", Sum(), static_cast<T*>(sum), n, static_cast<const T*>(sum),
        static_cast<const T*>(x));
  });
}

bool all_finite(const void* x, DType dtype, int64_t n) {
  if (n == 0 || !is_float(dtype)) return true;
  const Storage flag(sizeof(int), Device::cuda);
  zero(flag.data(), sizeof(int));
  with_type(dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (!std::is_integral_v<T>) {
      constexpr int N = 16 / int(sizeof(T));
      const T* p = static_cast<const T*>(x);
      const bool vectors = aligned(p);
      launch("find_non_finite",
             vectors ? find_non_finite_kernel<T, N> : find_non_finite_kernel<T, 1>,
             dim3(unsigned(blocks_for(n, kThreads * (vectors ? N : 1)))), dim3(kThreads), 0, p, n,
             static_cast<int*>(flag.data()));
    }
  });
  int found = 0;
  copy(&found, Device::cpu, flag.data(), Device::cuda, sizeof(int));
  return found == 0;
}

}  // namespace rmt::cuda

// The one way to start a kernel, and the one check of the runtime's answers.
//
//   launch("softmax", softmax_kernel<float>, grid, block, shared_bytes, x, y, M);
//
// starts it on stream(). The arguments become the kernel's parameter types; an integer that would
// lose its value so is an Error.
#pragma once
#include <tuple>
#include <type_traits>
#include <utility>

#include "core/cuda/runtime.h"
#include "core/error.h"

namespace rmt::cuda {

cudaStream_t stream();  // where the calling thread's work goes
// The calling thread's work goes to `stream` from now on; returns the stream it went to before.
// Memory that is given back may be taken by work on the new stream at once: what work on the old
// one still uses must be held until that is done.
cudaStream_t use_stream(cudaStream_t stream);

inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // not left behind for an innocent call to find
  throw Error(str(what, ": ", cudaGetErrorString(code), " (", cudaGetErrorName(code), ")"));
}

template <class N>
constexpr bool negative(N n) {
  if constexpr (std::is_signed_v<N>)
    return n < 0;
  else
    return false;
}

// An argument as the kernel's parameter type P. An integer must keep its value: a count of 2^31 is
// not an int.
template <class P, class A>
P coerce(const char* name, const A& a) {
  if constexpr (std::is_integral_v<P> && std::is_integral_v<A>)
    CHECK(A(P(a)) == a && negative(P(a)) == negative(a), "kernel ", name, ": the argument ", a,
          " does not fit its parameter of ", sizeof(P), " bytes");
  return static_cast<P>(a);
}

#ifdef __CUDACC__

cudaError_t allow_all_shared_memory(const void* kernel);  // limits.cu
template <class... P>
cudaError_t start(const char*, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                  P... args) {
  if (shared > 0) {
    cudaError_t code = allow_all_shared_memory(reinterpret_cast<const void*>(kernel));
    if (code != cudaSuccess) return code;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream();
  return cudaLaunchKernelEx(&config, kernel, args...);
}

#else

template <class... P>
cudaError_t start(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                  P... args) {
  int index = 0;
  [[maybe_unused]] auto check_pointer = [&](const auto& p) {
    if constexpr (std::is_pointer_v<std::decay_t<decltype(p)>>)
      emulator::check_argument(name, index, p);
    ++index;
  };
  (check_pointer(args), ...);
  if (emulator::taking_notes())
    emulator::note_launch(name, reinterpret_cast<const void*>(kernel), grid, block, shared,
                          {{&args, sizeof args, alignof(P)}...});
  return emulator::launch(name, grid, block, shared, stream(),
                          [kernel, args...] { kernel(args...); });
}

#endif

// An empty problem is the caller's business: CUDA refuses an empty grid, and so does this.
template <class... P, class... A>
void launch(const char* name, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
            A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "the kernel has another number of parameters");
  cudaError_t code = start<P...>(name, kernel, grid, block, shared, coerce<P>(name, args)...);
  if (code == cudaSuccess) return;
  cudaGetLastError();
  throw Error(str("kernel ", name, ", grid (", grid.x, ", ", grid.y, ", ", grid.z, "), block (",
                  block.x, ", ", block.y, ", ", block.z, "), ", shared,
                  " bytes of dynamic shared memory: ", cudaGetErrorString(code), " (",
                  cudaGetErrorName(code), ")"));
}

}  // namespace rmt::cuda

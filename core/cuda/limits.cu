#include "core/cuda/limits.h"

#include "core/cuda/device.h"
#include "core/cuda/launch.h"

namespace rmt::cuda {
namespace {

int64_t shared_of_a_block() {
  cudaDeviceProp properties{};
  int device = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties");
  return int64_t(properties.sharedMemPerBlockOptin);
}

}  // namespace

Limits limits_of_gpu(int multiprocessors, int64_t shared_bytes) {
  return {.parts = 8 * multiprocessors,
          .patch_bytes = 32 << 20,
          .shared_bytes = shared_bytes,
          .pieces = true};
}

Limits& limits() {
  static Limits limits =
      emulated()
          ? Limits{.parts = 6, .patch_bytes = 1 << 14, .shared_bytes = 227 << 10, .pieces = false}
          : limits_of_gpu(info().multiprocessors, shared_of_a_block());
  return limits;
}

}  // namespace rmt::cuda

#include "core/cuda/limits.h"

#include "core/cuda/device.h"

namespace rmt::cuda {

Limits limits_of_gpu(int multiprocessors) {
  return {.parts = 8 * multiprocessors, .patch_bytes = 32 << 20, .pieces = true};
}

Limits& limits() {
  static Limits limits =
      emulated()
          ? Limits{.parts = 6, .patch_bytes = 1 << 14, .pieces = false, .staging_bytes = 1 << 16}
          : limits_of_gpu(info().multiprocessors);
  return limits;
}

}  // namespace rmt::cuda

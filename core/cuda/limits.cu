#include "core/cuda/limits.h"

#include "core/cuda/device.h"

namespace rmt::cuda {

Limits limits_of_gpu(int multiprocessors, int64_t shared_bytes) {
  return {.parts = 8 * multiprocessors,
          .patch_bytes = 32 << 20,
          .shared_bytes = shared_bytes,
          .pieces = true};
}

Limits& limits() {
  static Limits limits = emulated() ? Limits{.parts = 6,
                                             .patch_bytes = 1 << 14,
                                             .shared_bytes = 227 << 10,
                                             .pieces = false,
                                             .staging_bytes = 1 << 16}
                                    : limits_of_gpu(info().multiprocessors, int64_t(info().shared));
  return limits;
}

}  // namespace rmt::cuda

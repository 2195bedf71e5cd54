#include "core/cuda/limits.h"

#include <unordered_set>

#include "core/cuda/device.h"
#include "core/cuda/launch.h"

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

#ifdef __CUDACC__
// A block may have more than 48 KiB, static arrays and dynamic part together, once its kernel has
// asked for more. A kernel asks for all that there is, before its first launch on this thread.
cudaError_t allow_all_shared_memory(const void* kernel) {
  thread_local std::unordered_set<const void*> allowed;
  if (allowed.contains(kernel)) return cudaSuccess;
  cudaFuncAttributes own;
  cudaError_t code = cudaFuncGetAttributes(&own, kernel);
  if (code == cudaSuccess)
    code = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                int(info().shared - own.sharedSizeBytes));
  if (code == cudaSuccess) allowed.insert(kernel);
  return code;
}
#endif

}  // namespace rmt::cuda

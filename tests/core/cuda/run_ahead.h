// On an emulated device that is lazy, nothing runs until somebody waits; run_ahead() lets every
// stream but the library's own go as far as its events allow: a copy that should have waited for
// work of that stream, and does not, comes too early. A real device does as it likes.
#pragma once
#include "core/cuda/launch.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/streams.h"
#endif

namespace rmt::test {

inline void run_ahead() {
#ifndef RMT_CUDA
  for (cudaStream_t s : emulator::streams)
    if (s != cuda::stream()) cuda::check(cudaStreamSynchronize(s), "run_ahead");
#endif
}

}  // namespace rmt::test

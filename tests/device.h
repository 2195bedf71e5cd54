// What tests on the device share: it may be absent (a build for a real GPU), and its memory may be
// made scarce.
#pragma once
#include <gtest/gtest.h>

#include "core/cuda/counted.h"
#include "core/cuda/device.h"
#include "core/cuda/limits.h"
#include "core/tensor.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/emulator.h"
#endif

namespace rmt::test {

struct OnDevice : testing::Test {
  void SetUp() override {
    if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
    cuda::free_unused();
  }
};

inline Tensor on_device(const Tensor& x) { return x.to(Device::cuda); }

// While one lives, tensors find just these bytes left on the device. The rest stays there, for the
// driver, which loads kernels when they are first launched, and for other processes.
class LittleMemory {
 public:
  explicit LittleMemory(size_t bytes) : before_(cuda::limits().memory) {
    cuda::free_unused();
    cuda::limits().memory = int64_t(cuda::counted_bytes() + bytes);
  }
  ~LittleMemory() {
    cuda::limits().memory = before_;
    cuda::free_unused();
  }
  LittleMemory(const LittleMemory&) = delete;
  LittleMemory& operator=(const LittleMemory&) = delete;

 private:
  int64_t before_;
};

// While one lives, an emulated device does its work as late as it may, as a real one does.
class LazyDevice {
 public:
  LazyDevice() { set(true); }
  ~LazyDevice() {
    set(false);
    cuda::synchronize();
  }
  LazyDevice(const LazyDevice&) = delete;
  LazyDevice& operator=(const LazyDevice&) = delete;

 private:
  static void set([[maybe_unused]] bool on) {
#ifndef RMT_CUDA
    emulator::settings().lazy = on;
#endif
  }
};

}  // namespace rmt::test

// What tests on the device share: it may be absent (a build for a real GPU), and its memory may be
// made scarce.
#pragma once
#include <gtest/gtest.h>

#include "core/cuda/device.h"
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

// While one lives, the device has just these bytes left.
class LittleMemory {
 public:
#ifdef RMT_CUDA
  explicit LittleMemory(size_t bytes) {
    cuda::free_unused();
    ballast_ = Tensor::empty({int64_t(cuda::free_memory() - bytes)}, DType::u8, Device::cuda);
  }
  ~LittleMemory() {
    ballast_ = Tensor();
    cuda::free_unused();
  }

 private:
  Tensor ballast_;
#else
  explicit LittleMemory(size_t bytes) : before_(emulator::settings().device_memory) {
    cuda::free_unused();
    emulator::settings().device_memory = cuda::info().memory - cuda::free_memory() + bytes;
  }
  ~LittleMemory() { emulator::settings().device_memory = before_; }

 private:
  size_t before_;
#endif
 public:
  LittleMemory(const LittleMemory&) = delete;
  LittleMemory& operator=(const LittleMemory&) = delete;
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

// Storage: one aligned block of memory, the host's or the GPU's. Large blocks of host memory come
// from a heap of our own that is kept between uses: a training step frees and allocates the same
// sizes again and again, and fresh pages from the system would cost more than the arithmetic on
// them. Blocks of GPU memory come from cuda/device.h, which keeps them likewise.
#pragma once
#include <cstddef>

#include "core/device.h"

namespace rmt {

class Storage {
 public:
  // Uninitialised, 64-byte aligned on the host, 256-byte on a GPU; throws Error when memory is
  // exhausted.
  explicit Storage(size_t bytes, Device device = Device::cpu);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  void* data_;
  size_t bytes_;
  Device device_;
};

// Bytes held by live Storages now, and the most that ever were (since reset_peak_memory()).
struct MemoryUse {
  size_t live, peak;
};
MemoryUse memory_use(Device device = Device::cpu);
void reset_peak_memory(Device device = Device::cpu);

}  // namespace rmt

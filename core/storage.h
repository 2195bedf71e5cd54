// Storage: one aligned block of host memory. Large blocks come from a heap of our own that is kept between uses: a training step frees and
// allocates the same sizes again and again, and fresh pages from the system would cost more than the arithmetic on them.
#pragma once
#include <cstddef>

namespace rmt {

class Storage {
 public:
  explicit Storage(size_t bytes);  // uninitialised, 64-byte aligned; throws Error when memory is exhausted
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  void* data_;
  size_t bytes_;
};

// Bytes held by live Storages now, and the most that ever were (since reset_peak).
struct MemoryUse {
  size_t live, peak;
};
MemoryUse memory_use();
void reset_peak_memory();

}  // namespace rmt

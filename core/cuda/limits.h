// Sizes at which kernels change how they divide their work. On a GPU they follow from the device;
// the emulated one has small ones, so that tests of small tensors come past them; a test may set
// others, for one run.
#pragma once
#include <cstdint>

namespace rmt::cuda {

struct Limits {
  // Of a sum in parts: the most blocks that leave one part each, which a second kernel then adds.
  // A few for each multiprocessor.
  int64_t parts;
  // Bytes of a convolution's patches that exist at a time: few enough to stay in the GPU's L2 cache
  // (40 MiB on an A100, 50 on an H100) between the kernel that writes them and the one that reads.
  int64_t patch_bytes;
  // Bytes of shared memory that a block can ask for.
  int64_t shared_bytes;
  // Memory that was given back may be handed out again in pieces. Where this is off, each tensor of
  // the common pool has memory of its own, so that an access beyond its end is seen.
  bool pieces;
  // Bytes that are asked of the driver at once, of device memory and of pinned memory: small
  // requests share them.
  int64_t segment_bytes = 64 << 20;
  // Bytes of device memory that the pools may hold in all.
  int64_t memory = INT64_MAX;
  // Bytes of host memory that go to the device at once, through pinned memory; more go in pieces.
  int64_t staging_bytes = 8 << 20;
};

// Of the GPU in use. To be changed only between launches.
Limits& limits();
// Those that a GPU of so many multiprocessors has, by default with the shared memory of an H100.
Limits limits_of_gpu(int multiprocessors, int64_t shared_bytes = 227 << 10);

// Others, as long as it lives.
class WithLimits {
 public:
  explicit WithLimits(const Limits& other) : before_(limits()) { limits() = other; }
  ~WithLimits() { limits() = before_; }
  WithLimits(const WithLimits&) = delete;
  WithLimits& operator=(const WithLimits&) = delete;

 private:
  Limits before_;
};

}  // namespace rmt::cuda

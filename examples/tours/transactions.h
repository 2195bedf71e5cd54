// Counts what a GPU's memory system does for a kernel: it serves the 32 threads of a warp together,
// in sectors of 32 bytes. Neighbours that read neighbouring floats need 4 sectors for 128 bytes;
// threads that read far apart need one each, 32 in all, and use an eighth of what they fetch.
//
// A kernel that reads through Counting tells each of its reads. The n-th read of each thread of a
// warp belongs to one instruction, so the sectors of that group are what one access costs. The
// count is of requests: a cache between warp and memory may have some of the sectors already.
// Counting works on the emulated device, where kernels are host code; Plain reads on a real one.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <tuple>

#include "core/cuda/runtime.h"

namespace rmt {

struct Plain {
  __device__ float operator()(const float* p) { return *p; }
};

#ifndef __CUDACC__

// The sectors that each access of each warp touched: (block, warp, number of the read) -> sectors.
class Transactions {
 public:
  void note(const void* address, int64_t read) {
    const int64_t warp = threadIdx.x / 32;
    accesses_[{blockIdx.x, warp, read}].insert(reinterpret_cast<uintptr_t>(address) / 32);
  }
  int64_t accesses() const { return int64_t(accesses_.size()); }
  int64_t sectors() const {
    int64_t sum = 0;
    for (const auto& [access, sectors] : accesses_) sum += int64_t(sectors.size());
    return sum;
  }

 private:
  std::map<std::tuple<int64_t, int64_t, int64_t>, std::set<uintptr_t>> accesses_;
};

// Every thread gets its own copy of a kernel's arguments, and so its own count of its reads.
struct Counting {
  Transactions* transactions;
  int64_t reads = 0;
  float operator()(const float* p) {
    transactions->note(p, reads++);
    return *p;
  }
};

#endif

}  // namespace rmt

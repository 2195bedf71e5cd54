#include "core/cuda/counted.h"

#include <map>
#include <mutex>

#include "core/cuda/limits.h"
#include "core/cuda/runtime.h"

namespace rmt::cuda {
namespace {

struct Blocks {
  std::mutex mutex;
  std::map<void*, size_t> bytes;
  size_t sum = 0;

  // Never destroyed: tensors with static lifetime give their memory back at the very end.
  static Blocks& get() {
    static Blocks* blocks = new Blocks;
    return *blocks;
  }
};

}  // namespace

void* counted_malloc(size_t bytes) {
  Blocks& blocks = Blocks::get();
  std::lock_guard lock(blocks.mutex);
  const size_t most = size_t(limits().memory);
  if (bytes > most || blocks.sum > most - bytes) return nullptr;
  void* p = nullptr;
  if (cudaMalloc(&p, bytes) != cudaSuccess) {
    cudaGetLastError();  // forget it
    return nullptr;
  }
  blocks.bytes[p] = bytes;
  blocks.sum += bytes;
  return p;
}

void counted_free(void* p) {
  Blocks& blocks = Blocks::get();
  std::lock_guard lock(blocks.mutex);
  cudaFree(p);
  if (const auto block = blocks.bytes.find(p); block != blocks.bytes.end()) {
    blocks.sum -= block->second;
    blocks.bytes.erase(block);
  }
}

size_t counted_bytes() {
  Blocks& blocks = Blocks::get();
  std::lock_guard lock(blocks.mutex);
  return blocks.sum;
}

}  // namespace rmt::cuda

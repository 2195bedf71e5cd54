// Arrays of many sizes, cut into chunks of one: a kernel that goes over all parameters of a model
// gives a block of threads to each chunk.
//
//   arrays   [ p0          | p1 | p2          ... ]
//   chunks   [ p0 0, p0 1, p0 2, p1 0, p2 0, p2 1 ... ]
#pragma once
#include <cstdint>
#include <vector>

namespace rmt::train::gpu {

constexpr int64_t kChunk = 4096;  // numbers

struct Chunk {
  int32_t parameter;
  int32_t number;  // of this parameter's chunks: it begins at number * kChunk
};

// numel: of each array.
inline std::vector<Chunk> chunks_of(const std::vector<int64_t>& numel) {
  std::vector<Chunk> chunks;
  for (size_t i = 0; i < numel.size(); ++i)
    for (int32_t number = 0; number * kChunk < numel[i]; ++number)
      chunks.push_back({int32_t(i), number});
  return chunks;
}

}  // namespace rmt::train::gpu

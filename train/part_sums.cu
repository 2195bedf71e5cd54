// part_sums.h on a GPU: a block of threads to each chunk of a parameter, 16 bytes at a time where
// both arrays begin at a multiple of that.
#include "core/cuda/elementwise.cuh"
#include "train/part_sums.h"

namespace rmt::train::gpu {
namespace {

using cuda::kThreads;

constexpr int N = 4;  // floats of a pack

__global__ void __launch_bounds__(kThreads)
    add_part_kernel(const Addition* table, const Chunk* chunks) {
  const Chunk chunk = chunks[blockIdx.x];
  const Addition a = table[chunk.parameter];
  if (!a.gradient) return;
  const int64_t begin = chunk.number * kChunk;
  const int n = int(min(kChunk, a.n - begin));
  float* sum = a.sum + begin;
  const float* g = a.gradient + begin;
  const bool packs =
      (reinterpret_cast<uintptr_t>(sum) | reinterpret_cast<uintptr_t>(g)) % sizeof(float[N]) == 0;
  const int in_packs = packs ? n / N * N : 0;
  for (int i = threadIdx.x * N; i < in_packs; i += kThreads * N) {
    const cuda::Values<float, N> x = cuda::load<N>(g + i);
    cuda::store<N>(sum + i, a.first ? x : cuda::load<N>(sum + i) + x);
  }
  for (int i = in_packs + threadIdx.x; i < n; i += kThreads)
    sum[i] = a.first ? g[i] : sum[i] + g[i];
}

}  // namespace

void add_part(const Addition* table, const Chunk* chunks, int64_t chunk_count) {
  if (chunk_count > 0)
    cuda::launch("add_part", add_part_kernel, dim3(unsigned(chunk_count)), dim3(kThreads), 0, table,
                 chunks);
}

}  // namespace rmt::train::gpu

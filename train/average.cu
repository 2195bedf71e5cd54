// average.h on a GPU: p <-> e for all parameters in one launch, a block of threads to each chunk,
// with the copies of p in bf16; then for the statistics, a block to each.
#include "core/cuda/elementwise.cuh"
#include "train/optimizer_table.h"

namespace rmt::train::gpu {
namespace {

using cuda::kThreads;

__device__ __forceinline__ void exchange(float& a, float& b) {
  const float before = a;
  a = b;
  b = before;
}

__global__ void __launch_bounds__(kThreads) swap_parameters_kernel(OptimizerView view) {
  const Chunk chunk = view.chunks[blockIdx.x];
  const ParameterArrays a = view.parameters[chunk.parameter];
  const int64_t begin = chunk.number * kChunk;
  const int64_t end = min(begin + kChunk, a.n);
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    exchange(a.p[i], a.average[i]);
    if (a.shadow) a.shadow[i] = bf16(a.p[i]);
  }
}

__global__ void __launch_bounds__(kThreads) swap_statistics_kernel(OptimizerView view) {
  const StatisticArrays a = view.statistics[blockIdx.x];
  for (int64_t i = threadIdx.x; i < a.n; i += kThreads) exchange(a.now[i], a.average[i]);
}

}  // namespace

void swap_averages(const OptimizerView& view) {
  const dim3 threads(kThreads);
  cuda::launch("swap_parameters", swap_parameters_kernel, dim3(unsigned(view.chunk_count)), threads,
               0, view);
  if (view.statistic_count > 0)
    cuda::launch("swap_statistics", swap_statistics_kernel, dim3(unsigned(view.statistic_count)),
                 threads, 0, view);
}

}  // namespace rmt::train::gpu

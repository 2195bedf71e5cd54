// guard.h on a GPU: the squares of each chunk's gradients; one block of threads that adds these up
// and judges the step; the statistics, a block to each.
#include <cmath>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/warp.cuh"
#include "train/optimizer_table.h"

namespace rmt::train::gpu {
namespace {

using cuda::kThreads;

// squares[chunk] = sum g^2, in double: exact enough for any norm that f32 holds.
__global__ void __launch_bounds__(kThreads) squares_kernel(OptimizerView view) {
  const Chunk chunk = view.chunks[blockIdx.x];
  const ParameterArrays a = view.parameters[chunk.parameter];
  const int64_t begin = chunk.number * kChunk;
  const int64_t end = a.gradient ? min(begin + kChunk, a.n) : begin;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads)
    sum += double(a.gradient[i]) * double(a.gradient[i]);
  sum = cuda::block_sum(sum);
  if (threadIdx.x == 0) view.squares[blockIdx.x] = sum;
}

// One block. Each thread adds every kThreads-th chunk, in order.
__global__ void __launch_bounds__(kThreads)
    judge_kernel(OptimizerView view, GuardOptions options, const float* loss) {
  double sum = 0;
  int64_t bad = view.parameter_count;  // the first whose gradient is not finite
  for (int64_t c = threadIdx.x; c < view.chunk_count; c += kThreads) {
    const double squares = view.squares[c];
    if (!std::isfinite(squares)) bad = min(bad, int64_t(view.chunks[c].parameter));
    sum += squares;
  }
  sum = cuda::block_sum(sum);
  bad = -cuda::block_max(-bad);
  if (threadIdx.x != 0) return;
  const double norm = sqrt(sum) / double(options.parts);
  *view.verdict = {loss ? *loss / float(options.parts) : 0, float(norm),
                   bad < view.parameter_count ? int32_t(bad) : -1};
  *view.gradient_scale = gradient_scale(options, norm);
}

// Kept, and followed by their average, if the step counts; else taken back.
__global__ void __launch_bounds__(kThreads)
    statistics_kernel(OptimizerView view, float take_average) {
  const StatisticArrays a = view.statistics[blockIdx.x];
  const bool counts = view.verdict->finite();
  for (int64_t i = threadIdx.x; i < a.n; i += kThreads) {
    if (!counts) {
      a.now[i] = a.kept[i];
      continue;
    }
    a.kept[i] = a.now[i];
    if (a.average) follow(a.average[i], a.now[i], take_average);
  }
}

}  // namespace

void guard(const OptimizerView& view, const GuardOptions& options, const float* loss,
           float take_average) {
  const dim3 chunks(static_cast<unsigned>(view.chunk_count));
  const dim3 statistics(static_cast<unsigned>(view.statistic_count));
  const dim3 threads(kThreads);
  cuda::launch("guard_squares", squares_kernel, chunks, threads, 0, view);
  cuda::launch("guard_judge", judge_kernel, dim3(1), threads, 0, view, options, loss);
  if (view.statistic_count > 0)
    cuda::launch("guard_statistics", statistics_kernel, statistics, threads, 0, view, take_average);
}

}  // namespace rmt::train::gpu

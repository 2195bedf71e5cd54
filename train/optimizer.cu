// optimizer.h's formulas over all parameters at once, in four launches: the squares of each chunk's
// gradients, a block of threads to a chunk; one block that adds these up, judges the step and works
// out each parameter's factors; the statistics and the step itself, a block to a chunk. The
// arithmetic is that of optimizer.cpp.
#include <cmath>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/warp.cuh"
#include "train/optimizer.h"

namespace rmt::train::gpu {
namespace {

using cuda::kThreads;

// squares[chunk] = sum g^2, in double: exact enough for any norm that f32 holds.
__global__ void __launch_bounds__(kThreads) adamw_squares_kernel(AdamWTable table) {
  const AdamWChunk chunk = table.chunks[blockIdx.x];
  const AdamWArrays<float> a = table.arrays[chunk.array];
  const int64_t begin = chunk.number * kAdamWChunk,
                end = a.g ? min(begin + kAdamWChunk, a.n) : begin;
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads)
    sum += double(a.g[i]) * double(a.g[i]);
  sum = cuda::block_sum(sum);
  if (threadIdx.x == 0) table.squares[blockIdx.x] = sum;
}

// One block. Each thread adds every kThreads-th chunk, in order.
__global__ void __launch_bounds__(kThreads)
    adamw_judge_kernel(AdamWTable table, AdamWOptions options, const float* loss) {
  double sum = 0;
  int64_t bad = table.slots;
  for (int64_t c = threadIdx.x; c < table.chunk_count; c += kThreads) {
    const double squares = table.squares[c];
    if (!std::isfinite(squares)) bad = min(bad, int64_t(table.chunks[c].array));
    sum += squares;
  }
  sum = cuda::block_sum(sum);
  bad = -cuda::block_reduce(-bad, cuda::Max());
  const double norm = sqrt(sum) / double(options.parts);
  const Verdict verdict{loss ? *loss / float(options.parts) : 0, float(norm),
                        bad < table.slots ? float(bad) : -1};
  if (threadIdx.x == 0) *table.verdict = verdict;
  if (!verdict.finite()) return;
  for (int64_t s = threadIdx.x; s < table.slots; s += kThreads)
    if (table.arrays[s].n > 0)
      table.factors[s] = adamw_factors(options, norm, *table.lr * table.lr_scale[s],
                                       table.weight_decay[s], ++table.t[s]);
}

// The numbers of one chunk: where it begins in each array, and how many.
__device__ AdamWArrays<float> chunk_of(const AdamWTable& table) {
  const AdamWChunk chunk = table.chunks[blockIdx.x];
  AdamWArrays<float> a = table.arrays[chunk.array];
  const int64_t begin = chunk.number * kAdamWChunk;
  auto at = [=](auto* p) { return p ? p + begin : p; };
  return {
      at(a.p), at(a.m), at(a.v), at(a.g), at(a.ema), at(a.shadow), min(kAdamWChunk, a.n - begin)};
}

// The statistics: kept if the step counts, else taken back.
__global__ void __launch_bounds__(kThreads)
    adamw_statistics_kernel(AdamWTable table, float take_ema) {
  const AdamWArrays<float> a = chunk_of(table);
  if (a.v) return;
  const bool counts = table.verdict->finite();
  for (int i = int(threadIdx.x); i < a.n; i += kThreads) {
    const float p = counts ? a.p[i] : a.m[i];
    (counts ? a.m : a.p)[i] = p;
    if (counts && a.ema) a.ema[i] += take_ema * (p - a.ema[i]);
  }
}

__global__ void __launch_bounds__(kThreads) adamw_kernel(AdamWTable table) {
  const AdamWArrays<float> a = chunk_of(table);
  if (!a.g || !table.verdict->finite()) return;
  const AdamWFactors& f = table.factors[table.chunks[blockIdx.x].array];
  const float gradient = float(f.gradient), decay = float(f.decay), take1 = float(f.take1),
              keep2 = float(f.keep2), take2 = float(f.take2), step = float(f.step),
              correction2 = float(f.correction2), eps = float(f.eps), take_ema = float(f.take_ema);
  for (int i = int(threadIdx.x); i < a.n; i += kThreads) {
    const float g = gradient * a.g[i], m = a.m[i] + take1 * (g - a.m[i]),
                v = keep2 * a.v[i] + take2 * (g * g);
    const float p = a.p[i] * decay - step * (m / (sqrtf(v) / correction2 + eps));
    a.m[i] = m, a.v[i] = v, a.p[i] = p;
    if (a.ema) a.ema[i] += take_ema * (p - a.ema[i]);
    if (a.shadow) a.shadow[i] = bf16(p);
  }
}

}  // namespace

void adamw(const AdamWTable& table, const AdamWOptions& options, const float* loss) {
  if (table.chunk_count == 0) return;
  const dim3 chunks(static_cast<unsigned>(table.chunk_count)), threads(kThreads);
  cuda::launch("adamw_squares", adamw_squares_kernel, chunks, threads, 0, table);
  cuda::launch("adamw_judge", adamw_judge_kernel, dim3(1), threads, 0, table, options, loss);
  cuda::launch("adamw_statistics", adamw_statistics_kernel, chunks, threads, 0, table,
               float(1 - options.ema_decay));
  cuda::launch("adamw", adamw_kernel, chunks, threads, 0, table);
}

}  // namespace rmt::train::gpu

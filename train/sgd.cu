// sgd.h on a GPU, over all parameters at once: a block of threads takes each chunk. The pass over p
// also writes what else is made of it, its average (average.h) and its copy in bf16, so that p is
// read once.
#include "core/cuda/elementwise.cuh"
#include "train/optimizer_table.h"

namespace rmt::train::gpu {
namespace {

using cuda::kThreads;

__global__ void __launch_bounds__(kThreads)
    sgd_kernel(OptimizerView view, SgdOptions options, float take_average) {
  const Chunk chunk = view.chunks[blockIdx.x];
  const ParameterArrays a = view.parameters[chunk.parameter];
  if (!a.gradient || !view.verdict->finite()) return;
  if (chunk.number == 0 && threadIdx.x == 0) ++view.t[chunk.parameter];
  const SgdFactors<float> f =
      sgd_factors<float>(options, *view.gradient_scale, *view.lr * view.lr_scale[chunk.parameter],
                         view.weight_decay[chunk.parameter]);
  const int64_t begin = chunk.number * kChunk;
  const int64_t end = min(begin + kChunk, a.n);
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    float p = a.p[i];
    float m = a.m[i];
    train::sgd(p, m, a.gradient[i], f);
    a.p[i] = p;
    a.m[i] = m;
    if (a.average) follow(a.average[i], p, take_average);
    if (a.shadow) a.shadow[i] = bf16(p);
  }
}

}  // namespace

void sgd(const OptimizerView& view, const SgdOptions& options, float take_average) {
  cuda::launch("sgd", sgd_kernel, dim3(static_cast<unsigned>(view.chunk_count)), dim3(kThreads), 0,
               view, options, take_average);
}

}  // namespace rmt::train::gpu

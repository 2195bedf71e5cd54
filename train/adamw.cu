// adamw.h on a GPU, over all parameters at once: a thread to each parameter works out its factors,
// then a block of threads takes each chunk. The pass over p also writes what else is made of it,
// its average (average.h) and its copy in bf16, so that p is read once.
#include "core/cuda/elementwise.cuh"
#include "train/optimizer_table.h"

namespace rmt::train::gpu {
namespace {

using cuda::kThreads;

__global__ void __launch_bounds__(kThreads)
    factors_kernel(OptimizerView view, AdamWOptions options) {
  const int64_t i = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= view.parameter_count || !view.parameters[i].gradient || !view.verdict->finite()) return;
  const int64_t t = view.t[i] + 1;
  view.t[i] = t;
  view.factors[i] = adamw_factors<float>(options, *view.gradient_scale, *view.lr * view.lr_scale[i],
                                         view.weight_decay[i], t);
}

__global__ void __launch_bounds__(kThreads) adamw_kernel(OptimizerView view, float take_average) {
  const Chunk chunk = view.chunks[blockIdx.x];
  const ParameterArrays a = view.parameters[chunk.parameter];
  if (!a.gradient || !view.verdict->finite()) return;
  const AdamWFactors<float> f = view.factors[chunk.parameter];
  const int64_t begin = chunk.number * kChunk;
  const int64_t end = min(begin + kChunk, a.n);
  for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    float p = a.p[i];
    float m = a.m[i];
    float v = a.v[i];
    train::adamw(p, m, v, a.gradient[i], f);
    a.p[i] = p;
    a.m[i] = m;
    a.v[i] = v;
    if (a.average) follow(a.average[i], p, take_average);
    if (a.shadow) a.shadow[i] = bf16(p);
  }
}

}  // namespace

void adamw(const OptimizerView& view, const AdamWOptions& options, float take_average) {
  const dim3 parameters(static_cast<unsigned>(cuda::blocks_for(view.parameter_count)));
  const dim3 chunks(static_cast<unsigned>(view.chunk_count));
  const dim3 threads(kThreads);
  cuda::launch("adamw_factors", factors_kernel, parameters, threads, 0, view, options);
  cuda::launch("adamw", adamw_kernel, chunks, threads, 0, view, take_average);
}

}  // namespace rmt::train::gpu

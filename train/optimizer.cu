// optimizer.h's formulas over all parameters at once: a block of threads to each chunk of one. The arithmetic is that of optimizer.cpp, in f32.
#include "core/cuda/elementwise.cuh"
#include "train/optimizer.h"

namespace rmt::gpu {
namespace {

__global__ void __launch_bounds__(cuda::kThreads)
    adamw_kernel(const AdamWArrays<float>* arrays, const AdamWFactors* factors, const AdamWChunk* chunks, const float* gate) {
  if (gate && !(fabsf(*gate) <= 3.402823466e38f)) return;  // infinite or nan
  const AdamWChunk chunk = chunks[blockIdx.x];
  const AdamWArrays<float> a = arrays[chunk.parameter];
  const AdamWFactors f = factors[chunk.parameter];
  const float decay = float(f.decay), take1 = float(f.take1), keep2 = float(f.keep2), take2 = float(f.take2), step = float(f.step),
              correction2 = float(f.correction2), eps = float(f.eps), take_ema = float(f.take_ema);
  const int64_t begin = chunk.number * kAdamWChunk, end = min(begin + kAdamWChunk, a.n);
  for (int64_t i = begin + threadIdx.x; i < end; i += cuda::kThreads) {
    const float g = a.g[i], m = a.m[i] + take1 * (g - a.m[i]), v = keep2 * a.v[i] + take2 * (g * g);
    const float p = a.p[i] * decay - step * (m / (sqrtf(v) / correction2 + eps));
    a.m[i] = m, a.v[i] = v, a.p[i] = p;
    if (a.ema) a.ema[i] += take_ema * (p - a.ema[i]);
    if (a.shadow) a.shadow[i] = bf16(p);
  }
}

}  // namespace

void adamw(const AdamWArrays<float>* arrays, const AdamWFactors* factors, const AdamWChunk* chunks, int64_t count, const float* gate) {
  cuda::launch("adamw", adamw_kernel, dim3(unsigned(count)), dim3(cuda::kThreads), 0, arrays, factors, chunks, gate);
}

}  // namespace rmt::gpu

// drop_path.cpp's formula, a thread to each factor; the step is read from device memory, so that a
// captured graph draws new numbers each time.
#include "core/cuda/elementwise.cuh"
#include "core/random.h"
#include "ops/drop_path.h"

namespace rmt::gpu {
namespace {

template <class T>
__global__ void drop_path_kernel(T* s, const int64_t* step, int64_t layers, int64_t B,
                                 ops::DropPathOptions o) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= layers * B) return;
  const int64_t layer = o.layer + i / B, sample = o.first_sample + i % B;
  const auto words =
      philox(first_counter(Purpose::drop_path, uint64_t(*step), uint64_t(layer << 24 | sample)),
             {uint32_t(o.seed), uint32_t(o.seed >> 32)});
  s[i] = T(uniform_of(words[0], words[1]) < o.rate ? 0 : 1 / (1 - o.rate));
}

}  // namespace

template <class T>
void drop_path_factors(T* s, const int64_t* step, int64_t layers, int64_t B,
                       const ops::DropPathOptions& o) {
  if (layers * B)
    cuda::launch("drop_path_factors", drop_path_kernel<T>,
                 dim3(unsigned(cuda::blocks_for(layers * B))), dim3(cuda::kThreads), 0, s, step,
                 layers, B, o);
}

INSTANTIATE(drop_path_factors)

}  // namespace rmt::gpu

// rotary.cpp's formula, a thread to each pair of the table; in double, as there. The table is made
// once for a size of map.
#include <cmath>

#include "core/cuda/elementwise.cuh"

namespace rmt::gpu {
namespace {

template <class T>
__global__ void __launch_bounds__(cuda::kThreads)
    rotary_table_kernel(const double* angle, T* table, int64_t pairs, int D) {
  const int64_t i = int64_t(blockIdx.x) * cuda::kThreads + threadIdx.x;
  if (i >= pairs) return;
  const int64_t n = 2 * i / D;
  const double phase = double(n) * angle[2 * i - n * D];
  table[2 * i] = T(Wide<T>(cos(phase)));
  table[2 * i + 1] = T(Wide<T>(sin(phase)));
}

}  // namespace

template <class T>
void rotary_table(const double* angle, T* table, int64_t L, int64_t D) {
  const int64_t pairs = L * D / 2;
  if (pairs)
    cuda::launch("rotary_table", rotary_table_kernel<T>, dim3(unsigned(cuda::blocks_for(pairs))),
                 dim3(cuda::kThreads), 0, angle, table, pairs, D);
}

INSTANTIATE(rotary_table)

}  // namespace rmt::gpu

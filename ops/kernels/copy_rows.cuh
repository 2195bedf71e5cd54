// copy_rows.h on the GPU. Threads (x, y) of a block: a group of N neighbours, every blockDim.y-th
// row. N numbers are 16 bytes where all places are multiples of them, else one number.
#pragma once
#include "core/cuda/columns.cuh"
#include "ops/kernels/row_places.h"

namespace rmt::gpu {

template <class T, int N, class Source, class Target>
__global__ void __launch_bounds__(cuda::kColumnThreads)
    copy_rows_kernel(int64_t rows, int64_t width, const T* from, Source source, T* to,
                     Target target) {
  using Pack = cuda::Pack<T, N>;
  const int64_t c = (int64_t(blockIdx.x) * blockDim.x + threadIdx.x) * N;
  if (c >= width) return;
  const int64_t step = int64_t(gridDim.y) * blockDim.y;
  for (int64_t r = int64_t(blockIdx.y) * blockDim.y + threadIdx.y; r < rows; r += step)
    *reinterpret_cast<Pack*>(to + target(r) + c) =
        *reinterpret_cast<const Pack*>(from + source(r) + c);
}

template <class T, class Source, class Target>
void copy_rows(const char* name, int64_t rows, int64_t width, const T* from, Source source, T* to,
               Target target) {
  if (rows == 0 || width == 0) return;
  constexpr int N = 16 / int(sizeof(T));
  const bool vectors =
      cuda::aligned(from, to) && width % N == 0 && source.unit % N == 0 && target.unit % N == 0;
  const cuda::ColumnBlocks blocks(vectors ? width / N : width);
  cuda::launch(
      name,
      vectors ? copy_rows_kernel<T, N, Source, Target> : copy_rows_kernel<T, 1, Source, Target>,
      dim3(unsigned(blocks.tiles), unsigned(blocks.parts(rows, 1, 65535))),
      dim3(blocks.tx, blocks.ty), 0, rows, width, from, source, to, target);
}

}  // namespace rmt::gpu

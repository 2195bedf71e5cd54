// roi_align.cpp's formulas. Forward: a block of threads to each bin of a tile, a thread to each N
// channels; the weights of its few rows and columns lie in shared memory. Backward: a warp has up
// to 32 N channels of one cell of a map. It looks at 32 boxes at a time and adds up, in order, what
// those give that read the cell; lane p computes the weights of the p-th row and column of bins.
#include <algorithm>
#include <cmath>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/warp.cuh"
#include "core/storage.h"
#include "ops/kernels/rois.h"

namespace rmt::gpu {
namespace {

using cuda::kThreads, cuda::Values;

// Channels a thread: 16 bytes of f32 or f64. Those of bf16, eight, would not fit into registers.
template <class T>
constexpr int kChannels = sizeof(T) == 8 ? 2 : 4;

// An invalid box makes its tile nan, since nobody waits for the GPU to look at boxes.
template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    roi_align_forward_kernel(RoiMaps m, const Wide<T>* rois, T* y, int most_rows) {
  using W = Wide<T>;
  DYNAMIC_SHARED(W, weights);  // of rows, from most_rows on of columns
  const int thread = int(threadIdx.x), threads = int(blockDim.x);
  const Pixel bin(int64_t(blockIdx.x), m.P, m.P);  // its image is the number of the tile
  const W* box = rois + 5 * bin.image;
  T* y_bin = y + int64_t(blockIdx.x) * m.C;
  if (!is_roi(box, m.B)) {  // the whole block
    for (int64_t c = thread; c < m.C; c += threads) y_bin[c] = T(W(NAN));
    return;
  }
  const Roi roi(box, m);
  const Range rows = roi.rows.of(bin.row), columns = roi.columns.of(bin.column);
  for (int i = thread; i < rows.size(); i += threads)
    weights[i] = W(roi.rows.weight(bin.row, rows.begin + i));
  for (int j = thread; j < columns.size(); j += threads)
    weights[most_rows + j] = W(roi.columns.weight(bin.column, columns.begin + j));
  __syncthreads();
  const T* x = m.image<const T>(roi.level, roi.image);
  for (int64_t c = int64_t(thread) * N; c < m.C; c += int64_t(threads) * N) {
    Values<W, N> sum = W(0);
    for (int i = 0; i < rows.size(); ++i) {
      Values<W, N> line = W(0);
      for (int j = 0; j < columns.size(); ++j) {
        const int64_t cell = int64_t(rows.begin + i) * m.columns[roi.level] + columns.begin + j;
        line += weights[most_rows + j] * cuda::load<N>(x + cell * m.C + c);
      }
      sum += weights[i] * line;
    }
    cuda::store<N>(y_bin + c, sum);
  }
}

// Where the boxes lie, for the gradient, which asks each of them many times. Of level -1: nowhere.
template <class W>
__global__ void __launch_bounds__(kThreads) roi_places_kernel(RoiMaps m, const W* rois, Roi* to) {
  const int64_t r = int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (r >= m.R) return;
  const W nowhere[5] = {};
  const bool good = is_roi(rois + 5 * r, m.B);
  to[r] = Roi(good ? rois + 5 * r : nowhere, m);
  if (!good) to[r].level = -1;
}

__device__ bool holds(const Range& range, int i) { return i >= range.begin && i < range.end; }

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    roi_align_backward_kernel(const T* dy, const Roi* rois, RoiMaps m, int level, T* dx,
                              int64_t cells) {
  using W = Wide<T>;
  const int lane = int(threadIdx.x) % 32;
  const int64_t warp = (int64_t(blockIdx.x) * kThreads + threadIdx.x) / 32,
                warps = (m.C + 32 * N - 1) / (32 * N), c = (warp % warps * 32 + lane) * N;
  const int P = int(m.P);
  if (warp / warps >= cells) return;  // the whole warp
  const Pixel cell(warp / warps, int64_t(m.rows[level]), int64_t(m.columns[level]));
  Values<W, N> sum = W(0);
  for (int64_t first = 0; first < m.R; first += 32) {
    const Roi* own = rois + first + lane;
    const bool reads = first + lane < m.R && own->level == level && own->image == cell.image &&
                       holds(own->row_cells, cell.row) && holds(own->column_cells, cell.column);
    for (unsigned left = __ballot_sync(cuda::kFullWarp, reads); left; left &= left - 1) {
      const int64_t r = first + __ffs(int(left)) - 1;
      const W a = lane < P ? W(rois[r].rows.weight(lane, cell.row)) : W(0),
              b = lane < P ? W(rois[r].columns.weight(lane, cell.column)) : W(0);
      const unsigned columns = __ballot_sync(cuda::kFullWarp, b != 0);
      for (unsigned p = __ballot_sync(cuda::kFullWarp, a != 0); p; p &= p - 1)
        for (unsigned q = columns; q; q &= q - 1) {
          const int row = __ffs(int(p)) - 1, column = __ffs(int(q)) - 1;
          const W weight =
              __shfl_sync(cuda::kFullWarp, a, row) * __shfl_sync(cuda::kFullWarp, b, column);
          if (c < m.C) sum += weight * cuda::load<N>(dy + ((r * P + row) * P + column) * m.C + c);
        }
    }
  }
  if (c < m.C) cuda::store<N>(dx + (warp / warps) * m.C + c, sum);
}

bool aligned(const RoiMaps& m, const void* tiles) {
  bool all = cuda::aligned(static_cast<const char*>(tiles));
  for (int l = 0; l < m.levels; ++l) all = all && cuda::aligned(static_cast<char*>(m.at[l]));
  return all;
}

}  // namespace

template <class T>
void roi_align_forward(const RoiMaps& m, const Wide<T>* rois, T* y) {
  if (m.R == 0) return;
  constexpr int N = kChannels<T>;
  const int rows = *std::max_element(m.rows, m.rows + m.levels),
            columns = *std::max_element(m.columns, m.columns + m.levels);
  CHECK(rows + columns <= 6144, "roi_align: maps of up to ", rows, " rows and ", columns,
        " columns, expected at most 6144 of both, whose weights shared memory holds");
  const bool vectors = m.C % N == 0 && aligned(m, y);
  const int64_t threads =
      std::clamp<int64_t>(cuda::blocks_for(vectors ? m.C / N : m.C, 32) * 32, 32, kThreads);
  cuda::launch("roi_align_forward",
               vectors ? roi_align_forward_kernel<T, N> : roi_align_forward_kernel<T, 1>,
               dim3(unsigned(m.R * m.P * m.P)), dim3(unsigned(threads)),
               size_t(rows + columns) * sizeof(Wide<T>), m, rois, y, rows);
}

template <class T>
void roi_align_backward(const T* dy, const Wide<T>* rois, const RoiMaps& m) {
  CHECK(m.P <= 32, "roi_align: a gradient of tiles of ", m.P, " x ", m.P,
        ", expected at most 32 x 32, a lane of a warp to each row");
  constexpr int N = kChannels<T>;
  Storage storage(size_t(m.R) * sizeof(Roi), Device::cuda);
  Roi* places = static_cast<Roi*>(storage.data());
  if (m.R > 0)
    cuda::launch("roi_places", roi_places_kernel<Wide<T>>, dim3(unsigned(cuda::blocks_for(m.R))),
                 dim3(kThreads), 0, m, rois, places);
  const bool vectors = m.C % N == 0 && aligned(m, dy);
  for (int level = 0; level < m.levels; ++level) {
    const int64_t cells = m.B * m.rows[level] * m.columns[level];
    if (!m.at[level] || cells == 0) continue;
    const int64_t warps = cells * cuda::blocks_for(m.C, 32 * (vectors ? N : 1));
    cuda::launch("roi_align_backward",
                 vectors ? roi_align_backward_kernel<T, N> : roi_align_backward_kernel<T, 1>,
                 dim3(unsigned(cuda::blocks_for(warps, kThreads / 32))), dim3(kThreads), 0, dy,
                 places, m, level, m.image<T>(level, 0), cells);
  }
}

INSTANTIATE(roi_align_forward)
INSTANTIATE(roi_align_backward)

}  // namespace rmt::gpu

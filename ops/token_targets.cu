// token_targets.cpp's formulas, a block of threads to each row of the target, (K). The row reads a
// window of the map, whose numbers and classes are the entries 0, 1, ... of a short list. A thread
// takes every blockDim.x-th entry. If no earlier entry has the same class, it computes the z of
// that class, a sum over the later entries in their order. So each z is computed by one thread, and
// nothing of length K is kept. The list is gone through three times, for the greatest z, for the
// sum of exps and for the result, since memory for every z would limit the size of maps.
#include <algorithm>
#include <cmath>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/warp.cuh"
#include "ops/kernels/extents.h"
#include "ops/kernels/roi_align.h"

namespace rmt::gpu {
namespace {

constexpr int kMostThreads = 512;

// What a row of the target reads of its map (h, w, T).
struct Window {
  const float* values;
  const int32_t* classes;
  const double *row_weights, *column_weights;  // (rows.size()), (columns.size())
  Range rows, columns;
  int w, T;

  __device__ int line() const { return columns.size() * T; }  // entries in a row of the window
  __device__ int entries() const { return rows.size() * line(); }
  __device__ int at(int row) const { return ((rows.begin + row) * w + columns.begin) * T; }

  // z of the class at `entry`; false when an earlier entry has it.
  __device__ bool score(int entry, int k, double& z) const {
    z = 0;
    int e = 0;
    for (int i = 0; i < rows.size(); ++i) {
      int place = at(i);
      for (int j = 0; j < columns.size(); ++j)
        for (int t = 0; t < T; ++t, ++e, ++place) {
          if (classes[place] != k) continue;
          if (e < entry) return false;
          z += row_weights[i] * column_weights[j] * double(values[place]);
        }
    }
    return true;
  }

  // Calls f(k, z_k) once for each class in the window. Different threads have different classes.
  template <class F>
  __device__ void for_classes(F f) const {
    for (int entry = int(threadIdx.x); entry < entries(); entry += int(blockDim.x)) {
      const int k = classes[at(entry / line()) + entry % line()];
      if (double z; score(entry, k, z)) f(k, z);
    }
  }
};

template <class T>
__device__ void fill(T* row, double value, int K) {
  for (int k = int(threadIdx.x); k < K; k += int(blockDim.x)) row[k] = T(Wide<T>(value));
}

// An invalid class or box makes the row nan, so that the loss says so.
template <class T>
__global__ void __launch_bounds__(kMostThreads)
    token_targets_kernel(const float* values, const int32_t* classes, const double* boxes,
                         T* target, TokenTargets n) {
  const Pixel cell(int64_t(blockIdx.x), n.rows, n.columns);
  const double* box = boxes + 4 * cell.image;
  const int K = int(n.K);
  T* row = target + int64_t(blockIdx.x) * n.K;
  if (!is_box(box)) return fill(row, double(NAN), K);  // the whole block

  DYNAMIC_SHARED(double, weights);
  const RoiAxis rows(int(n.h), int(n.rows), box[1], box[3]),
      columns(int(n.w), int(n.columns), box[0], box[2]);
  const int64_t map = cell.image * n.h * n.w * n.T;
  const Window window{values + map,      classes + map,           weights,  weights + n.h,
                      rows.of(cell.row), columns.of(cell.column), int(n.w), int(n.T)};
  for (int i = int(threadIdx.x); i < window.rows.size(); i += int(blockDim.x))
    weights[i] = rows.weight(cell.row, window.rows.begin + i);
  for (int j = int(threadIdx.x); j < window.columns.size(); j += int(blockDim.x))
    weights[n.h + j] = columns.weight(cell.column, window.columns.begin + j);
  __syncthreads();

  int found = 0;
  double most = -INFINITY, sum = 0;
  window.for_classes([&](int, double z) {
    ++found;
    most = max(most, z);
  });
  const int others = K - cuda::block_sum(found);  // classes with z = 0
  most = cuda::block_max(others > 0 ? max(most, 0.0) : most);
  window.for_classes([&](int k, double z) { sum += k >= 0 && k < K ? ::exp(z - most) : NAN; });
  const double other = others > 0 ? ::exp(-most) : 0;  // exp(z - most) of each of them
  sum = cuda::block_sum(sum) + others * other;

  fill(row, n.smoothed(other / sum), K);
  __syncthreads();
  window.for_classes([&](int k, double z) {
    if (k >= 0 && k < K) row[k] = T(Wide<T>(n.smoothed(::exp(z - most) / sum)));
  });
}

// target (B, size): a thread to each number of the first half of the batch and its partner.
template <class T>
__global__ void __launch_bounds__(cuda::kThreads)
    mix_targets_kernel(const double* mix, T* target, int64_t B, int64_t size) {
  const int64_t number = int64_t(blockIdx.x) * blockDim.x + threadIdx.x, b = number / size;
  if (b >= B / 2) return;
  const double lambda = mix[1];
  T *p = target + number, *q = p + (B - 1 - 2 * b) * size;
  const double u = double(Wide<T>(*p)), v = double(Wide<T>(*q));
  *p = T(Wide<T>(lambda * u + (1 - lambda) * v));
  *q = T(Wide<T>(lambda * v + (1 - lambda) * u));
}

}  // namespace

template <class T>
void token_targets(const float* values, const int32_t* classes, const double* boxes,
                   const double* mix, T* target, const TokenTargets& n) {
  if (n.B == 0) return;
  CHECK(n.h + n.w <= 6144, "token_targets: maps of ", n.h, " x ", n.w,
        ", expected h + w of at most 6144, whose weights shared memory holds");
  // A thread to each entry of a window when the box is the whole map, or to each 8 of K.
  const int64_t entries = ((n.h - 1) / n.rows + 2) * ((n.w - 1) / n.columns + 2) * n.T,
                threads = std::clamp<int64_t>(std::max(entries, n.K / 8), 32, kMostThreads);
  cuda::launch("token_targets", token_targets_kernel<T>, dim3(unsigned(n.B * n.rows * n.columns)),
               dim3(unsigned((threads + 31) / 32 * 32)), size_t(n.h + n.w) * sizeof(double), values,
               classes, boxes, target, n);
  const int64_t size = n.rows * n.columns * n.K, pairs = n.B / 2 * size;
  if (mix && pairs > 0)
    cuda::launch("mix_targets", mix_targets_kernel<T>, dim3(unsigned(cuda::blocks_for(pairs))),
                 dim3(cuda::kThreads), 0, mix, target, n.B, size);
}

INSTANTIATE(token_targets)

}  // namespace rmt::gpu

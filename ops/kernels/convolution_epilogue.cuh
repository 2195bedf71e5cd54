// What a block of a convolution's product does with its tile's sums, which lie rounded in shared
// memory: an epilogue says what is written for 8 columns of an output, and may add to two sums of
// each column, which are left for each tile, (tiles, 2, O). Who reads these adds them in double.
#pragma once
#include "core/cuda/columns.cuh"
#include "ops/kernels/convolution_tiles.cuh"

namespace rmt::gpu::convolution {

constexpr int kWarps = 4, kBlock = 32 * kWarps;

using EightFloats = cuda::Values<float, 8>;
__device__ __forceinline__ EightFloats widen(const Eight& pack) {
  return cuda::widen(std::bit_cast<cuda::Pack<bf16, 8>>(pack));
}
__device__ __forceinline__ Eight narrow(const EightFloats& v) {
  return std::bit_cast<Eight>(cuda::narrow<bf16, 8>(v.at));
}

// The sums as they are.
struct Write {
  static constexpr bool has_sums = false;
  struct Columns {};
  struct Fetched {};
  __device__ Columns columns(int) const { return {}; }
  __device__ Fetched fetch(int64_t) const { return {}; }
  __device__ Eight operator()(const Columns&, const Fetched&, int64_t, const Eight& y,
                              EightFloats (&)[2]) const {
    return y;
  }
};

// The sums y as they are; y and y^2 are summed. f32 is enough, though the variance is a difference
// of these: y^2 has 16 bits, and 256 of one binade add up in 24 without rounding. Where the numbers
// of a column lie in several, the variance is off by less than a tenth of what rounding y to bf16
// has done to it (tried for means of 1/2 to 200 deviations).
struct WriteMoments {
  static constexpr bool has_sums = true;
  float* tile_sums;
  struct Columns {};
  struct Fetched {};
  __device__ Columns columns(int) const { return {}; }
  __device__ Fetched fetch(int64_t) const { return {}; }
  __device__ Eight operator()(const Columns&, const Fetched&, int64_t, const Eight& y,
                              EightFloats (&sums)[2]) const {
    sums[0] += widen(y);
    sums[1] += square(widen(y));
    return y;
  }
};

// The sums are dg, the gradient by g = gelu(z), z = norm(x): dz = dg gelu'(z) is written, g too if
// it is not null, and dz (x - mean) and dz are summed.
struct WriteThroughGelu {
  static constexpr bool has_sums = true;
  const bf16* x;
  Norm norm;
  bf16* g;
  float* tile_sums;
  struct Columns {
    EightFloats mean, scale, bias;
  };
  using Fetched = Eight;  // x
  __device__ Columns columns(int c) const {
    return {cuda::load<8>(norm.mean + c), cuda::load<8>(norm.w + c) * cuda::load<8>(norm.rstd + c),
            cuda::load<8>(norm.bias + c)};
  }
  __device__ Fetched fetch(int64_t at) const { return *reinterpret_cast<const Eight*>(x + at); }
  __device__ Eight operator()(const Columns& of, const Fetched& x_8, int64_t at, const Eight& dg,
                              EightFloats (&sums)[2]) const {
    const EightFloats d = widen(x_8) - of.mean, z = d * of.scale + of.bias;
    EightFloats g_8, slope;
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      const Normal<float> phi = normal<bf16>(z.at[n]);
      g_8.at[n] = z.at[n] * phi.cdf;
      slope.at[n] = phi.cdf + z.at[n] * phi.pdf;
    }
    if (g) *reinterpret_cast<Eight*>(g + at) = narrow(g_8);
    const Eight dz = narrow(widen(dg) * slope);
    sums[0] += widen(dz) * d;
    sums[1] += widen(dz);
    return dz;
  }
};

// The threads' sums of their 8 columns -> to[k O + c], the tile's.
template <int kN>
__device__ __forceinline__ void leave_sums(const EightFloats (&sums)[2], float* shared, int columns,
                                           int O, float* to) {
  constexpr int width = kN * 8, rows = kBlock / kN;  // [row][k][column]
  const int thread = int(threadIdx.x), c = thread % width;
  __syncthreads();  // all have read what lies in `shared`
#pragma unroll
  for (int k = 0; k < 2; ++k)
    cuda::store<8>(shared + (thread / kN * 2 + k) * width + thread % kN * 8, sums[k]);
  __syncthreads();
  if (thread >= 2 * width || c >= columns) return;
  float total = 0;
#pragma unroll
  for (int r = 0; r < rows; ++r) total += shared[r * 2 * width + thread];
  to[thread / width * O + c] = total;
}

// From shared memory to the pixels of the tile's outputs (write_places) and the columns from
// `column` on. A thread takes 8 columns of 8 outputs, of which it fetches what it needs for 4 at a
// time.
template <int kN, class Epilogue>
__device__ __forceinline__ void store_outputs(const Epilogue& epilogue, const Window& w,
                                              const int* pixels, bf16* shared, int column,
                                              bf16* out) {
  constexpr int rows = kBlock / kN, at_once = 4;
  const int c = int(threadIdx.x) % kN * 8, row = int(threadIdx.x) / kN;
  const bool has_columns = column + c < w.O;
  const auto rounded = [&](int n) {
    return *reinterpret_cast<const Eight*>(shared + n * (kN * 8 + kGap) + c);
  };
  const typename Epilogue::Columns columns = epilogue.columns(has_columns ? column + c : 0);
  EightFloats sums[2] = {0, 0};
#pragma unroll 1
  for (int i = row; i < 8 * rows; i += at_once * rows) {
    int64_t at[at_once];  // -1: there is no such output
    typename Epilogue::Fetched fetched[at_once];
#pragma unroll
    for (int n = 0; n < at_once; ++n) {
      const int pixel = has_columns ? pixels[i + n * rows] : -1;
      at[n] = pixel < 0 ? -1 : int64_t(pixel) * w.O + column + c;
      if (at[n] >= 0) fetched[n] = epilogue.fetch(at[n]);
    }
#pragma unroll
    for (int n = 0; n < at_once; ++n)
      if (at[n] >= 0)
        *reinterpret_cast<Eight*>(out + at[n]) =
            epilogue(columns, fetched[n], at[n], rounded(i + n * rows), sums);
  }
  if constexpr (Epilogue::has_sums)
    leave_sums<kN>(sums, reinterpret_cast<float*>(shared), w.O - column, w.O,
                   epilogue.tile_sums + int64_t(blockIdx.x) * 2 * w.O + column);
}

// sums (2, O) of what the tiles left.
template <int N>
struct SumsOfTile {
  const float* tile_sums;
  int O;
  __device__ void operator()(int64_t tile, int64_t c, cuda::Values<double, N> (&sums)[2]) const {
#pragma unroll
    for (int k = 0; k < 2; ++k)
      sums[k] += cuda::Values<double, N>(cuda::load<N>(tile_sums + (tile * 2 + k) * O + c));
  }
};
inline void join_sums(const float* tile_sums, int64_t tiles, int O, double* sums) {
  constexpr int N = 2;
  cuda::column_sums<2, N, double>("join_sums", SumsOfTile<N>{tile_sums, O}, {{sums, sums + O}},
                                  tiles, O);
}

// sums (2, C) of n numbers and of their squares -> moments (2 C + 1): means, squares around them,
// n. Of the latter, a difference, double loses 2^-53 (mean / deviation)^2. Thread: column.
static __global__ void moments_of_sums_kernel(const double* sums, double* moments, double n,
                                              int C) {
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= C) return;
  const double mean = sums[c] / n;
  moments[c] = mean;
  moments[C + c] = fmax(0., sums[C + c] - sums[c] * mean);
  if (c == 0) moments[2 * C] = n;
}
inline void join_moments(const float* tile_sums, int64_t tiles, const Window& w, double* moments) {
  const Storage storage(size_t(2 * w.O) * sizeof(double), Device::cuda);
  double* const sums = static_cast<double*>(storage.data());
  join_sums(tile_sums, tiles, w.O, sums);
  cuda::launch("moments_of_sums", moments_of_sums_kernel, dim3(unsigned(cuda::blocks_for(w.O))),
               dim3(cuda::kThreads), 0, static_cast<const double*>(sums), moments,
               double(w.B) * w.y.out * w.x.out, w.O);
}

}  // namespace rmt::gpu::convolution

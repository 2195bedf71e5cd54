// Fourth tour: a CUDA kernel, three times. y_r = sum_c x_rc for a matrix x (R, C), row by row in
// memory. All three versions do the same additions; they differ in which thread reads what, and
// when. On a GPU that decides the speed, for this kernel does one addition for every four bytes.
//
//   build/bin/tour_cuda_kernel        without a GPU: on the emulated one, with its transactions
#include <algorithm>
#include <cstdio>
#include <vector>

#include "core/cuda/device.h"
#include "core/cuda/launch.h"
#include "core/cuda/warp.cuh"
#include "core/tensor.h"
#include "examples/tours/transactions.h"

namespace rmt {
namespace {

// 1. Naive: a thread to each row. At every turn of the loop the 32 threads of a warp read one
//    column of 32 rows: addresses that lie C floats apart.
//
//      thread 0   x x x x x x x x ...      turn 0 reads the first column: 32 sectors,
//      thread 1   x x x x x x x x ...      of whose 8 floats one is used
//      thread 2   x x x x x x x x ...
template <class Read>
__global__ void sum_rows_naive(const float* x, float* y, int R, int C, Read read) {
  const int r = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (r >= R) return;
  float sum = 0;
  for (int c = 0; c < C; ++c) sum += read(x + r * C + c);
  y[r] = sum;
}

// 2. Coalesced: a warp to each row. At every turn its 32 lanes read 32 neighbours, 4 sectors, every
//    byte of which is used. Each lane then holds a part of the sum; five exchanges add the parts.
template <class Read>
__global__ void sum_rows_coalesced(const float* x, float* y, int R, int C, Read read) {
  const int lane = int(threadIdx.x) % 32;
  const int r = int(blockIdx.x * blockDim.x + threadIdx.x) / 32;
  if (r >= R) return;  // for all lanes of a warp alike
  float sum = 0;
  for (int c = lane; c < C; c += 32) sum += read(x + r * C + c);
  sum = cuda::warp_sum(sum);
  if (lane == 0) y[r] = sum;
}

// 3. Through shared memory: a thread to each row again, but the warp first brings a tile of 32 x 32
//    numbers into the block's shared memory, reading along the rows; then every thread walks along
//    its own row of the tile. How memory is read and how numbers are added are now two choices.
//    The rows of the tile are 33 floats long: with 32 the threads would all stand in the same bank
//    of shared memory, and it would serve them one after the other.
template <class Read>
__global__ void sum_rows_shared(const float* x, float* y, int R, int C, Read read) {
  SHARED(float, tile, 32 * 33);
  const int lane = int(threadIdx.x);
  const int first_row = int(blockIdx.x) * 32;
  float sum = 0;
  for (int c0 = 0; c0 < C; c0 += 32) {
    for (int i = 0; i < 32; ++i) {
      const bool inside = first_row + i < R && c0 + lane < C;
      tile[i * 33 + lane] = inside ? read(x + (first_row + i) * C + c0 + lane) : 0.f;
    }
    __syncthreads();  // the tile is whole
    for (int j = 0; j < 32; ++j) sum += tile[lane * 33 + j];
    __syncthreads();  // nobody reads it any more
  }
  if (first_row + lane < R) y[first_row + lane] = sum;
}

constexpr int R = 128;
constexpr int C = 256;

template <class Read>
void run(int version, const Tensor& x, const Tensor& y, Read read) {
  const float* in = static_cast<const float*>(x.raw());
  float* out = static_cast<float*>(y.raw());
  if (version == 1)
    cuda::launch("naive", sum_rows_naive<Read>, dim3((R + 31) / 32), dim3(32), 0, in, out, R, C,
                 read);
  if (version == 2)
    cuda::launch("coalesced", sum_rows_coalesced<Read>, dim3((R + 7) / 8), dim3(256), 0, in, out, R,
                 C, read);
  if (version == 3)
    cuda::launch("shared", sum_rows_shared<Read>, dim3((R + 31) / 32), dim3(32), 0, in, out, R, C,
                 read);
}

// The largest difference from the sums that the host adds up in double.
double worst_error(const Tensor& x, const Tensor& y) {
  const std::vector<float> sums = y.to_vector<float>();
  const std::vector<float> values = x.to_vector<float>();
  double worst = 0;
  for (int r = 0; r < R; ++r) {
    double sum = 0;
    for (int c = 0; c < C; ++c) sum += double(values[r * C + c]);
    worst = std::max(worst, std::abs(sum - double(sums[r])));
  }
  return worst;
}

int tour() {
  if (!cuda::emulated() && !cuda::available()) {
    std::printf("no GPU (%s); build without CUDA=1 to emulate one\n", cuda::why_not().c_str());
    return 0;
  }
  Tensor host = Tensor::empty({R, C});
  for (int i = 0; i < R * C; ++i) host.data<float>()[i] = float(i % 97) / 97 - 0.5f;
  const Tensor x = host.to(Device::cuda);
  const char* names[] = {"", "naive", "coalesced", "through shared memory"};
  std::printf("sums of the rows of a %d x %d matrix, %d sectors of 32 bytes\n", R, C, R * C / 8);

  bool as_claimed = true;
  for (int version = 1; version <= 3; ++version) {
    const Tensor y = Tensor::zeros({R}, DType::f32, Device::cuda);
#ifdef __CUDACC__
    run(version, x, y, Plain());
    cuda::synchronize();
    const double worst = worst_error(host, y);
    std::printf("%-22s largest error %.1e\n", names[version], worst);
#else
    Transactions transactions;
    run(version, x, y, Counting{&transactions});
    cuda::synchronize();
    const double worst = worst_error(host, y);
    const int64_t sectors = transactions.sectors();
    std::printf("%-22s largest error %.1e  %5lld sectors in %lld accesses, %.0f each\n",
                names[version], worst, static_cast<long long>(sectors),
                static_cast<long long>(transactions.accesses()),
                double(sectors) / double(transactions.accesses()));
    const int64_t least = R * C / 8;
    as_claimed = as_claimed && sectors == (version == 1 ? 8 * least : least);
#endif
    // 256 additions of numbers below 1/2, whose partial sums stay below 64: each is rounded by at
    // most 2^-19.
    as_claimed = as_claimed && worst < 256 * 0x1p-19;
  }
  if (!as_claimed) std::printf("these are not the sums or the counts that the tour promises\n");
  return as_claimed ? 0 : 1;
}

}  // namespace
}  // namespace rmt

int main() { return rmt::tour(); }

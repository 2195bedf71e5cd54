// The way from launch() to a kernel, on a GPU or emulated: blocks and threads, arguments, shared
// memory, what is refused.
#include <bit>
#include <string>

#include "core/cuda/device.h"
#include "tests/core/cuda/array.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

using KernelLaunch = OnDevice;

__global__ void where(int* x) {
  const int block = int(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
  const int thread = int(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
  x[block * int(blockDim.x * blockDim.y * blockDim.z) + thread] += 1 + thread + 1000 * block;
}

TEST_F(KernelLaunch, EveryThreadOfEveryBlockRunsOnce) {
  Array<int> x(std::vector<int>(24 * 30, 0));
  launch("where", where, dim3(2, 3, 4), dim3(5, 3, 2), 0, x.p);
  const std::vector<int> y = x.read();
  for (int i = 0; i < 24 * 30; ++i) ASSERT_EQ(y[size_t(i)], 1 + i % 30 + 1000 * (i / 30));
}

struct Three {
  double a;
  int8_t b;
  int64_t c;
};

__global__ void tells(double* y, int i, unsigned u, int64_t n, float f, bool b, Three three,
                      const float* x) {
  y[0] = i;
  y[1] = u;
  y[2] = double(n);
  y[3] = double(f);
  y[4] = b;
  y[5] = three.a;
  y[6] = three.b;
  y[7] = double(three.c);
  y[8] = x ? double(x[1]) : -1;
}

TEST_F(KernelLaunch, ArgumentsKeepTheirValue) {
  Array<double> y(9);
  Array<float> x(std::vector<float>{3, 4});
  const Three three{0.5, -3, int64_t(1) << 40};
  // Each as another type than the parameter's.
  launch("tells", tells, dim3(1), dim3(1), 0, y.p, int64_t(-7), int64_t(0xffffffff), 5, 1.5, 1,
         three, x.p);
  EXPECT_EQ(y.read(), (std::vector<double>{-7, 0xffffffff, 5, 1.5, 1, 0.5, -3, 0x1p40, 4}));
  launch("tells", tells, dim3(1), dim3(1), 0, y.p, 0, 0u, int64_t(1) << 33, 0, false, three,
         nullptr);
  EXPECT_EQ(y.read()[2], 0x1p33);
  EXPECT_EQ(y.read()[8], -1);
  auto refused = [&](int64_t i, int64_t u, const std::string& value) {
    expect_error(
        [&] { launch("tells", tells, dim3(1), dim3(1), 0, y.p, i, u, 0, 0, false, three, x.p); },
        {"tells", value, "4 bytes"});
  };
  refused(int64_t(1) << 31, 0, "2147483648");
  refused((int64_t(1) << 32) + 5, 0, "4294967301");
  refused(0, -1, "-1");
  refused(0, int64_t(1) << 32, "4294967296");
}

// y = x backwards, through n numbers of dynamic and 64 of static shared memory.
__global__ void reverse(const float* x, float* y, int n, int* ok) {
  DYNAMIC_SHARED(float, s);
  SHARED(float, fixed, 64);
  for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) s[i] = x[i];
  if (threadIdx.x < 64) fixed[threadIdx.x] = -1;
  if (threadIdx.x == 0)
    *ok = reinterpret_cast<uintptr_t>(s) % 16 == 0 && reinterpret_cast<uintptr_t>(fixed) % 16 == 0;
  __syncthreads();
  for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) y[i] = s[n - 1 - i];
}

// 48 KiB are there for every kernel, static arrays and dynamic part together; start() asks for
// more, and every GPU from sm_80 on has 99 KiB.
TEST_F(KernelLaunch, SharedMemoryBeyond48KiB) {
  const std::vector<float> x = ramp(24 << 10);
  Array<float> dx(x);
  for (int kib : {1, 47, 48, 60, 96, 1}) {
    const int n = kib * 256;
    Array<float> dy(static_cast<size_t>(n));
    Array<int> ok(1);
    launch("reverse", reverse, dim3(1), dim3(256), size_t(kib) << 10, dx.p, dy.p, n, ok.p);
    const std::vector<float> y = dy.read();
    for (int i = 0; i < n; ++i)
      ASSERT_EQ(y[size_t(i)], x[size_t(n - 1 - i)]) << kib << " KiB, " << i;
    EXPECT_EQ(ok.read()[0], 1) << "shared memory is not aligned";
  }
}

TEST_F(KernelLaunch, WhatCudaRefusesIsAnErrorAndTheNextLaunchRuns) {
  Array<int> x(std::vector<int>(64, 0));
  auto refused = [&](dim3 grid, dim3 block, size_t shared, const std::string& part) {
    expect_error([&] { launch("where", where, grid, block, shared, x.p); }, {"kernel where", part});
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  };
  refused(dim3(0), dim3(32), 0, "grid (0, 1, 1)");
  refused(dim3(1), dim3(32, 0), 0, "block (32, 0, 1)");
  refused(dim3(1), dim3(1025), 0, "block (1025, 1, 1)");
  refused(dim3(1), dim3(64, 32), 0, "block (64, 32, 1)");
  refused(dim3(1, 65536), dim3(1), 0, "grid (1, 65536, 1)");
  refused(dim3(1), dim3(1), size_t(1) << 20, "1048576 bytes");
  launch("where", where, dim3(1), dim3(64), 0, x.p);
  EXPECT_EQ(x.read()[63], 64);
}

// --- bf16 in a kernel ---

__global__ void round_numbers(const float* x, uint16_t* y, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) y[i] = bf16(x[i]).bits;
}
__global__ void widen_numbers(float* y) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  bf16 x;
  x.bits = uint16_t(i);
  y[i] = float(x);
}

// Rounding is monotonous, so it is right everywhere when it is right at every bf16, half-way
// between every two neighbours, and on both sides next to that. The host's conversion is the
// definition.
TEST_F(KernelLaunch, Bf16IsConvertedAsOnTheHost) {
  std::vector<float> x;
  for (uint32_t h = 0; h <= 0xffff; ++h) {
    const uint32_t middle = h << 16 | 0x8000;
    for (uint32_t bits : {h << 16, middle - 1, middle, middle + 1})
      x.push_back(std::bit_cast<float>(bits));
  }
  const int n = int(x.size());
  Array<float> dx(x), widened(1 << 16);
  Array<uint16_t> dy(x.size());
  launch("round_numbers", round_numbers, dim3(unsigned(n) / 256), dim3(256), 0, dx.p, dy.p, n);
  launch("widen_numbers", widen_numbers, dim3(256), dim3(256), 0, widened.p);
  const std::vector<uint16_t> y = dy.read();
  const std::vector<float> wide = widened.read();
  int wrong = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool is_nan = x[i] != x[i], stays_nan = (y[i] & 0x7fff) > 0x7f80;
    wrong += is_nan ? !stays_nan : y[i] != bf16(x[i]).bits;
  }
  for (uint32_t h = 0; h <= 0xffff; ++h) wrong += std::bit_cast<uint32_t>(wide[h]) != h << 16;
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace rmt::test

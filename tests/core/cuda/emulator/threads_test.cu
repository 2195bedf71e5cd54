// The emulated device's launches, threads and barriers against their promises. Each planted bug has
// a correct twin, which passes.
#ifndef __CUDACC__
#include "tests/core/cuda/emulated.h"

namespace rmt::test {
namespace {

__global__ void where(int* x) {
  const int block = int(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
  const int thread = int(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
  x[block * int(blockDim.x * blockDim.y * blockDim.z) + thread] += 1 + thread + 1000 * block;
}

TEST(Emulator, EveryThreadOfEveryBlockRunsOnceInAllOrders) {
  Restore restore;
  for (Order order : emulator::kOrders) {
    settings().order = order;
    Array<int> x(std::vector<int>(24 * 30, 0));
    launch("where", where, dim3(2, 3, 4), dim3(5, 3, 2), 0, x.p);
    std::vector<int> y = x.read();
    for (int i = 0; i < 24 * 30; ++i) ASSERT_EQ(y[i], 1 + i % 30 + 1000 * (i / 30)) << int(order);
  }
}

TEST(Emulator, AThreadThatDoesNotBlockCostsACall) {
  Array<int> x(std::vector<int>(4096, 0));
  const int64_t before = emulator::counters().switches;
  launch("where", where, dim3(4), dim3(1024), 0, x.p);
  x.read();
  EXPECT_LE(emulator::counters().switches - before, 8);
}

TEST(Emulator, LaunchesThatCudaRefuses) {
  Array<int> x(1);
  auto refused = [&](dim3 grid, dim3 block, size_t shared, const std::string& why) {
    expect_error([&] { launch("where", where, grid, block, shared, x.p); }, {"where", why});
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  };
  refused(dim3(0), dim3(32), 0, "invalid configuration");
  refused(dim3(1), dim3(32, 0), 0, "invalid configuration");
  refused(dim3(1), dim3(1025), 0, "invalid configuration");
  refused(dim3(1), dim3(64, 32), 0, "invalid configuration");
  refused(dim3(1), dim3(1, 1, 65), 0, "invalid configuration");
  refused(dim3(1, 65536), dim3(1), 0, "invalid configuration");
  refused(dim3(1, 1, 65536), dim3(1), 0, "invalid configuration");
  refused(dim3(1), dim3(1), (227 << 10) + 1, "invalid argument");
  int on_host = 0;
  expect_error([&] { launch("where", where, dim3(1), dim3(1), 0, &on_host); },
               {"where", "argument 0", "neither"});
}

__global__ void throws(const int* x) {
  __syncthreads();
  if (threadIdx.x == 3) throw Error("three");
  if (threadIdx.x == 4 && *x) __trap();
}

TEST(Emulator, ErrorsInKernelsReachTheHostAndTheDeviceLivesOn) {
  for (int i = 0; i < 3; ++i) {
    Array<int> x(std::vector<int>{1});
    expect_error(
        [&] {
          launch("throws", throws, dim3(2), dim3(64), 0, x.p);
          wait();
        },
        {"kernel throws", "block (0, 0, 0)", "thread (3, 0, 0)", "three"});
    Array<int> y(std::vector<int>(64, 0));
    launch("where", where, dim3(1), dim3(64), 0, y.p);
    EXPECT_EQ(y.read()[63], 64);
  }
}

// --- barriers ---

// y = sum x + sum x^2 over the block, the same scratch used twice.
template <bool after_write, bool before_reuse>
__global__ void two_sums(const float* x, float* y) {
  SHARED(float, part, 32);
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x), lane = int(threadIdx.x) % 32,
            warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  float s = x[i], s2 = x[i] * x[i], total = 0;
  for (int step = 16; step; step /= 2) s += __shfl_xor_sync(kAll, s, step);
  if (lane == 0) part[warp] = s;
  if (after_write) __syncthreads();
  for (int w = 0; w < warps; ++w) total += part[w];
  if (before_reuse) __syncthreads();
  for (int step = 16; step; step /= 2) s2 += __shfl_xor_sync(kAll, s2, step);
  if (lane == 0) part[warp] = s2;
  __syncthreads();
  for (int w = 0; w < warps; ++w) total += part[w];
  y[i] = total;
}

// For each order: do the bits differ from those of the first?
template <class Kernel>
std::vector<bool> orders_that_differ(Kernel kernel) {
  Restore restore;
  Array<float> x(ramp(512));
  std::vector<std::vector<float>> results;
  std::vector<bool> differ;
  for (Order order : emulator::kOrders) {
    settings().order = order;
    Array<float> y(512);
    launch("two_sums", kernel, dim3(4), dim3(128), 0, x.p, y.p);
    results.push_back(y.read());
    differ.push_back(std::memcmp(results.back().data(), results[0].data(), 512 * sizeof(float)) !=
                     0);
  }
  return differ;
}

TEST(Emulator, TheFiveOrdersFindMissingBarriers) {
  EXPECT_EQ(orders_that_differ(two_sums<true, true>), std::vector<bool>(5, false));
  // Read before the write: shows between any two orders in which the warps come differently.
  std::vector<bool> differ = orders_that_differ(two_sums<false, true>);
  EXPECT_TRUE(differ[int(Order::fair_reverse)] && differ[int(Order::greedy_descending)]);
  // Overwritten before the read: only warps that run ahead show it.
  differ = orders_that_differ(two_sums<true, false>);
  EXPECT_FALSE(differ[int(Order::fair_reverse)]);
  EXPECT_TRUE(differ[int(Order::greedy_ascending)] && differ[int(Order::greedy_descending)]);
}

TEST(Emulator, BarriersAndShufflesComputeTheSums) {
  std::vector<float> values = ramp(256);
  Array<float> x(values), y(256);
  launch("two_sums", two_sums<true, true>, dim3(2), dim3(128), 0, x.p, y.p);
  std::vector<float> result = y.read();
  for (int b = 0; b < 2; ++b) {
    float expected = 0;
    for (int i = 0; i < 128; ++i)
      expected += values[b * 128 + i] + values[b * 128 + i] * values[b * 128 + i];
    for (int i = 0; i < 128; ++i)
      ASSERT_EQ(result[b * 128 + i], expected);  // integers: exact in any order
  }
}

constexpr int kBranchLine = __LINE__ + 3;
__global__ void branches(int limit) {
  if (int(threadIdx.x) < limit) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

constexpr int kExitLine = __LINE__ + 3;
__global__ void exits(int limit) {
  if (int(threadIdx.x) >= limit) return;
  __syncthreads();
}

TEST(Emulator, DivergentBarriersAreReported) {
  Restore restore;
  for (Order order : emulator::kOrders) {
    settings().order = order;
    launch("branches", branches, dim3(1), dim3(64), 0, 64);
    expect_error(
        [] {
          launch("branches", branches, dim3(3), dim3(64), 0, 40);
          wait();
        },
        {"kernel branches", "divergent barrier",
         "40 threads in __syncthreads at " + here(kBranchLine), "(3, 0, 0) ...",
         "24 threads in __syncthreads at " + here(kBranchLine + 2), "(43, 0, 0) ..."});
    launch("exits", exits, dim3(1), dim3(64), 0, 64);
    expect_error(
        [] {
          launch("exits", exits, dim3(1), dim3(64), 0, 63);
          wait();
        },
        {"kernel exits", "block (0, 0, 0)", "divergent barrier",
         "63 threads in __syncthreads at " + here(kExitLine), "1 thread exited: (63, 0, 0)"});
  }
}

constexpr int kDeadlockLine = __LINE__ + 3;
__global__ void deadlock(bool bug) {
  if (threadIdx.x < 32) {
    if (threadIdx.x < 31 || !bug) __syncwarp();
  }
  __syncthreads();
}

TEST(Emulator, DeadlocksAreReported) {
  launch("deadlock", deadlock, dim3(1), dim3(64), 0, false);
  expect_error(
      [] {
        launch("deadlock", deadlock, dim3(1), dim3(64), 0, true);
        wait();
      },
      {"kernel deadlock", "block (0, 0, 0)", "deadlock",
       "31 threads in __syncwarp at " + here(kDeadlockLine), "mask 0xffffffff",
       "33 threads in __syncthreads at " + here(kDeadlockLine + 2) + ": (31, 0, 0) (32, 0, 0)"});
}

__global__ void votes_of_block(const int* x, int* count, int* any, int* all) {
  const int i = int(threadIdx.x);
  count[i] = __syncthreads_count(x[i]);
  any[i] = __syncthreads_or(x[i]) != 0;
  all[i] = __syncthreads_and(x[i]) != 0;
}

TEST(Emulator, BarriersThatCount) {
  for (int holds : {0, 1, 77, 100}) {
    std::vector<int> x(100, 0);
    for (int i = 0; i < holds; ++i) x[(i * 37) % 100] = i + 1;
    Array<int> dx(x), count(100), any(100), all(100);
    launch("votes", votes_of_block, dim3(1), dim3(100), 0, dx.p, count.p, any.p, all.p);
    EXPECT_EQ(count.read(), std::vector<int>(100, holds));
    EXPECT_EQ(any.read(), std::vector<int>(100, holds > 0));
    EXPECT_EQ(all.read(), std::vector<int>(100, holds == 100));
  }
}

}  // namespace
}  // namespace rmt::test
#endif

// The emulated device against its own promises. Each planted bug has a correct twin, which passes.
#ifndef __CUDACC__
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "core/cuda/launch.h"

namespace rmt {
namespace {

using cuda::check;
using cuda::launch;
using cuda::stream;
using emulator::Order;
using emulator::settings;

constexpr unsigned kAll = 0xffffffffu;

// Settings as they were, at the end of the scope.
struct Restore {
  emulator::Settings before = settings();
  ~Restore() { settings() = before; }
};

template <class T>
class Array {  // on the device
 public:
  explicit Array(size_t n) : n_(n) { check(cudaMalloc(&p, n * sizeof(T)), "cudaMalloc"); }
  explicit Array(const std::vector<T>& values) : Array(values.size()) { write(values); }
  Array(const Array&) = delete;
  ~Array() { cudaFree(p); }
  void write(const std::vector<T>& values) {
    check(cudaMemcpy(p, values.data(), n_ * sizeof(T), cudaMemcpyHostToDevice), "write");
  }
  std::vector<T> read() const {
    std::vector<T> values(n_);
    check(cudaStreamSynchronize(stream()), "read");
    check(cudaMemcpy(values.data(), p, n_ * sizeof(T), cudaMemcpyDeviceToHost), "read");
    return values;
  }
  T* p = nullptr;

 private:
  size_t n_;
};

std::vector<float> ramp(size_t n) {
  std::vector<float> x(n);
  for (size_t i = 0; i < n; ++i) x[i] = float(i * i % 101) - 50;
  return x;
}

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

void expect_error(const std::function<void()>& f, const std::vector<std::string>& parts) {
  const std::string text = error_of(f);
  EXPECT_NE(text, "") << "no error was thrown";
  for (const std::string& part : parts)
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in: " << text;
}

std::string here(int line) { return std::string(__FILE__) + ":" + std::to_string(line); }

// --- threads and blocks ---

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

__global__ void takes_int(int, float) {}

TEST(Emulator, ArgumentsKeepTheirValue) {
  launch("takes_int", takes_int, dim3(1), dim3(1), 0, int64_t(7), 1.5);
  expect_error([] { launch("takes_int", takes_int, dim3(1), dim3(1), 0, int64_t(1) << 31, 1.5); },
               {"takes_int", "2147483648", "4 bytes"});
  expect_error(
      [] { launch("takes_int", takes_int, dim3(1), dim3(1), 0, (int64_t(1) << 32) + 5, 1.5); },
      {"takes_int", "4294967301"});
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
          launch("throws", throws, dim3(2), dim3(64), 0, x.p),
              check(cudaStreamSynchronize(stream()), "");
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
          launch("branches", branches, dim3(3), dim3(64), 0, 40),
              check(cudaStreamSynchronize(stream()), "");
        },
        {"kernel branches", "divergent barrier",
         "40 threads in __syncthreads at " + here(kBranchLine), "(3, 0, 0) ...",
         "24 threads in __syncthreads at " + here(kBranchLine + 2), "(43, 0, 0) ..."});
    launch("exits", exits, dim3(1), dim3(64), 0, 64);
    expect_error(
        [] {
          launch("exits", exits, dim3(1), dim3(64), 0, 63),
              check(cudaStreamSynchronize(stream()), "");
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
        launch("deadlock", deadlock, dim3(1), dim3(64), 0, true),
            check(cudaStreamSynchronize(stream()), "");
      },
      {"kernel deadlock", "block (0, 0, 0)", "deadlock",
       "31 threads in __syncwarp at " + here(kDeadlockLine), "mask 0xffffffff",
       "33 threads in __syncthreads at " + here(kDeadlockLine + 2) + ": (31, 0, 0) (32, 0, 0)"});
}

__global__ void votes_of_block(const int* x, int* count, int* any, int* all) {
  const int i = int(threadIdx.x), c = __syncthreads_count(x[i]), o = __syncthreads_or(x[i]),
            a = __syncthreads_and(x[i]);
  count[i] = c, any[i] = o != 0, all[i] = a != 0;
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

// --- warps ---

template <class T>
__global__ void shuffles(const T* x, T* y, int width, int k) {
  const int i = int(threadIdx.x), n = int(blockDim.x);
  y[i] = __shfl_sync(kAll, x[i], k, width);
  y[i + n] = __shfl_up_sync(kAll, x[i], unsigned(k), width);
  y[i + 2 * n] = __shfl_down_sync(kAll, x[i], unsigned(k), width);
  y[i + 3 * n] = __shfl_xor_sync(kAll, x[i], k, width);
}

template <class T>
void check_shuffles() {
  std::vector<T> x(64);
  for (int i = 0; i < 64; ++i) x[i] = T(i * 3 + 1);
  Array<T> dx(x), dy(4 * 64);
  for (int width : {1, 2, 4, 8, 16, 32})
    for (int k : {0, 1, 2, 3, 5, 8, 16, 31}) {
      launch("shuffles", shuffles<T>, dim3(1), dim3(64), 0, dx.p, dy.p, width, k);
      std::vector<T> y = dy.read();
      for (int i = 0; i < 64; ++i) {
        const int begin = i / width * width, end = begin + width;  // of the segment
        ASSERT_EQ(y[i], x[begin + k % width]);
        ASSERT_EQ(y[i + 64], x[i - k >= begin ? i - k : i]) << i << " up " << k << " in " << width;
        ASSERT_EQ(y[i + 128], x[i + k < end ? i + k : i]) << i << " down " << k << " in " << width;
        ASSERT_EQ(y[i + 192], x[(i ^ k) < end ? i ^ k : i]) << i << " xor " << k << " in " << width;
      }
    }
}

TEST(Emulator, Shuffles) {
  check_shuffles<int>();
  check_shuffles<float>();
  check_shuffles<double>();
  check_shuffles<int64_t>();
}

__global__ void odd_width(float* x) { x[threadIdx.x] = __shfl_xor_sync(kAll, 1.0f, 1, 12); }

__global__ void votes(const int* x, unsigned* y, int* z) {
  const int i = int(threadIdx.x), n = int(blockDim.x);
  const unsigned half = i % 32 < 16 ? 0xffffu : 0xffff0000u;
  y[i] = __ballot_sync(kAll, x[i] & 1);
  y[i + n] = __ballot_sync(half, x[i] & 1);  // two disjoint masks at a time
  y[i + 2 * n] = unsigned(__any_sync(half, x[i] > 90));
  y[i + 3 * n] = unsigned(__all_sync(half, x[i] > 3));
  z[i] = __reduce_add_sync(half, x[i]);
  z[i + n] = __reduce_min_sync(half, x[i]);
  z[i + 2 * n] = __reduce_max_sync(half, x[i]);
}

TEST(Emulator, VotesAndReductions) {
  Restore restore;
  std::vector<int> x(64);
  for (int i = 0; i < 64; ++i) x[i] = i * i % 97 + 3 * (i > 40) - (i == 20) * 50;
  Array<int> dx(x), dz(3 * 64);
  Array<unsigned> dy(4 * 64);
  for (Order order : emulator::kOrders) {
    settings().order = order;
    launch("votes", votes, dim3(1), dim3(64), 0, dx.p, dy.p, dz.p);
    std::vector<unsigned> y = dy.read();
    std::vector<int> z = dz.read();
    for (int i = 0; i < 64; ++i) {
      unsigned ballot = 0, any = 0, all = 1;
      int sum = 0, least = x[i], most = x[i];
      for (int j = i / 32 * 32; j < i / 32 * 32 + 32; ++j) {
        ballot |= unsigned(x[j] & 1) << (j % 32);
        if (j / 16 != i / 16) continue;
        any |= x[j] > 90, all &= x[j] > 3, sum += x[j], least = std::min(least, x[j]),
                                                        most = std::max(most, x[j]);
      }
      ASSERT_EQ(y[i], ballot);
      ASSERT_EQ(y[i + 64], ballot & (i % 32 < 16 ? 0xffffu : 0xffff0000u));
      ASSERT_EQ(y[i + 128], any);
      ASSERT_EQ(y[i + 192], all);
      ASSERT_EQ(z[i], sum);
      ASSERT_EQ(z[i + 64], least);
      ASSERT_EQ(z[i + 128], most);
    }
  }
}

// Lanes 0 and 1 meet first with a mask of their own, while the others already wait for all.
__global__ void nested_masks(unsigned* y) {
  unsigned v = 0;
  if (threadIdx.x < 2) v = __ballot_sync(3u, 1);
  y[threadIdx.x] = v + __ballot_sync(kAll, 1);
}

__global__ void partial_warp(float* y) {
  y[threadIdx.x] = __shfl_down_sync(kAll, float(threadIdx.x), 8);
}

__global__ void leaves_early(unsigned* y) {
  if (threadIdx.x >= 20) return;
  y[threadIdx.x] = __ballot_sync(kAll, 1);
}

TEST(Emulator, MasksMayNameLanesThatAreNotThere) {
  Restore restore;
  for (Order order : emulator::kOrders) {
    settings().order = order;
    Array<unsigned> y(std::vector<unsigned>(32, 0));
    launch("nested", nested_masks, dim3(1), dim3(32), 0, y.p);
    EXPECT_EQ(y.read()[1], kAll + 3);
    EXPECT_EQ(y.read()[31], kAll);
    launch("leaves", leaves_early, dim3(1), dim3(32), 0, y.p);
    EXPECT_EQ(y.read()[0], (1u << 20) - 1);
    Array<float> z(20);
    launch("partial", partial_warp, dim3(1), dim3(20), 0, z.p);
    EXPECT_EQ(z.read()[11], 19);
    EXPECT_TRUE(std::isnan(z.read()[12]));  // of a lane that does not exist
  }
}

__global__ void not_in_mask(float* x) { x[threadIdx.x] = __shfl_xor_sync(0xfffffffeu, 1.0f, 1); }

constexpr int kMaskLine = __LINE__ + 2;
__global__ void other_mask(float* x) {
  const float a =
      threadIdx.x < 16 ? __shfl_xor_sync(kAll, 1.0f, 1) : __shfl_xor_sync(0xffff8000u, 1.0f, 1);
  x[threadIdx.x] = a;
}

__global__ void other_call(unsigned* x) {
  if (threadIdx.x < 16)
    x[threadIdx.x] = __ballot_sync(kAll, 1);
  else
    x[threadIdx.x] = unsigned(__any_sync(kAll, 1));
}

TEST(Emulator, WrongMasksAreReported) {
  Array<float> x(32);
  Array<unsigned> y(32);
  auto wait = [] { check(cudaStreamSynchronize(stream()), ""); };
  expect_error([&] { launch("not_in_mask", not_in_mask, dim3(1), dim3(32), 0, x.p), wait(); },
               {"__shfl_xor_sync", "lane 0", "not in its own mask 0xfffffffe"});
  expect_error(
      [&] { launch("other_mask", other_mask, dim3(1), dim3(32), 0, x.p), wait(); },
      {"kernel other_mask", "0xffffffff", "0xffff8000", "different calls", here(kMaskLine)});
  expect_error([&] { launch("other_call", other_call, dim3(1), dim3(32), 0, y.p), wait(); },
               {"__any_sync", "__ballot_sync", "different calls"});
  expect_error([&] { launch("odd_width", odd_width, dim3(1), dim3(32), 0, x.p), wait(); },
               {"width 12"});
}

// --- shared memory ---

template <class T, int n>
__device__ T* scratch() {
  SHARED(T, s, n);
  return s;
}

__global__ void separate_arrays(int* ok) {
  int* a = scratch<int, 8>();
  int* b = scratch<int, 16>();
  float* c = scratch<float, 8>();
  DYNAMIC_SHARED(char, d);
  if (threadIdx.x == 0) {
    for (int i = 0; i < 8; ++i) a[i] = 1, b[i] = 2, b[i + 8] = 2, c[i] = 3, d[i] = 4;
  }
  __syncthreads();
  const bool same =
      a[threadIdx.x] == 1 && b[threadIdx.x + 8] == 2 && c[threadIdx.x] == 3 && d[threadIdx.x] == 4;
  ok[threadIdx.x] =
      same && scratch<int, 8>() == a && uintptr_t(a) % 16 == 0 && uintptr_t(d) % 128 == 0;
}

TEST(Emulator, SharedArraysAreOneForTheBlock) {
  Array<int> ok(8);
  launch("separate", separate_arrays, dim3(2), dim3(8), 8, ok.p);
  EXPECT_EQ(ok.read(), std::vector<int>(8, 1));
}

template <class T>
__global__ void reads_fresh(T* y, bool bug) {
  SHARED(T, s, 32);
  DYNAMIC_SHARED(T, d);
  if (!bug) s[threadIdx.x] = d[threadIdx.x] = 0;
  y[threadIdx.x] = s[threadIdx.x] + d[threadIdx.x];
  s[threadIdx.x] = d[threadIdx.x] = 1;  // the next block must not find it
}

TEST(Emulator, FreshMemoryIsNaN) {
  Array<float> y(32);
  Array<double> z(32);
  launch("reads_fresh", reads_fresh<float>, dim3(3), dim3(32), 128, y.p, false);
  EXPECT_EQ(y.read(), std::vector<float>(32, 0));
  launch("reads_fresh", reads_fresh<float>, dim3(3), dim3(32), 128, y.p, true);
  for (float v : y.read()) EXPECT_TRUE(std::isnan(v));
  launch("reads_fresh", reads_fresh<double>, dim3(3), dim3(32), 256, z.p, true);
  for (double v : z.read()) EXPECT_TRUE(std::isnan(v));
  { Array<float> old(std::vector<float>(100, 1)); }
  for (float v : Array<float>(100).read()) EXPECT_TRUE(std::isnan(v));  // though it was used before
}

template <int bytes>
__global__ void large_static() {
  SHARED(char, s, bytes);
  s[threadIdx.x] = 1;
}

TEST(Emulator, SharedMemoryIsLimited) {
  auto run = [](auto kernel, size_t dynamic) {
    launch("large", kernel, dim3(1), dim3(32), dynamic), check(cudaStreamSynchronize(stream()), "");
  };
  run(large_static<48 << 10>, 0);
  run(large_static<16 << 10>, 200 << 10);
  expect_error([&] { run(large_static<(48 << 10) + 1>, 0); }, {"too much shared memory", "49153"});
  expect_error([&] { run(large_static<(48 << 10) + 1>, 60 << 10); },
               {"too much shared memory", "49153"});
  expect_error([&] { run(large_static<16 << 10>, 212 << 10); },
               {"too much shared memory", "16384", "217088"});
  expect_error([&] { run(large_static<16 << 10>, 40 << 10); },
               {"too much shared memory"});  // together above 48 KiB, but not opted in
}

// --- memory errors: an exact report under ASan, a damaged gap or a NaN without ---

#if defined(__SANITIZE_ADDRESS__)
#define EXPECT_FOUND(statement, ...) EXPECT_DEATH(statement, "AddressSanitizer")
#else
#define EXPECT_FOUND(statement, ...) expect_error([&] { statement; }, {__VA_ARGS__})
#endif

__global__ void writes_shared(int n) {
  SHARED(float, s, 33);
  float* p = s;
  p[n] = 1;
}
__global__ void writes_dynamic(int n) {
  DYNAMIC_SHARED(float, d);
  d[n] = 1;
}
__global__ void writes_global(float* x, int n) { x[n] = 1; }
__global__ void reads_global(const float* x, float* y, int n) { *y = x[n]; }

TEST(EmulatorDeathTest, WritesOutsideSharedMemory) {
  auto run = [](const char* name, void (*kernel)(int), size_t dynamic, int n) {
    launch(name, kernel, dim3(1), dim3(1), dynamic, n), check(cudaStreamSynchronize(stream()), "");
  };
  run("writes_shared", writes_shared, 0, 32);
  run("writes_dynamic", writes_dynamic, 40, 9);
  EXPECT_FOUND(run("writes_shared", writes_shared, 0, 33), "kernel writes_shared",
               "0 bytes behind the end of a static array of 132 bytes");
  EXPECT_FOUND(run("writes_dynamic", writes_dynamic, 40, 11), "kernel writes_dynamic",
               "4 bytes behind the end of the dynamic part of 40 bytes");
  EXPECT_FOUND(run("writes_dynamic", writes_dynamic, 40, -1), "kernel writes_dynamic",
               "4 bytes before the dynamic part");
}

TEST(EmulatorDeathTest, WritesOutsideABlockOfDeviceMemory) {
  Array<float> x(77);
  auto run = [&](int n) {
    launch("writes_global", writes_global, dim3(1), dim3(1), 0, x.p, n),
        check(cudaStreamSynchronize(stream()), "");
  };
  run(76);
  EXPECT_FOUND(run(77), "kernel writes_global", "0 bytes behind the end of a block of 308 bytes");
  EXPECT_FOUND(run(-2), "kernel writes_global", "8 bytes before a block of 308 bytes");
}

TEST(EmulatorDeathTest, ReadsOutsideABlockOfDeviceMemory) {
  Array<float> x(std::vector<float>(5, 1)), y(1);
  launch("reads_global", reads_global, dim3(1), dim3(1), 0, x.p, y.p, 4);
  EXPECT_EQ(y.read()[0], 1);
#if defined(__SANITIZE_ADDRESS__)
  EXPECT_DEATH((launch("reads_global", reads_global, dim3(1), dim3(1), 0, x.p, y.p, 5), y.read()),
               "AddressSanitizer");
#else
  launch("reads_global", reads_global, dim3(1), dim3(1), 0, x.p, y.p, 5);
  EXPECT_TRUE(std::isnan(y.read()[0]));
#endif
}

#if !defined(__SANITIZE_ADDRESS__)
TEST(Emulator, DamageIsFoundAtFreeAndAtSynchronisation) {
  Restore restore;
  settings().check_canaries_each_launch = false;
  auto damage = [] {
    Array<float> x(77);
    launch("writes_global", writes_global, dim3(1), dim3(1), 0, x.p, 78);
  };
  damage();
  expect_error([] { cudaDeviceSynchronize(); },
               {"at cudaFree", "4 bytes behind the end of a block of 308 bytes"});
  Array<float> x(77);
  launch("writes_global", writes_global, dim3(1), dim3(1), 0, x.p, 78);
  expect_error([] { cudaDeviceSynchronize(); }, {"at a synchronisation", "4 bytes behind"});
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}
#endif

TEST(EmulatorDeathTest, HostCodeCannotTouchLockedDeviceMemory) {
  Restore restore;
  settings().lock_memory = true;
  Array<float> x(std::vector<float>(4, 2.0f)), y(1);
  EXPECT_DEATH(*static_cast<volatile float*>(x.p) = 1, "");
  launch("reads_global", reads_global, dim3(1), dim3(1), 0, x.p, y.p, 3);  // kernels and copies can
  EXPECT_EQ(y.read()[0], 2);
  EXPECT_DEATH(std::exit(*static_cast<volatile float*>(y.p) == 2 ? 0 : 1), "");
  settings().lock_memory = false;
  EXPECT_EQ(x.read()[0], 2);
  EXPECT_EQ(*static_cast<volatile float*>(x.p), 2);
}

TEST(Emulator, CopiesStayInsideTheirBlocks) {
  Array<float> x(std::vector<float>(8, 3.0f)), y(8);
  std::vector<float> host(8);
  auto copy = [](void* to, const void* from, size_t n, cudaMemcpyKind kind) {
    check(cudaMemcpy(to, from, n, kind), "copy");
  };
  copy(y.p, x.p, 32, cudaMemcpyDeviceToDevice);
  copy(host.data(), y.p + 1, 28, cudaMemcpyDefault);
  EXPECT_EQ(host[6], 3);
  expect_error([&] { copy(host.data(), x.p, 36, cudaMemcpyDeviceToHost); },
               {"the source, 36 bytes", "one live block"});
  expect_error([&] { copy(x.p + 1, host.data(), 32, cudaMemcpyHostToDevice); },
               {"the destination, 32 bytes"});
  expect_error([&] { copy(host.data(), x.p, 32, cudaMemcpyHostToDevice); },
               {"the destination, 32 bytes"});
  expect_error([&] { copy(x.p, y.p, 32, cudaMemcpyHostToDevice); },
               {"the source, 32 bytes", "not host memory"});
  expect_error([&] { check(cudaMemset(x.p, 0, 33), "memset"); }, {"cudaMemset", "33 bytes"});
  check(cudaMemset(x.p, 0, 32), "memset");
  EXPECT_EQ(x.read()[7], 0);
}

TEST(Emulator, DeviceMemoryEndsAndIsUsedAgain) {
  size_t free = 0, total = 0, later = 0;
  check(cudaMemGetInfo(&free, &total), "info");
  void *p = nullptr, *q = nullptr;
  EXPECT_EQ(cudaMalloc(&p, total), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&p, SIZE_MAX - 100), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  check(cudaMalloc(&p, 1000), "malloc");
  check(cudaMemGetInfo(&later, &total), "info");
  EXPECT_EQ(free - later, 1000u);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  check(cudaMalloc(&q, 900), "malloc");
  EXPECT_EQ(p, q);
  EXPECT_EQ(uintptr_t(q) % 256, 0u);
  EXPECT_EQ(cudaFree(static_cast<char*>(q) + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(q), cudaSuccess);
  EXPECT_EQ(cudaFree(q), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  cudaGetLastError();
}

// --- streams, events, graphs ---

__global__ void increment(int* x) { ++*x; }

struct Pinned {
  explicit Pinned(int value) { check(cudaMallocHost(&p, sizeof(int)), "pinned"), *p = value; }
  ~Pinned() { cudaFreeHost(p); }
  int* p = nullptr;
};

struct Stream {
  Stream() { check(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "stream"); }
  ~Stream() { cudaStreamDestroy(s); }
  cudaStream_t s = nullptr;
};

void increment_on(cudaStream_t s, int* x) {
  emulator::launch("increment", dim3(1), dim3(1), 0, s, [x] { increment(x); });
}

TEST(Emulator, LazyStreamsShowAMissingSynchronisation) {
  Restore restore;
  settings().lazy = true;
  Stream own;
  for (cudaStream_t s : {own.s, cudaStream_t()}) {
    Array<int> x(std::vector<int>{5});
    Pinned result(0);
    const int64_t before = emulator::counters().launches;
    increment_on(s, x.p);
    increment_on(s, x.p);
    check(cudaMemcpyAsync(result.p, x.p, sizeof(int), cudaMemcpyDeviceToHost, s), "copy");
    EXPECT_EQ(*result.p, 0);  // the bug: read too early
    EXPECT_EQ(emulator::counters().launches, before);
    check(cudaStreamSynchronize(s), "wait");
    EXPECT_EQ(*result.p, 7);
  }
}

TEST(Emulator, LazyStreamsShowTheReuseOfAStagingBuffer) {
  Restore restore;
  settings().lazy = true;
  Stream s;
  for (bool bug : {false, true}) {
    Array<int> x(1), y(1);
    Pinned buffer(1);
    check(cudaMemcpyAsync(x.p, buffer.p, sizeof(int), cudaMemcpyHostToDevice, s.s), "copy");
    if (!bug) check(cudaStreamSynchronize(s.s), "wait");
    *buffer.p = 2;
    check(cudaMemcpyAsync(y.p, buffer.p, sizeof(int), cudaMemcpyHostToDevice, s.s), "copy");
    check(cudaStreamSynchronize(s.s), "wait");
    EXPECT_EQ(x.read()[0], bug ? 2 : 1);
  }
  Array<int> z(1);
  int pageable = 7;  // is read before the call returns
  check(cudaMemcpyAsync(z.p, &pageable, sizeof(int), cudaMemcpyHostToDevice, s.s), "copy");
  pageable = 8;
  check(cudaStreamSynchronize(s.s), "wait");
  EXPECT_EQ(z.read()[0], 7);
}

TEST(Emulator, LazyErrorsComeAtTheSynchronisation) {
  Restore restore;
  settings().lazy = true;
  launch("exits", exits, dim3(1), dim3(64), 0, 63);
  expect_error([] { cudaStreamSynchronize(stream()); }, {"kernel exits", "divergent barrier"});
  EXPECT_EQ(cudaStreamSynchronize(stream()), cudaSuccess);
}

TEST(Emulator, EventsOrderStreams) {
  Restore restore;
  for (bool lazy : {false, true}) {
    settings().lazy = lazy;
    Stream a, b;
    cudaEvent_t start = nullptr, end = nullptr;
    check(cudaEventCreate(&start), "event"), check(cudaEventCreate(&end), "event");
    Array<int> x(std::vector<int>{0}), y(std::vector<int>{0});
    check(cudaEventRecord(start, a.s), "record");
    increment_on(a.s, x.p);
    check(cudaEventRecord(end, a.s), "record");
    check(cudaStreamWaitEvent(b.s, end), "wait");
    check(cudaMemcpyAsync(y.p, x.p, sizeof(int), cudaMemcpyDeviceToDevice, b.s), "copy");
    float ms = -1;
    EXPECT_EQ(cudaEventElapsedTime(&ms, start, end), lazy ? cudaErrorNotReady : cudaSuccess);
    check(cudaStreamSynchronize(b.s), "wait");  // which runs what b waits for, too
    check(cudaEventElapsedTime(&ms, start, end), "time");
    EXPECT_GE(ms, 0);
    EXPECT_EQ(y.read()[0], 1);
    check(cudaEventSynchronize(end), "wait");
    check(cudaEventDestroy(start), "event"), check(cudaEventDestroy(end), "event");
  }
  cudaGetLastError();
}

TEST(Emulator, GraphsAreCapturedAndReplayed) {
  Restore restore;
  for (bool lazy : {false, true}) {
    settings().lazy = lazy;
    Stream a, b;
    Array<int> x(std::vector<int>{10}), y(std::vector<int>{0});
    cudaEvent_t fork = nullptr, join = nullptr;
    check(cudaEventCreate(&fork), "event"), check(cudaEventCreate(&join), "event");
    check(cudaStreamBeginCapture(a.s, cudaStreamCaptureModeGlobal), "capture");
    increment_on(a.s, x.p);
    check(cudaEventRecord(fork, a.s), "fork");
    check(cudaStreamWaitEvent(b.s, fork), "fork");
    check(cudaMemcpyAsync(y.p, x.p, sizeof(int), cudaMemcpyDeviceToDevice, b.s),
          "copy");  // on the fork
    check(cudaEventRecord(join, b.s), "join");
    check(cudaStreamWaitEvent(a.s, join), "join");
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    check(cudaStreamIsCapturing(b.s, &status), "status");
    EXPECT_EQ(status, cudaStreamCaptureStatusActive);
    int* p = nullptr;
    EXPECT_EQ(cudaStreamSynchronize(a.s), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorStreamCaptureUnsupported);
    EXPECT_EQ(cudaGetLastError(), cudaErrorStreamCaptureUnsupported);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    check(cudaStreamEndCapture(a.s, &graph), "capture");
    check(cudaStreamIsCapturing(b.s, &status), "status");
    EXPECT_EQ(status, cudaStreamCaptureStatusNone);
    check(cudaGraphInstantiate(&exec, graph), "graph");
    check(cudaGraphDestroy(graph), "graph");
    EXPECT_EQ(x.read()[0], 10);  // captured, not run
    for (int i = 0; i < 3; ++i) check(cudaGraphLaunch(exec, a.s), "replay");
    check(cudaStreamSynchronize(a.s), "wait");
    EXPECT_EQ(x.read()[0], 13);
    x.write({100});  // the same graph on other numbers
    check(cudaGraphLaunch(exec, a.s), "replay");
    check(cudaStreamSynchronize(a.s), "wait");
    EXPECT_EQ(y.read()[0], 101);
    check(cudaGraphExecDestroy(exec), "graph");
    check(cudaEventDestroy(fork), "event"), check(cudaEventDestroy(join), "event");
  }
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
            cudaErrorStreamCaptureUnsupported);
  cudaGetLastError();
}

// --- arithmetic ---

TEST(Emulator, Intrinsics) {
  EXPECT_EQ(__popc(0xf0f0u), 8);
  EXPECT_EQ(__popcll(~0ull), 64);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__brev(1u), 0x80000000u);
  EXPECT_EQ(__umulhi(0xffffffffu, 0xffffffffu), 0xfffffffeu);
  EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
  EXPECT_EQ(__int_as_float(0x40000000), 2.0f);
  EXPECT_EQ(rsqrtf(4.0f), 0.5f);
  EXPECT_EQ(__expf(0.0f), 1.0f);
  EXPECT_EQ(max(3, 4), 4);
  EXPECT_EQ(min(3.0f, NAN), 3.0f);
  EXPECT_EQ(sizeof(float3), 12u);
  EXPECT_EQ(alignof(float4), 16u);
  EXPECT_EQ(alignof(uint2), 8u);
  int i = 5;
  EXPECT_EQ(atomicAdd(&i, 3), 5);
  EXPECT_EQ(atomicMax(&i, 3), 8);
  EXPECT_EQ(atomicMin(&i, 3), 8);
  EXPECT_EQ(atomicCAS(&i, 3, 9), 3);
  EXPECT_EQ(atomicExch(&i, 1), 9);
  EXPECT_EQ(atomicOr(&i, 6), 1);
  EXPECT_EQ(i, 7);
}

TEST(Emulator, DescribesItself) {
  cudaDeviceProp p;
  check(cudaGetDeviceProperties(&p, 0), "properties");
  EXPECT_STREQ(p.name, "rmt emulated device");
  EXPECT_EQ(p.major, 9);
  EXPECT_EQ(p.multiProcessorCount, 132);
  EXPECT_EQ(p.sharedMemPerBlockOptin, 227u << 10);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  EXPECT_STREQ(cudaGetErrorName(cudaGetLastError()), "cudaErrorInvalidDevice");
  expect_error([] { check(cudaErrorMemoryAllocation, "weights"); },
               {"weights: out of memory (cudaErrorMemoryAllocation)"});
}

}  // namespace
}  // namespace rmt
#endif

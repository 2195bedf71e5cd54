// The emulated device's memory: shared and global, what is found of accesses outside it. Each
// planted bug has a correct twin, which passes.
#ifndef __CUDACC__
#include <csignal>
#include <cstdlib>

#include "tests/core/cuda/emulated.h"

namespace rmt::test {
namespace {

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
    for (int i = 0; i < 8; ++i) {
      a[i] = 1;
      b[i] = 2;
      b[i + 8] = 2;
      c[i] = 3;
      d[i] = 4;
    }
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
    launch("large", kernel, dim3(1), dim3(32), dynamic);
    wait();
  };
  run(large_static<48 << 10>, 0);
  run(large_static<16 << 10>, 40 << 10);
  run(large_static<16 << 10>, 211 << 10);
  expect_error([&] { run(large_static<(48 << 10) + 1>, 0); }, {"too much shared memory", "49153"});
  expect_error([&] { run(large_static<(48 << 10) + 1>, 60 << 10); },
               {"too much shared memory", "49153"});
  expect_error([&] { run(large_static<16 << 10>, 212 << 10); },
               {"too much shared memory", "16384", "217088"});
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
    launch(name, kernel, dim3(1), dim3(1), dynamic, n);
    wait();
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
    launch("writes_global", writes_global, dim3(1), dim3(1), 0, x.p, n);
    wait();
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

}  // namespace
}  // namespace rmt::test
#endif

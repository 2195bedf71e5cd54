// What the emulated tensor-core instructions and asynchronous copies refuse. A GPU answers it with
// wrong numbers or an address error.
#ifndef __CUDACC__
#include "core/cuda/ptx.h"
#include "tests/core/cuda/emulated.h"

namespace rmt::test {
namespace {

// f, and what it started, must throw an Error with this part in its text.
void expect_error(const std::function<void()>& f, const std::string& part) {
  const auto f_and_wait = [&] {
    f();
    wait();
  };
  test::expect_error(f_and_wait, {part});
}

__global__ void incomplete(int) {
  float d[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  ptx::mma_m16n8k16(d, a, b);
}

TEST(EmulatorPtx, MmaNeedsTheWholeWarp) {
  launch("incomplete", incomplete, dim3(1), dim3(64), 0, 0);
  expect_error([] { launch("incomplete", incomplete, dim3(1), dim3(31), 0, 0); },
               "mma_m16n8k16 needs all 32 lanes of the warp; lane 31");
}

__global__ void load_at(int offset) {
  SHARED(uint16_t, M, 256);
  if (threadIdx.x < 32)
    for (int i = 0; i < 8; ++i) M[8 * threadIdx.x + i] = 0;
  __syncthreads();
  uint32_t r[4];
  ptx::ldmatrix_x4(r, M + 8 * threadIdx.x + offset);
}

__global__ void load_global(const uint16_t* x) {
  uint32_t r[2];
  ptx::ldmatrix_x2(r, x + 8 * threadIdx.x);
}

TEST(EmulatorPtx, LdmatrixChecksItsAddresses) {
  launch("load_at", load_at, dim3(1), dim3(32), 0, 0);
  expect_error([] { launch("load_at", load_at, dim3(1), dim3(32), 0, -4); },
               "do not lie in one array of shared memory");
  expect_error([] { launch("load_at", load_at, dim3(1), dim3(32), 0, 8); },
               "thread (31, 0, 0): ldmatrix_x4: the 16 bytes at");
  expect_error([] { launch("load_at", load_at, dim3(1), dim3(31), 0, 4); },
               "is not a multiple of 16");
  Array<uint16_t> x(256);
  expect_error([&] { launch("load_global", load_global, dim3(1), dim3(32), 0, x.p); },
               "do not lie in one array of shared memory");
}

__global__ void copy_at(const float* x, int to, int from) {
  SHARED(float, s, 128);
  ptx::cp_async_16(s + to, x + from);
}

TEST(EmulatorPtx, CopiesCheckTheirAddresses) {
  Array<float> x(128);
  launch("copy_at", copy_at, dim3(1), dim3(1), 0, x.p, 4, 4);
  expect_error([&] { launch("copy_at", copy_at, dim3(1), dim3(1), 0, x.p, 2, 4); },
               "is not a multiple of 16");
  expect_error([&] { launch("copy_at", copy_at, dim3(1), dim3(1), 0, x.p, 4, 1); },
               "the source's address");
  expect_error([&] { launch("copy_at", copy_at, dim3(1), dim3(1), 0, x.p, 126, 4); },
               "do not lie in one array");
}

}  // namespace
}  // namespace rmt::test
#endif

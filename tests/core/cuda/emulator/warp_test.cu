// The emulated warp: shuffles, votes, reductions, and masks that are wrong.
#ifndef __CUDACC__
#include "tests/core/cuda/emulated.h"

namespace rmt::test {
namespace {

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
        any |= x[j] > 90;
        all &= x[j] > 3;
        sum += x[j];
        least = std::min(least, x[j]);
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

constexpr int kMaskLine = __LINE__ + 3;
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

}  // namespace
}  // namespace rmt::test
#endif

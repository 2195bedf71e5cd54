// The instructions of ptx.h, on a GPU or emulated, against their definitions. (What the emulated
// ones check beyond that: emulator/ptx_checks_test.cu.)
#include <cmath>
#include <random>
#include <vector>

#include "core/cuda/ptx.h"
#include "core/dtype.h"
#include "tests/core/cuda/array.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

using Ptx = OnDevice;

std::vector<bf16> random_bf16(size_t n, unsigned seed, bool integers) {
  std::mt19937 random(seed);
  std::vector<bf16> x(n);
  for (bf16& v : x)
    v = bf16(integers ? float(int(random() % 17) - 8)
                      : std::uniform_real_distribution<float>(-1, 1)(random));
  return x;
}

// --- mma ---

__device__ uint32_t two(bf16 low, bf16 high) { return low.bits | uint32_t(high.bits) << 16; }

// How the fragments are loaded: element by element, as ptx.h draws it; with ldmatrix from
// a row-major b; with ldmatrix from a column-major b.
enum class Load { by_hand, row_major_b, column_major_b };

// d (16, 8) = c + a b with a (16, 16), b (16, 8). One warp.
__global__ void product(const bf16* a, const bf16* b, const float* c, float* d, Load load) {
  constexpr int kPad = 8;  // columns: rows stay 16-byte aligned
  SHARED(bf16, A, 16 * (16 + kPad));
  SHARED(bf16, B, 16 * (8 + kPad));
  SHARED(bf16, Bt, 8 * (16 + kPad));
  const int lane = int(threadIdx.x), g = lane / 4, t = lane % 4;
  for (int i = lane; i < 256; i += 32) A[i / 16 * 24 + i % 16] = a[i];
  for (int i = lane; i < 128; i += 32) {
    B[i / 8 * 16 + i % 8] = b[i];
    Bt[i % 8 * 24 + i / 8] = b[i];
  }
  __syncthreads();
  uint32_t fa[4], fb[2];
  if (load == Load::by_hand) {
    auto from_a = [&](int row, int column) {
      return two(a[row * 16 + column], a[row * 16 + column + 1]);
    };
    auto from_b = [&](int row, int column) {
      return two(b[row * 8 + column], b[(row + 1) * 8 + column]);
    };
    fa[0] = from_a(g, 2 * t);
    fa[1] = from_a(g + 8, 2 * t);
    fa[2] = from_a(g, 2 * t + 8);
    fa[3] = from_a(g + 8, 2 * t + 8);
    fb[0] = from_b(2 * t, g);
    fb[1] = from_b(2 * t + 8, g);
  } else {
    ptx::ldmatrix_x4(fa, A + lane % 16 * 24 + lane / 16 * 8);
    if (load == Load::row_major_b)
      ptx::ldmatrix_x2_trans(fb, B + lane % 16 * 16);
    else
      ptx::ldmatrix_x2(fb, Bt + lane % 8 * 24 + lane / 8 % 2 * 8);
  }
  float fd[4];
  for (int r = 0; r < 4; ++r) fd[r] = c[(g + r / 2 * 8) * 8 + 2 * t + r % 2];
  ptx::mma_m16n8k16(fd, fa, fb);
  for (int r = 0; r < 4; ++r) d[(g + r / 2 * 8) * 8 + 2 * t + r % 2] = fd[r];
}

TEST_F(Ptx, MmaIsAMatrixProductForEveryWayOfLoading) {
  for (Load load : {Load::by_hand, Load::row_major_b, Load::column_major_b})
    for (bool integers : {true, false}) {
      std::vector<bf16> a = random_bf16(256, 1, integers), b = random_bf16(128, 2, integers);
      std::vector<float> c(128);
      for (int i = 0; i < 128; ++i) c[i] = float(i % 13);
      Array<bf16> da(a), db(b);
      Array<float> dc(c), dd(128);
      launch("product", product, dim3(1), dim3(32), 0, da.p, db.p, dc.p, dd.p, load);
      std::vector<float> d = dd.read();
      for (int i = 0; i < 16; ++i)
        for (int j = 0; j < 8; ++j) {
          double sum = c[i * 8 + j];
          for (int k = 0; k < 16; ++k)
            sum += double(float(a[i * 16 + k])) * double(float(b[k * 8 + j]));
          if (integers)
            ASSERT_EQ(d[i * 8 + j], sum) << int(load) << " at " << i << ", " << j;
          else
            ASSERT_NEAR(d[i * 8 + j], sum, 1e-5) << int(load) << " at " << i << ", " << j;
        }
    }
}

// --- ldmatrix ---

// Number i of matrix m is 64 m + i.
__global__ void load_matrices(uint32_t* y, bool transposed) {
  SHARED(uint16_t, M, 256);
  const int lane = int(threadIdx.x);
  for (int i = lane; i < 256; i += 32) M[i] = uint16_t(i);
  __syncwarp();
  uint32_t r4[4], r2[2];
  if (transposed) {
    ptx::ldmatrix_x4_trans(r4, M + 8 * lane);
    ptx::ldmatrix_x2_trans(
        r2, lane < 16 ? M + 8 * lane : nullptr);  // the other lanes' addresses are not used
  } else {
    ptx::ldmatrix_x4(r4, M + 8 * lane);
    ptx::ldmatrix_x2(r2, lane < 16 ? M + 8 * lane : nullptr);
  }
  for (int i = 0; i < 4; ++i) y[6 * lane + i] = r4[i];
  for (int i = 0; i < 2; ++i) y[6 * lane + 4 + i] = r2[i];
}

TEST_F(Ptx, LdmatrixDealsOutMatrices) {
  Array<uint32_t> dy(192);
  for (bool transposed : {false, true}) {
    launch("load_matrices", load_matrices, dim3(1), dim3(32), 0, dy.p, transposed);
    std::vector<uint32_t> y = dy.read();
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 6; ++i) {
        const int row = lane / 4, column = lane % 4 * 2, m = i % 4;
        const int low = transposed ? 8 * column + row : 8 * row + column,
                  high = low + (transposed ? 8 : 1);
        ASSERT_EQ(y[6 * lane + i], uint32_t(64 * m + low) | uint32_t(64 * m + high) << 16)
            << lane << " " << i;
      }
  }
}

// Numbers 2 lane and 2 lane + 1 of a matrix come with each lane, those of the transposed one go.
__global__ void transpose(uint32_t* y) {
  const uint32_t i = 2 * threadIdx.x;
  y[threadIdx.x] = ptx::movmatrix_trans(i | (i + 1) << 16);
}

TEST_F(Ptx, MovmatrixTransposes) {
  Array<uint32_t> dy(32);
  launch("transpose", transpose, dim3(1), dim3(32), 0, dy.p);
  const std::vector<uint32_t> y = dy.read();
  for (int lane = 0; lane < 32; ++lane) {
    const int row = lane / 4, column = lane % 4 * 2;
    ASSERT_EQ(y[lane], uint32_t(8 * column + row) | uint32_t(8 * column + 8 + row) << 16) << lane;
  }
}

// --- cp.async ---

enum class Bug { none, no_wait, no_commit, waits_for_too_few, no_barrier };

// y = x backwards within tiles of 128 numbers, the next tile being on its way while this one is
// used. 32 threads, 4 numbers each.
__global__ void pipeline(const float* x, float* y, int tiles, Bug bug) {
  SHARED(float, s, 2 * 128);
  const int i = int(threadIdx.x);
  auto begin = [&](int tile) {
    ptx::cp_async_16(s + tile % 2 * 128 + 4 * i, x + tile * 128 + 4 * i, tile < tiles);
    if (bug != Bug::no_commit) ptx::cp_async_commit();
  };
  begin(0);
  for (int tile = 0; tile < tiles; ++tile) {
    begin(tile + 1);
    if (bug == Bug::waits_for_too_few)
      ptx::cp_async_wait<2>();
    else if (bug != Bug::no_wait)
      ptx::cp_async_wait<1>();
    if (bug != Bug::no_barrier) __syncthreads();
    for (int j = 4 * i; j < 4 * i + 4; ++j) y[tile * 128 + j] = s[tile % 2 * 128 + 127 - j];
    __syncthreads();
  }
  ptx::cp_async_wait<0>();
}

TEST_F(Ptx, CopiesArriveWhenTheyAreWaitedFor) {
  std::vector<float> x(5 * 128);
  for (size_t i = 0; i < x.size(); ++i) x[i] = float(i);
  Array<float> dx(x);
  // A GPU may or may not show a bug.
  const std::vector<Bug> bugs{Bug::none, Bug::no_wait, Bug::no_commit, Bug::waits_for_too_few,
                              Bug::no_barrier};
  for (Bug bug : bugs) {
    if (bug != Bug::none && !cuda::emulated()) break;
    Array<float> dy(5 * 128);
    launch("pipeline", pipeline, dim3(1), dim3(32), 0, dx.p, dy.p, 5, bug);
    std::vector<float> y = dy.read();
    int wrong = 0;
    for (int i = 0; i < 5 * 128; ++i) wrong += y[i] != x[i / 128 * 128 + 127 - i % 128];
    if (bug == Bug::none)
      EXPECT_EQ(wrong, 0);
    else
      EXPECT_GT(wrong, 100) << int(bug);
  }
}

__global__ void padded(const float* x, float* y, int n) {
  SHARED(float, s, 128);
  ptx::cp_async_16(s + 4 * threadIdx.x, x + 4 * threadIdx.x, 4 * int(threadIdx.x) < n);
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  for (int i = 0; i < 4; ++i) y[4 * threadIdx.x + i] = s[4 * threadIdx.x + i];
}

TEST_F(Ptx, CopiesThatAreNotValidWriteZeros) {
  Array<float> x(std::vector<float>(64, 1)), y(128);
  launch("padded", padded, dim3(1), dim3(32), 0, x.p, y.p, 64);
  std::vector<float> r = y.read();
  for (int i = 0; i < 128; ++i) ASSERT_EQ(r[i], i < 64);
}

// --- arithmetic ---

__global__ void packs(const float* x, uint32_t* y) {
  const unsigned i = threadIdx.x;
  y[i] = ptx::pack_bf16(x[2 * i], x[2 * i + 1]);
}

TEST_F(Ptx, PackRoundsTwoNumbersAndTheFirstComesLower) {
  std::vector<float> x{1,        -2,        0x1.01p0f, 0x1.03p0f, 0x1.010002p0f, 0x1.00fffep0f,
                       0,        -0.f,      1e-40f,    -1e-40f,   3.4e38f,       -3.4e38f,
                       INFINITY, -INFINITY, 0.1f,      1e30f};
  x.resize(64, 0.7f);
  Array<float> dx(x);
  Array<uint32_t> dy(32);
  launch("packs", packs, dim3(1), dim3(32), 0, dx.p, dy.p);
  const std::vector<uint32_t> y = dy.read();
  for (size_t i = 0; i < 32; ++i)
    EXPECT_EQ(y[i], bf16(x[2 * i]).bits | uint32_t(bf16(x[2 * i + 1]).bits) << 16)
        << x[2 * i] << ", " << x[2 * i + 1];
}

__global__ void adds(const uint32_t* a, const uint32_t* b, uint32_t* y) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  y[i] = ptx::add_bf16(a[i], b[i]);
}

// Numbers of all signs with exponents up to 24 apart, ties among them. Their sum is exact in
// double; it is rounded once if it is rounded to odd before the host's conversion sees it.
TEST_F(Ptx, SumsOfTwoNumbersAreRoundedOnce) {
  const size_t n = 1 << 12;
  auto number = [](uint32_t i, int exponent) {
    return bf16(std::ldexp(float(128 + i % 128), exponent - 7) * (i & 128 ? -1.f : 1.f));
  };
  std::vector<uint32_t> a(n), b(n);
  std::vector<bf16> x(2 * n), y(2 * n);
  for (size_t i = 0; i < 2 * n; ++i) {
    x[i] = number(uint32_t(i * 37), 0);
    y[i] = number(uint32_t(i * i / 3), int(i % 25) - 24);
    if (i % 5 == 0) std::swap(x[i], y[i]);
  }
  for (size_t i = 0; i < n; ++i) {
    a[i] = x[2 * i].bits | uint32_t(x[2 * i + 1].bits) << 16;
    b[i] = y[2 * i].bits | uint32_t(y[2 * i + 1].bits) << 16;
  }
  Array<uint32_t> da(a), db(b), dr(n);
  launch("adds", adds, dim3(unsigned(n / 256)), dim3(256), 0, da.p, db.p, dr.p);
  const std::vector<uint32_t> r = dr.read();
  for (size_t i = 0; i < 2 * n; ++i) {
    const double sum = double(float(x[i])) + double(float(y[i]));
    float odd = float(sum);
    if (double(odd) != sum && !(std::bit_cast<uint32_t>(odd) & 1))
      odd = std::nextafter(odd, sum > double(odd) ? INFINITY : -INFINITY);
    ASSERT_EQ(r[i / 2] >> 16 * (i % 2) & 0xffff, bf16(odd).bits)
        << float(x[i]) << " + " << float(y[i]);
  }
}

__global__ void approximations(const float* x, float* power, float* reciprocal, int n) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  power[i] = ptx::exp2_approx(x[i]);
  reciprocal[i] = ptx::reciprocal_approx(x[i]);
}

TEST_F(Ptx, PowersAndReciprocalsAreAsRightAsTheySay) {
  std::vector<float> x;
  for (int i = -1270; i <= 1270; ++i) x.push_back(float(i) * 0.1f + 0.0123f);
  for (float v : {0x1p-100f, -0x1p100f, 3.f, 1.f, -1.f}) x.push_back(v);
  const int n = int(x.size());
  Array<float> dx(x), dp(x.size()), dr(x.size());
  launch("approximations", approximations, dim3(unsigned(n + 255) / 256), dim3(256), 0, dx.p, dp.p,
         dr.p, n);
  const std::vector<float> power = dp.read(), reciprocal = dr.read();
  for (size_t i = 0; i < x.size(); ++i) {
    const double p = std::exp2(double(x[i])), r = 1 / double(x[i]);
    if (p >= 0x1p-126 && p < 0x1p127) {
      EXPECT_NEAR(power[i], p, 0x1p-22 * p) << "2^" << x[i];
    }
    if (std::fabs(r) >= 0x1p-126) {
      EXPECT_NEAR(reciprocal[i], r, 0x1p-23 * std::fabs(r)) << "1 / " << x[i];
    }
  }
  Array<float> far(std::vector<float>{-127, -1000, -INFINITY, 0, INFINITY, 0x1p127f}), fp(6), fr(6);
  launch("approximations", approximations, dim3(1), dim3(6), 0, far.p, fp.p, fr.p, 6);
  EXPECT_EQ(fp.read(), (std::vector<float>{0, 0, 0, 1, INFINITY, INFINITY}));
  EXPECT_EQ(fr.read()[3], INFINITY);
  EXPECT_EQ(fr.read()[4], 0);
  EXPECT_EQ(fr.read()[5], 0) << "2^-127 is below the smallest normal number";
}

}  // namespace
}  // namespace rmt::test

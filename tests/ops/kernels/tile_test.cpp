#include "ops/kernels/tile.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/check_op.h"

namespace rmt::test {
namespace {

std::vector<double> random_numbers(int64_t n, uint64_t seed) {
  return randn({n}, seed).to_vector<double>();
}

}  // namespace

TEST(Tile, MultiplyReadsAByAnyStridesAndAdds) {
  constexpr int64_t V = simd::lanes<double>;
  for (int64_t M : {1, 2, 6, 7, 13, 14, 15, 29})
    for (int64_t N : {V, 2 * V, 3 * V})
      for (int64_t K : {0, 1, 17})
        for (bool transposed : {false, true}) {
          const int64_t row = transposed ? 1 : K + 2, col = transposed ? M + 1 : 1, ldb = N + 3,
                        ldc = N + 1;
          std::vector<double> a = random_numbers(M * (K + 2) + (M + 1) * K, 1),
                              b = random_numbers(K * ldb, 2), c = random_numbers(M * ldc, 3),
                              expected = c;
          for (int64_t i = 0; i < M; ++i)
            for (int64_t j = 0; j < N; ++j)
              for (int64_t k = 0; k < K; ++k)
                expected[size_t(i * ldc + j)] +=
                    a[size_t(i * row + k * col)] * b[size_t(k * ldb + j)];
          std::vector<double> plain = c;
          cpu::tile::multiply(M, N, K, a.data(), row, col, b.data(), ldb, c.data(), ldc, true);
          cpu::tile::multiply(M, N, K, a.data(), row, col, b.data(), ldb, plain.data(), ldc);
          const std::vector<double> start = random_numbers(M * ldc, 3);
          for (int64_t i = 0; i < M * ldc; ++i) {
            EXPECT_NEAR(c[size_t(i)], expected[size_t(i)], 1e-13)
                << M << ", " << N << ", " << K << ": " << i;
            const double want = i % ldc < N
                                    ? expected[size_t(i)] - start[size_t(i)]
                                    : start[size_t(i)];  // nothing outside the tile is written
            EXPECT_NEAR(plain[size_t(i)], want, 1e-13) << M << ", " << N << ", " << K << ": " << i;
          }
        }
}

TEST(Tile, Transpose) {
  constexpr int64_t V = simd::lanes<float>, M = 2 * V, N = 3 * V;
  std::vector<float> from(M * N), to(M * N);
  for (size_t i = 0; i < from.size(); ++i) from[i] = float(i);
  cpu::tile::transpose(M, N, from.data(), to.data());
  for (int64_t i = 0; i < M; ++i)
    for (int64_t j = 0; j < N; ++j) EXPECT_EQ(to[size_t(j * M + i)], float(i * N + j));
}

}  // namespace rmt::test

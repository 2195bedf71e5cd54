// Products on the device from the matrices that we store by rows: through their descriptions
// (cublaslt_test.cpp), with and without the library's epilogues, whole and in slices of the sum.
#include <gtest/gtest.h>

#include "core/cuda/limits.h"
#include "ops/kernels/gemm.cuh"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

using GemmOnDevice = OnDevice;

// Small integers: sums are exact in f32, in any order.
Tensor integers(const Shape& shape, uint64_t seed) {
  const Tensor x = randn(shape, seed);
  for (int64_t i = 0; i < x.numel(); ++i) {
    double& v = x.data<double>()[i];
    v = std::round(std::clamp(2 * v, -4., 4.));
  }
  return x;
}

template <class T>
const T* at(const Tensor& x) {
  return static_cast<const T*>(x.raw());
}

// x on the device in T, beginning `shift` numbers into its storage.
template <class T>
Tensor there(const Tensor& x, int64_t shift = 0) {
  const Tensor room = Tensor::empty({x.numel() + shift}, dtype_of<T>, Device::cuda),
               y = room.slice(shift, x.numel() + shift).view(x.shape());
  y.copy_from(x.to(dtype_of<T>));
  return y;
}

std::vector<double> here(const Tensor& x) {
  return x.to(Device::cpu).to(DType::f64).to_vector<double>();
}

// f.template operator()<T, Out>() for the types that are multiplied.
template <class F>
void for_types(F f) {
  f.template operator()<float, float>();
  f.template operator()<double, double>();
  f.template operator()<bf16, bf16>();
  f.template operator()<bf16, float>();
}

// Kernels of ours that f starts, beside the library's products; on a real GPU, nobody counts.
int64_t launches_of([[maybe_unused]] const std::function<void()>& f) {
#ifdef RMT_CUDA
  f();
  return -1;
#else
  const int64_t before = emulator::counters().launches;
  f();
  return emulator::counters().launches - before;
#endif
}

// dw (O, I) and dbias (O) of integers dy (rows, O), x (rows, I).
struct Gradient {
  std::vector<double> dw, dbias;
};
Gradient gradient_in_loops(const Tensor& dy, const Tensor& x) {
  const int64_t rows = dy.dim(0), O = dy.dim(1), I = x.dim(1);
  Gradient g{std::vector<double>(size_t(O * I)), std::vector<double>(size_t(O))};
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < O; ++o) {
      const double d = dy.data<double>()[r * O + o];
      g.dbias[size_t(o)] += d;
      for (int64_t i = 0; i < I; ++i) g.dw[size_t(o * I + i)] += d * x.data<double>()[r * I + i];
    }
  return g;
}

}  // namespace

TEST_F(GemmOnDevice, MultiplyIsTheProductForEveryWayToStore) {
  for_types([]<class T, class Out>() {
    for (auto [M, N, K] : {std::tuple{5, 7, 11}, {16, 8, 24}, {1, 3, 1}, {4, 6, 0}})
      for (int way = 0; way < 4; ++way)
        for (int end = 0; end < 5; ++end) {
          // As it is, added to C, with a bias, with one that is not aligned, with one that the
          // library does not add.
          const bool accumulate = end == 1, with_bias = end > 1;
          const Tensor A = integers(way & 1 ? Shape{K, M} : Shape{M, K}, 1),
                       B = integers(way & 2 ? Shape{N, K} : Shape{K, N}, 2),
                       C = integers({M, N}, 3), bias = integers({N}, 4);
          const Tensor a = there<T>(A), b = there<T>(B), c = there<Out>(C),
                       d = there<Out>(bias, end == 3);
          auto run = [&, M = M, N = N, K = K] {
            gpu::multiply<T, Out>(M, N, K, {at<T>(a), bool(way & 1)}, {at<T>(b), bool(way & 2)},
                                  static_cast<Out*>(c.raw()), with_bias ? at<Out>(d) : nullptr,
                                  accumulate);
          };
          if (end == 4) {
            gpu::cublaslt::WithoutEpilogues without;
            run();
          } else {
            run();
          }
          const std::vector<double> y = here(c);
          for (int64_t i = 0; i < M; ++i)
            for (int64_t j = 0; j < N; ++j) {
              double sum = accumulate  ? C.data<double>()[i * N + j]
                           : with_bias ? bias.data<double>()[j]
                                       : 0;
              for (int64_t k = 0; k < K; ++k)
                sum += A.data<double>()[way & 1 ? k * M + i : i * K + k] *
                       B.data<double>()[way & 2 ? j * K + k : k * N + j];
              ASSERT_EQ(y[size_t(i * N + j)], sum)
                  << dtype_of<T> << " to " << dtype_of<Out> << ", transposed " << way << ", end "
                  << end << ", at " << i << ", " << j << " of (" << M << ", " << N << ", " << K
                  << ")";
            }
        }
  });
}

TEST_F(GemmOnDevice, WeightGradientsInOneCallAndInSlices) {
  for_types([]<class T, class Out>() {
    if (!std::is_same_v<Out, Wide<T>>) return;
    cuda::Limits many = cuda::limits(), one = cuda::limits();
    many.parts = 40;  // ten slices are wanted
    one.parts = 1;
    for (auto [rows, O, I] :
         {std::tuple{960, 16, 8}, {961, 16, 8}, {960, 7, 5}, {0, 8, 8}, {3, 1, 1}})
      for (bool with_bias : {false, true})
        for (bool fused : {true, false})
          for (bool sliced : {true, false}) {
            const cuda::WithLimits limits(sliced ? many : one);
            const Tensor DY = integers({rows, O}, 1), X = integers({rows, I}, 2);
            const Tensor dy = there<T>(DY), x = there<T>(X),
                         dw = Tensor::full({O, I}, 77, dtype_of<Out>, Device::cuda),
                         dbias = Tensor::full({O}, 77, dtype_of<Out>, Device::cuda);
            auto run = [&, rows = rows, O = O, I = I] {
              gpu::weight_gradient<T>(O, I, rows, at<T>(dy), at<T>(x),
                                      static_cast<Wide<T>*>(dw.raw()),
                                      with_bias ? static_cast<Wide<T>*>(dbias.raw()) : nullptr);
            };
            int64_t launches = 0;
            if (fused) {
              launches = launches_of(run);
            } else {
              gpu::cublaslt::WithoutEpilogues without;
              launches = launches_of(run);
            }
            const std::string what =
                str(dtype_of<T>, ", ", rows, " rows, (", O, ", ", I, "), bias ", with_bias,
                    ", fused ", fused, ", sliced ", sliced);
            const Gradient expected = gradient_in_loops(DY, X);
            EXPECT_EQ(here(dw), expected.dw) << what;
            EXPECT_EQ(here(dbias), with_bias ? expected.dbias : std::vector<double>(size_t(O), 77))
                << what;
            if (rows != 960 || O != 16 || launches < 0) continue;
            EXPECT_EQ(gpu::slices_of_sum(O, I, rows, sizeof(T), sizeof(Wide<T>)), sliced ? 10 : 1)
                << what;
            // The slices are added, with those of dbias if there are; else dy's rows are summed in
            // parts, and where nothing waits to be added these are.
            EXPECT_EQ(launches, int(sliced) + (with_bias && !fused ? (sliced ? 1 : 2) : 0)) << what;
          }
  });
}

// On 132 multiprocessors, in the four stages of RMT-S at batch 256, 224 x 224: about two blocks of
// threads for each where dw is small, and fewer where the slices would be as large as x and dy.
TEST(Gemm, SlicesOfTheWeightGradients) {
  const cuda::WithLimits limits(cuda::limits_of_gpu(132));
  auto slices = [](int64_t O, int64_t I, int64_t side, int64_t batch = 256) {
    return gpu::slices_of_sum(O, I, batch * side * side, sizeof(bf16), sizeof(float));
  };
  EXPECT_EQ(slices(64, 64, 56), 256);
  EXPECT_EQ(slices(192, 64, 56), 128);
  EXPECT_EQ(slices(256, 64, 56), 128);
  EXPECT_EQ(slices(128, 128, 28), 196);
  EXPECT_EQ(slices(256, 256, 14), 16);
  EXPECT_EQ(slices(512, 512, 7), 2);
  EXPECT_EQ(slices(1536, 512, 7), 2);
  EXPECT_EQ(slices(64, 64, 1, 100003), 1) << "a prime number of rows";
}

}  // namespace rmt::test

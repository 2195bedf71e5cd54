// The calls of cuBLASLt: what their descriptions say, computed in plain loops, is the product that
// was meant; a description that is wrong is refused or gives other numbers; and the library, on a
// GPU, computes what the loops do.
#include "ops/kernels/cublaslt.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "core/cuda/device.h"
#include "core/random.h"
#include "ops/kernels/cublaslt_model.h"
#include "ops/kernels/gemm.cuh"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

using namespace gpu::cublaslt;

// Small integers: their products and sums are exact in every type, and in any order.
template <class T>
std::vector<T> integers(int64_t n, uint64_t seed) {
  std::vector<T> x(static_cast<size_t>(n));
  Random random(seed, Purpose::test);
  for (int64_t i = 0; i < n; ++i) x[size_t(i)] = T(float(int(random.bits() % 9) - 4));
  return x;
}

// How a product is stored: op(a) (M, K), op(b) (K, N), `gap` numbers between columns.
Product product_of(int64_t M, int64_t N, int64_t K, bool transpose_a, bool transpose_b, DType type,
                   DType out, int64_t gap, int64_t batch) {
  auto matrix = [&](DType t, int64_t rows, int64_t columns) {
    return Matrix{.type = t,
                  .rows = rows,
                  .columns = columns,
                  .leading = rows + gap,
                  .batch_stride = batch > 1 ? (rows + gap) * columns + 3 * gap : 0,
                  .alignment = int64_t(size_of(t))};
  };
  return {.transpose_a = transpose_a,
          .transpose_b = transpose_b,
          .a = transpose_a ? matrix(type, K, M) : matrix(type, M, K),
          .b = transpose_b ? matrix(type, N, K) : matrix(type, K, N),
          .d = matrix(out, M, N),
          .batch = batch};
}

// Numbers that a matrix and its gaps take.
int64_t extent(const Matrix& m, int64_t batch) {
  return (batch - 1) * m.batch_stride + m.columns * m.leading;
}

template <class T, class Out>
struct Numbers {
  std::vector<T> a, b;
  std::vector<Out> d, bias;
};

template <class T, class Out>
Numbers<T, Out> numbers_for(const Product& p) {
  const int64_t bias = p.epilogue == Epilogue::bias ? p.d.rows : p.d.columns;
  return {integers<T>(extent(p.a, p.batch), 1), integers<T>(extent(p.b, p.batch), 2),
          integers<Out>(extent(p.d, p.batch), 3),
          integers<Out>((p.batch - 1) * p.bias_stride + bias, 4)};
}

template <class T, class Out>
Operands operands(const Product& p, Numbers<T, Out>& x, bool accumulate) {
  return {x.a.data(), x.b.data(), x.d.data(),
          p.epilogue == Epilogue::none ? nullptr : x.bias.data(), accumulate};
}

// d_ij, and the sums of b, by the definition, written down a second time: with element functions.
template <class T, class Out>
void expect_product(const Product& p, const Numbers<T, Out>& before, const Numbers<T, Out>& after,
                    bool accumulate, const std::string& what) {
  const int64_t K = p.transpose_a ? p.a.rows : p.a.columns;
  auto element = [](const auto& x, const Matrix& m, int64_t n, int64_t row, int64_t column) {
    return double(float(x[size_t(n * m.batch_stride + column * m.leading + row)]));
  };
  for (int64_t n = 0; n < p.batch; ++n)
    for (int64_t j = 0; j < p.d.columns; ++j) {
      double sum_of_b = 0;
      for (int64_t i = 0; i < p.d.rows; ++i) {
        double sum = accumulate ? element(before.d, p.d, n, i, j) : 0;
        sum_of_b = 0;
        for (int64_t k = 0; k < K; ++k) {
          const double b =
              p.transpose_b ? element(before.b, p.b, n, j, k) : element(before.b, p.b, n, k, j);
          sum += b * (p.transpose_a ? element(before.a, p.a, n, k, i)
                                    : element(before.a, p.a, n, i, k));
          sum_of_b += b;
        }
        if (p.epilogue == Epilogue::bias)
          sum += double(float(before.bias[size_t(n * p.bias_stride + i)]));
        // A result in bf16 is rounded once.
        ASSERT_EQ(element(after.d, p.d, n, i, j), double(float(Out(float(sum)))))
            << what << ", d of product " << n << " at " << i << ", " << j;
      }
      if (p.epilogue == Epilogue::sums_of_b) {
        ASSERT_EQ(double(float(after.bias[size_t(n * p.bias_stride + j)])),
                  double(float(Out(float(sum_of_b)))))
            << what << ", sum of column " << j << " of product " << n;
      }
    }
}

// f(product, accumulate, name) for all ways to store, epilogues and numbers of products.
void for_products(int64_t M, int64_t N, int64_t K, DType type, DType out,
                  const std::function<void(const Product&, bool, const std::string&)>& f) {
  for (int way = 0; way < 4; ++way)
    for (int64_t gap : {0, 8})
      for (int64_t batch : {1, 3})
        for (Epilogue epilogue : {Epilogue::none, Epilogue::bias, Epilogue::sums_of_b})
          for (bool accumulate : {false, true}) {
            Product p = product_of(M, N, K, way & 1, way & 2, type, out, gap, batch);
            p.epilogue = epilogue;
            if (batch > 1 && epilogue != Epilogue::none) p.bias_stride = std::max(M, N) + gap;
            f(p, accumulate,
              str(type, " to ", out, ", (", M, ", ", N, ", ", K, "), transposed ", way, ", gap ",
                  gap, ", ", batch, " products, epilogue ", int(epilogue), ", accumulate ",
                  accumulate));
          }
}

// f.template operator()<T, Out>(type, out) for the types that are multiplied.
template <class F>
void for_types(F f) {
  f.template operator()<float, float>(DType::f32, DType::f32);
  f.template operator()<double, double>(DType::f64, DType::f64);
  f.template operator()<bf16, bf16>(DType::bf16, DType::bf16);
  f.template operator()<bf16, float>(DType::bf16, DType::f32);
}

// A change that a slip of the pen makes.
struct Slip {
  const char* name;
  std::function<void(Product&, Operands&)> make;
};

void exchange_sides(Matrix& m) { std::swap(m.rows, m.columns); }

std::vector<Slip> slips() {
  return {
      {"a's leading dimension", [](Product& p, Operands&) { p.a.leading = p.a.columns; }},
      {"b's leading dimension", [](Product& p, Operands&) { p.b.leading = p.b.columns; }},
      {"d's leading dimension", [](Product& p, Operands&) { p.d.leading = p.d.columns; }},
      {"a's operation", [](Product& p, Operands&) { p.transpose_a = !p.transpose_a; }},
      {"b's operation", [](Product& p, Operands&) { p.transpose_b = !p.transpose_b; }},
      {"both operations",
       [](Product& p, Operands&) {
         p.transpose_a = !p.transpose_a;
         p.transpose_b = !p.transpose_b;
       }},
      {"a as its transpose",
       [](Product& p, Operands&) {
         exchange_sides(p.a);
         p.transpose_a = !p.transpose_a;
       }},
      {"a as its transpose, with its leading dimension",
       [](Product& p, Operands&) {
         exchange_sides(p.a);
         p.transpose_a = !p.transpose_a;
         p.a.leading = p.a.rows;
       }},
      {"b as its transpose, with its leading dimension",
       [](Product& p, Operands&) {
         exchange_sides(p.b);
         p.transpose_b = !p.transpose_b;
         p.b.leading = p.b.rows;
       }},
      {"d as its transpose",
       [](Product& p, Operands&) {
         exchange_sides(p.d);
         p.d.leading = p.d.rows;
       }},
      {"a and b exchanged", [](Product&, Operands& at) { std::swap(at.a, at.b); }},
      {"a and b exchanged with their layouts",
       [](Product& p, Operands& at) {
         std::swap(at.a, at.b);
         std::swap(p.a, p.b);
         std::swap(p.transpose_a, p.transpose_b);
       }},
      {"a's stride", [](Product& p, Operands&) { p.a.batch_stride += p.batch > 1; }},
      {"b's stride", [](Product& p, Operands&) { p.b.batch_stride -= p.batch > 1; }},
      {"the epilogue",
       [](Product& p, Operands&) {
         if (p.epilogue != Epilogue::none)
           p.epilogue = p.epilogue == Epilogue::bias ? Epilogue::sums_of_b : Epilogue::bias;
       }},
  };
}

using CublasLtOnDevice = OnDevice;

}  // namespace

TEST(CublasLtModel, ComputesTheProductInLoopsAndFast) {
  for_types([]<class T, class Out>(DType type, DType out) {
    for_products(5, 7, 11, type, out, [](const Product& p, bool accumulate, const auto& what) {
      ASSERT_EQ(fault(p), "") << what;
      for (Way way : {Way::in_loops, Way::fast}) {
        const Numbers<T, Out> before = numbers_for<T, Out>(p);
        Numbers<T, Out> after = before;
        compute(p, operands(p, after, accumulate), way);
        expect_product(p, before, after, accumulate, str(what, way == Way::fast ? ", fast" : ""));
      }
    });
  });
}

// Each slip must be refused, or change the result; on memory of which all that does not belong to a
// matrix is NaN.
TEST(CublasLtModel, WrongDescriptionsAreRefusedOrShow) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  int shown = 0;
  for (auto [M, N, K] : {std::tuple{5, 7, 11}, {6, 6, 6}, {6, 6, 9}, {2, 4, 3}})
    for_products(M, N, K, DType::f64, DType::f64,
                 [&](const Product& p, bool accumulate, const std::string& what) {
                   Numbers<double, double> numbers = numbers_for<double, double>(p);
                   for (auto* x : {&numbers.a, &numbers.b, &numbers.d, &numbers.bias})
                     x->resize(2000, nan);
                   Numbers<double, double> right = numbers;
                   compute(p, operands(p, right, accumulate));
                   for (const Slip& slip : slips()) {
                     Numbers<double, double> wrong = numbers;
                     Product q = p;
                     Operands at = operands(p, wrong, accumulate);
                     slip.make(q, at);
                     if (q == p && at.a == wrong.a.data()) continue;  // no slip for this shape
                     if (!fault(q).empty()) continue;
                     compute(q, at, Way::in_loops);
                     auto same = [](const std::vector<double>& x, const std::vector<double>& y) {
                       for (size_t i = 0; i < x.size(); ++i)
                         if (x[i] != y[i] && !(std::isnan(x[i]) && std::isnan(y[i]))) return false;
                       return true;
                     };
                     EXPECT_FALSE(same(wrong.d, right.d) && same(wrong.bias, right.bias))
                         << slip.name << " is not seen: " << what;
                     ++shown;
                   }
                 });
  EXPECT_GT(shown, 1000) << "most were refused, the numbers were hardly looked at";
}

// The emulated library is the model; a GPU's is NVIDIA's.
TEST_F(CublasLtOnDevice, TheLibraryComputesWhatTheModelDoes) {
  int done = 0;
  for_types([&]<class T, class Out>(DType type, DType out) {
    for_products(24, 40, 16, type, out, [&](Product p, bool accumulate, const auto& what) {
      for (Matrix* m : {&p.a, &p.b, &p.d}) {
        m->batch_stride = m->batch_stride / 8 * 8;
        m->alignment = 16;
      }
      if (!supports(p)) return;
      const Numbers<T, Out> before = numbers_for<T, Out>(p);
      Numbers<T, Out> expected = before, after = before;
      compute(p, operands(p, expected, accumulate));
      auto there = [](const auto& x) {
        return Tensor::from(x, {int64_t(x.size())}).to(Device::cuda);
      };
      const Tensor a = there(before.a), b = there(before.b), d = there(before.d),
                   bias = there(before.bias);
      run(p, {a.raw(), b.raw(), d.raw(), p.epilogue == Epilogue::none ? nullptr : bias.raw(),
              accumulate});
      after.d = d.to_vector<Out>();
      after.bias = bias.to_vector<Out>();
      expect_product(p, before, after, accumulate, what);
      // What lies between the columns stays.
      for (size_t i = 0; i < after.d.size(); ++i)
        ASSERT_EQ(float(after.d[i]), float(expected.d[i])) << what << ", number " << i;
      ++done;
    });
  });
  EXPECT_GE(done, 4 * 4 * 2 * 2 * 2) << "products without an epilogue at least";
}

}  // namespace rmt::test

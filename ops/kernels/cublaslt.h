// The products of cuBLASLt, NVIDIA's library, as a description that two can carry out: the library
// itself on a GPU, and on the emulated one a model of it on the host (cublaslt_model.h), which
// computes from the description alone what the library is documented to compute. So a leading
// dimension or an operation that is wrong shows without a GPU. Internal to ops/kernels.
//
//   d = op(a) op(b) + (what stands in d) + (bias)        op(x) = x or its transpose
//
// All matrices are stored by columns, as the library wants it: element (i, j) of a matrix is number
// i + j * leading.
#pragma once
#include <compare>
#include <cstdint>

#include "core/dtype.h"

namespace rmt::gpu::cublaslt {

struct Matrix {
  DType type = DType::f32;
  int64_t rows = 0, columns = 0;  // as it is stored, before op()
  int64_t leading = 0;            // numbers from one column to the next
  int64_t batch_stride = 0;       // numbers from one product's matrix to the next product's
  int64_t alignment = 16;         // bytes, of the first number of each: 1, 2, 4, 8 or 16
  auto operator<=>(const Matrix&) const = default;
};

enum class Epilogue {
  none,
  bias,       // d_ij += bias_i, of d's type: BIAS
  sums_of_b,  // bias_j = sum_k op(b)_kj, of d's type: BGRADB, the gradient of a bias when b is dy
};

// What a product is, as far as the choice of an algorithm goes. bf16 matrices are multiplied into
// a d in bf16 or f32; else all three have one type. Sums are in f32, of f64 matrices in f64.
struct Product {
  bool transpose_a = false, transpose_b = false;
  Matrix a, b, d;
  int64_t batch = 1;  // products of this kind, one behind the other
  Epilogue epilogue = Epilogue::none;
  int64_t bias_stride = 0;  // numbers from one product's bias to the next's
  bool tf32 = false;        // f32 matrices may be rounded to 10 mantissa bits
  auto operator<=>(const Product&) const = default;
};

// Device memory for it. bias is 16-byte aligned, and null where there is no epilogue.
struct Operands {
  const void* a;
  const void* b;
  void* d;
  void* bias = nullptr;
  bool accumulate = false;  // add to what stands in d
};

// Has the library an algorithm for it? It has none for some shapes with an epilogue.
bool supports(const Product& product);
// Work of the stream. Throws Error when there is no algorithm. The same product has the same
// algorithm, and so the same bits, for as long as the process lives, and in every process on such a
// GPU with the same release of the library.
void run(const Product& product, const Operands& operands);

// While one lives, the library is taken to have no algorithm with an epilogue.
class WithoutEpilogues {
 public:
  WithoutEpilogues();
  ~WithoutEpilogues();
  WithoutEpilogues(const WithoutEpilogues&) = delete;
  WithoutEpilogues& operator=(const WithoutEpilogues&) = delete;

 private:
  bool before_;
};

}  // namespace rmt::gpu::cublaslt

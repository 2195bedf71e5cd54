// C = A B + bias, and a linear layer's gradients dw = dy^T x, dbias = sum of dy over the rows.
//
// cuBLASLt stores matrices by columns. What we store by rows is for it the transposed matrix, so it
// is asked for C^T = B^T A^T: its a is our B, its b is our A, its d our C.
//
//     ours, by rows            the library's, by columns
//     C (M, N)                 d (N, M)          leading N
//     B (K, N)                 a (N, K)          leading N       op: none
//     B transposed (N, K)      a (K, N)          leading K       op: transpose
//     A (M, K)                 b (K, M)          leading K       op: none
//     A transposed (K, M)      b (M, K)          leading M       op: transpose
//
// The gradient of a weight. dw is small, and its sum runs over all rows of a batch: (64, 64) over
// 802,816 rows in the first stage of RMT-S at batch 256. One block of threads to each tile of dw
// would leave nearly the whole GPU idle. So the rows are divided into S slices of equal length, one
// strided-batched product leaves a (O, I) for each, and a second kernel adds these in their order:
//
//     rows   |  slice 0  |  slice 1  |  ...  |  slice S-1  |          dw = p_0 + p_1 + ... + p_S-1
//                 p_0         p_1                  p_S-1
//
// S follows from the shape and the GPU's number of multiprocessors and from nothing else. (Timing
// some algorithms and keeping the fastest, as other programs do, would choose now one and now
// another, and their sums differ in the last bits: two runs of a training would not be equal. For
// the same reason the algorithm is always the first that the library's heuristic names, a function
// of the description, and its ways to split a sum that add in the order of arrival are ruled out.)
//
// dbias is asked for with dw in one call where the library can (BGRADB: the sums of op(b), which
// here is dy, over K); else a kernel of ours sums dy's rows.
#include "ops/kernels/gemm.cuh"

#include <algorithm>

#include "core/cuda/columns.cuh"
#include "core/cuda/device.h"
#include "core/cuda/limits.h"

namespace rmt::gpu {

using cublaslt::Epilogue, cublaslt::Operands, cublaslt::Product;

namespace {

// y (rows, C) = bias in every row. A block to each row and 256 columns.
template <class T>
__global__ void broadcast_kernel(const T* bias, T* y, int64_t C) {
  const int64_t c = int64_t(blockIdx.y) * blockDim.x + threadIdx.x;
  if (c < C) y[blockIdx.x * C + c] = bias[c];
}

template <class T>
void broadcast(const T* bias, T* y, int64_t rows, int64_t C) {
  cuda::launch("broadcast", broadcast_kernel<T>,
               dim3(unsigned(rows), unsigned(cuda::blocks_for(C))), dim3(cuda::kThreads), 0, bias,
               y, C);
}

// To how many bytes an address, or a distance, is aligned, at most 16, since no load is wider.
// Finer distinctions would make the algorithm, and with it the bits, depend on where tensors happen
// to lie.
constexpr int64_t kAlignment = 16;
int64_t alignment(uintptr_t bytes) {
  int64_t n = kAlignment;
  while (bytes % uintptr_t(n)) n /= 2;
  return n;
}
int64_t alignment(const void* p) { return alignment(reinterpret_cast<uintptr_t>(p)); }

// C = A B + bias + beta C, no extent 0.
template <class T, class Out>
void run(int64_t M, int64_t N, int64_t K, Factor<T> a, Factor<T> b, Out* c, const Out* bias,
         bool accumulate) {
  Product product = describe(M, N, K, a, b, c);
  const Operands plain{.a = b.at, .b = a.at, .d = c, .accumulate = accumulate};
  if (!bias) return cublaslt::run(product, plain);
  // The library adds an aligned bias in the product itself. Where the bias is not aligned, or no
  // algorithm can add it, C is first filled with rows of bias, and the product is added to these.
  product.epilogue = Epilogue::bias;
  if (alignment(bias) == kAlignment && cublaslt::supports(product)) {
    Operands with_bias = plain;
    with_bias.bias = const_cast<Out*>(bias);  // read only
    return cublaslt::run(product, with_bias);
  }
  broadcast(bias, c, M, N);
  run<T, Out>(M, N, K, a, b, c, nullptr, true);
}

// What a row adds to the sums of its columns [c, c + N).
template <class T, int N>
struct AddRow {
  const T* x;
  int64_t C;
  __device__ void operator()(int64_t row, int64_t c, cuda::Values<Wide<T>, N> (&sums)[1]) const {
    sums[0] += cuda::load<N>(x + row * C + c);
  }
};

// The sums over the rows of x (rows, C), in parts that are still to be added.
template <class T>
cuda::Partial<Wide<T>> sum_rows_in_parts(const T* x, int64_t rows, int64_t C) {
  constexpr int N = 16 / int(sizeof(T));
  if (C % N == 0 && cuda::aligned(x))
    return cuda::column_sums_in_parts<1, N, Wide<T>>("sum_rows", AddRow<T, N>{x, C}, rows, C);
  return cuda::column_sums_in_parts<1, 1, Wide<T>>("sum_rows", AddRow<T, 1>{x, C}, rows, C);
}

// dw, and with it dbias where the library can, by one call of it.
template <class T>
void gradient_in_one_call(int64_t O, int64_t I, int64_t rows, const T* dy, const T* x, Wide<T>* dw,
                          Wide<T>* dbias) {
  Product product = describe<T, Wide<T>>(O, I, rows, {dy, kTransposed}, {x}, dw);
  product.epilogue = Epilogue::sums_of_b;
  const bool fused = dbias && alignment(dbias) == kAlignment && cublaslt::supports(product);
  if (!fused) product.epilogue = Epilogue::none;
  cublaslt::run(product, {.a = x, .b = dy, .d = dw, .bias = fused ? dbias : nullptr});
  if (dbias && !fused) sum_rows(dy, dbias, rows, O);
}

// The same in S slices, which slices_of_sum has found to be aligned as x and dy are.
template <class T>
void gradient_in_slices(int64_t O, int64_t I, int64_t rows, const T* dy, const T* x, Wide<T>* dw,
                        Wide<T>* dbias, int64_t S) {
  using W = Wide<T>;
  const int64_t length = rows / S;
  const cuda::Partial<W> slices(S, O * I);
  const cuda::Outputs<W> to{{dw, dbias}, O * I};
  Product product = describe<T, W>(O, I, length, {dy, kTransposed}, {x}, slices.at());
  product.batch = S;
  product.a.batch_stride = length * I;
  product.b.batch_stride = length * O;
  product.d.batch_stride = O * I;
  product.epilogue = Epilogue::sums_of_b;
  product.bias_stride = O;
  const bool fused =
      dbias && alignment(uintptr_t(O) * sizeof(W)) == kAlignment && cublaslt::supports(product);
  if (!fused) {
    product.epilogue = Epilogue::none;
    product.bias_stride = 0;
  }
  if (!dbias) {
    cublaslt::run(product, {.a = x, .b = dy, .d = slices.at()});
    return cuda::add_parts<W>(slices, {}, to);
  }
  const cuda::Partial<W> sums = fused ? cuda::Partial<W>(S, O) : sum_rows_in_parts(dy, rows, O);
  cublaslt::run(product, {.a = x, .b = dy, .d = slices.at(), .bias = fused ? sums.at() : nullptr});
  cuda::add_parts<W>(slices, sums, to);
}

}  // namespace

template <class T, class Out>
Product describe(int64_t M, int64_t N, int64_t K, Factor<T> a, Factor<T> b, const Out* c) {
  // A matrix (rows, columns) as we store it.
  auto matrix = [](const auto* at, DType type, int64_t rows, int64_t columns) {
    return cublaslt::Matrix{.type = type,
                            .rows = columns,
                            .columns = rows,
                            .leading = columns,
                            .alignment = alignment(at)};
  };
  constexpr DType in = dtype_of<T>;
  return {.transpose_a = b.transposed,
          .transpose_b = a.transposed,
          .a = b.transposed ? matrix(b.at, in, N, K) : matrix(b.at, in, K, N),
          .b = a.transposed ? matrix(a.at, in, K, M) : matrix(a.at, in, M, K),
          .d = matrix(c, dtype_of<Out>, M, N),
          .tf32 = in == DType::f32 && cuda::tf32_allowed()};
}

template <class T, class Out>
void multiply(int64_t M, int64_t N, int64_t K, Factor<T> a, Factor<T> b, Out* c,
              const std::type_identity_t<Out>* bias, bool accumulate) {
  if (M == 0 || N == 0) return;
  if (K > 0) return run<T, Out>(M, N, K, a, b, c, bias, accumulate);
  if (bias)
    broadcast<Out>(bias, c, M, N);
  else if (!accumulate)
    cuda::zero(c, M * N * sizeof(Out));
}

template <class T>
void sum_rows(const T* x, Wide<T>* sum, int64_t rows, int64_t C) {
  using W = Wide<T>;
  if (C > 0) cuda::add_parts<W>(sum_rows_in_parts(x, rows, C), {}, cuda::Outputs<W>{{sum}, C});
}

// A block of threads computes a tile of some 128 x 128 numbers of dw. As many slices as give each
// multiprocessor two blocks (limits().parts is eight for each), unless writing and reading the
// slices would cost more than a quarter of what reading x and dy does. Of the divisors of `rows`
// below that, the largest with slices that begin at multiples of 16 bytes.
int64_t slices_of_sum(int64_t O, int64_t I, int64_t rows, size_t bytes, size_t bytes_of_sum) {
  constexpr int64_t kTile = 128;
  const int64_t tiles = cuda::blocks_for(O, kTile) * cuda::blocks_for(I, kTile),
                moved = rows * (O + I) * int64_t(bytes),
                moved_by_one = 2 * O * I * int64_t(bytes_of_sum),
                most = std::min((cuda::limits().parts + 3) / 4 / tiles, moved / 4 / moved_by_one);
  auto aligned = [](int64_t n, size_t size) {
    return alignment(uintptr_t(n) * size) == kAlignment;
  };
  if (!aligned(O * I, bytes_of_sum)) return 1;
  // Fewer than half of what is wanted would do little.
  for (int64_t S = most; S > 1 && 2 * S > most; --S)
    if (rows % S == 0 && aligned(rows / S * O, bytes) && aligned(rows / S * I, bytes)) return S;
  return 1;
}

template <class T>
void weight_gradient(int64_t O, int64_t I, int64_t rows, const T* dy, const T* x, Wide<T>* dw,
                     Wide<T>* dbias) {
  if (O * I * rows == 0) {
    multiply<T>(O, I, rows, {dy, kTransposed}, {x}, dw);
    if (dbias) sum_rows(dy, dbias, rows, O);
    return;
  }
  const int64_t S = slices_of_sum(O, I, rows, sizeof(T), sizeof(Wide<T>));
  S > 1 ? gradient_in_slices(O, I, rows, dy, x, dw, dbias, S)
        : gradient_in_one_call(O, I, rows, dy, x, dw, dbias);
}

INSTANTIATE(sum_rows)
INSTANTIATE(weight_gradient)
template decltype(multiply<float, float>) multiply<float, float>;
template decltype(multiply<double, double>) multiply<double, double>;
template decltype(multiply<bf16, bf16>) multiply<bf16, bf16>;
template decltype(multiply<bf16, float>) multiply<bf16, float>;
template decltype(describe<float, float>) describe<float, float>;
template decltype(describe<double, double>) describe<double, double>;
template decltype(describe<bf16, bf16>) describe<bf16, bf16>;
template decltype(describe<bf16, float>) describe<bf16, float>;

}  // namespace rmt::gpu

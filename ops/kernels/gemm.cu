// C = A B + bias. cuBLASLt stores matrices by columns. What we store by rows is for it the
// transposed matrix, so it is asked for C^T = B^T A^T: its first operand is our B, its second our
// A.
#include "ops/kernels/gemm.cuh"

#include "core/cuda/columns.cuh"
#include "core/cuda/device.h"

#ifdef __CUDACC__
#include <cublasLt.h>

#include <array>
#include <map>
#include <mutex>

#include "core/cuda/pool.h"
#else
#include <vector>

#include "ops/kernels/gemm.h"
#endif

namespace rmt::gpu {
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

#ifdef __CUDACC__

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error(str("cuBLASLt: ", what, ": ", cublasLtGetStatusString(status), " (",
                    cublasLtGetStatusName(status), ")"));
}

template <class T>
constexpr cudaDataType_t kDataType = std::is_same_v<T, bf16>    ? CUDA_R_16BF
                                     : std::is_same_v<T, float> ? CUDA_R_32F
                                                                : CUDA_R_64F;

constexpr size_t kWorkspace = size_t(32) << 20;  // what NVIDIA advises for Hopper

// What a product is, as far as the choice of an algorithm goes.
struct Problem {
  int64_t M, N, K;
  int64_t in, out;  // cudaDataType_t of A and B, of C
  int64_t compute;  // cublasComputeType_t
  int64_t a_transposed, b_transposed;
  int64_t a_align, b_align, c_align;  // bytes
  int64_t bias;                       // is there one?
  auto operator<=>(const Problem&) const = default;
};

// A product as cuBLASLt wants it: its first operand is B, its second A.
struct Plan {
  cublasLtMatmulDescOpaque_t product{};
  cublasLtMatrixLayoutOpaque_t b{}, a{}, c{};
  cublasLtMatmulAlgo_t algorithm{};
  bool found = false;
};

// To how many bytes an address is aligned, at most 16, since no load is wider. Finer distinctions
// would make the algorithm, and with it the bits, depend on where tensors happen to lie.
constexpr int64_t kAlignment = 16;
int64_t alignment(const void* p) {
  int64_t n = kAlignment;
  while (reinterpret_cast<uintptr_t>(p) % uintptr_t(n)) n /= 2;
  return n;
}

void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute,
         const auto& value) {
  check(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof value),
        "MatmulDescSetAttribute");
}
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         const auto& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
        "MatmulPreferenceSetAttribute");
}

// A matrix (rows, columns) as we store it.
void set_layout(cublasLtMatrixLayout_t layout, int64_t type, int64_t rows, int64_t columns) {
  check(cublasLtMatrixLayoutInit(layout, cudaDataType_t(type), uint64_t(columns), uint64_t(rows),
                                 columns),
        "MatrixLayoutInit");
}

// The library's handle, its workspace, and the algorithms that it chose: one for each problem, on
// the first such product.
class Library {
 public:
  static Library& get() {
    static Library* library = new Library;
    return *library;
  }

  const Plan& plan(const Problem& p) {
    std::lock_guard lock(mutex_);
    auto [at, added] = plans_.try_emplace(p);
    if (added) try {
        make(p, at->second);
      } catch (...) {
        plans_.erase(at);
        throw;
      }
    return at->second;
  }

  void run(const Plan& plan, const cublasLtMatmulDescOpaque_t& product, const void* alpha,
           const void* b, const void* a, const void* beta, void* c) {
    // The descriptors are not written to; the interface is older than const.
    auto& [_, b_layout, a_layout, c_layout, algorithm, found] = const_cast<Plan&>(plan);
    check(cublasLtMatmul(handle_, const_cast<cublasLtMatmulDescOpaque_t*>(&product), alpha, b,
                         &b_layout, a, &a_layout, beta, c, &c_layout, c, &c_layout, &algorithm,
                         workspace_->data(), kWorkspace, cuda::stream()),
          "Matmul");
  }

 private:
  Library() {
    check(cublasLtCreate(&handle_), "Create");
    cuda::Pool* before = cuda::Pool::use(nullptr);  // it outlives every other pool
    try {
      workspace_ = new Storage(kWorkspace, Device::cuda);
    } catch (...) {
      cuda::Pool::use(before);
      throw;
    }
    cuda::Pool::use(before);
  }

  void make(const Problem& p, Plan& plan) {
    describe(p, plan);
    choose(p, plan);
  }

  // The product and its matrices.
  void describe(const Problem& p, Plan& plan) {
    const bool is_f64 = p.in == CUDA_R_64F;
    check(cublasLtMatmulDescInit(&plan.product, cublasComputeType_t(p.compute),
                                 is_f64 ? CUDA_R_64F : CUDA_R_32F),
          "MatmulDescInit");
    const cublasOperation_t op_b = p.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                            op_a = p.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(&plan.product, CUBLASLT_MATMUL_DESC_TRANSA, op_b);
    set(&plan.product, CUBLASLT_MATMUL_DESC_TRANSB, op_a);
    if (p.bias) {
      set(&plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
      // Any aligned address does: the heuristic sees how it is aligned, and no more.
      const void* some_bias = reinterpret_cast<const void*>(uintptr_t(kAlignment));
      set(&plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, some_bias);
    }
    p.b_transposed ? set_layout(&plan.b, p.in, p.N, p.K) : set_layout(&plan.b, p.in, p.K, p.N);
    p.a_transposed ? set_layout(&plan.a, p.in, p.K, p.M) : set_layout(&plan.a, p.in, p.M, p.K);
    set_layout(&plan.c, p.out, p.M, p.N);
  }

  // The algorithm that the library thinks best; none is found for some shapes with a bias.
  void choose(const Problem& p, Plan& plan) {
    cublasLtMatmulPreferenceOpaque_t preference{};
    check(cublasLtMatmulPreferenceInit(&preference), "MatmulPreferenceInit");
    set(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(kWorkspace));
    // Parts of a sum are not rounded to bf16.
    set(&preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, uint32_t(p.b_align));
    set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, uint32_t(p.a_align));
    set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, uint32_t(p.c_align));
    set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, uint32_t(p.c_align));
    cublasLtMatmulHeuristicResult_t best{};
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle_, &plan.product, &plan.b, &plan.a, &plan.c, &plan.c, &preference, 1, &best, &count);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED) check(status, "MatmulAlgoGetHeuristic");
    plan.found =
        status == CUBLAS_STATUS_SUCCESS && count > 0 && best.state == CUBLAS_STATUS_SUCCESS;
    plan.algorithm = best.algo;
  }

  cublasLtHandle_t handle_ = nullptr;
  Storage* workspace_ = nullptr;
  std::mutex mutex_;
  std::map<Problem, Plan> plans_;
};

// C = A B + bias + beta C, no extent 0.
template <class T, class Out>
void run(int64_t M, int64_t N, int64_t K, Factor<T> a, Factor<T> b, Out* c, const Out* bias,
         bool accumulate) {
  const cublasComputeType_t compute = std::is_same_v<T, double> ? CUBLAS_COMPUTE_64F
                                      : std::is_same_v<T, float> && cuda::tf32_allowed()
                                          ? CUBLAS_COMPUTE_32F_FAST_TF32
                                          : CUBLAS_COMPUTE_32F;
  // The library adds an aligned bias in the product itself. For others, and should no algorithm be
  // able to, the product is added to rows of bias.
  auto bias_first = [&] {
    broadcast(bias, c, M, N);
    run<T, Out>(M, N, K, a, b, c, nullptr, true);
  };
  if (bias && alignment(bias) < kAlignment) return bias_first();
  Library& library = Library::get();
  const Problem problem{
      .M = M,
      .N = N,
      .K = K,
      .in = kDataType<T>,
      .out = kDataType<Out>,
      .compute = compute,
      .a_transposed = a.transposed,
      .b_transposed = b.transposed,
      .a_align = alignment(a.at),
      .b_align = alignment(b.at),
      .c_align = alignment(c),
      .bias = bias != nullptr,
  };
  const Plan& plan = library.plan(problem);
  if (!plan.found && bias) return bias_first();
  CHECK(plan.found, "cuBLASLt: no algorithm for C (", M, ", ", N, ") = A B with a sum over ", K,
        ", A ", a.transposed ? "transposed" : "as stored", ", B ",
        b.transposed ? "transposed" : "as stored");
  cublasLtMatmulDescOpaque_t product = plan.product;
  if (bias) set(&product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(bias));
  const Wide<T> alpha = 1, beta = accumulate ? 1 : 0;
  library.run(plan, product, &alpha, b.at, a.at, &beta, c);
}

#else

// The elements in the type that they are computed in.
template <class T>
std::vector<Wide<T>> widened(const T* x, int64_t n) {
  std::vector<Wide<T>> y(n);
  for (int64_t i = 0; i < n; ++i) y[i] = Wide<T>(x[i]);
  return y;
}

template <class T, class Out>
void compute(int64_t M, int64_t N, int64_t K, Factor<T> a, Factor<T> b, Out* c, const Out* bias,
             bool accumulate) {
  using W = Wide<T>;
  std::vector<W> rows = widened(a.at, M * K);  // A (M, K)
  if (a.transposed)
    for (int64_t i = 0; i < M; ++i)
      for (int64_t k = 0; k < K; ++k) rows[i * K + k] = W(a.at[k * M + i]);
  const std::vector<W> columns = widened(b.at, K * N);
  std::vector<W> sums = accumulate ? widened(c, M * N) : std::vector<W>(M * N);
  const std::vector<W> bias_wide = widened(bias, bias ? N : 0);
  const cpu::PackedB<W> packed(columns.data(), b.transposed ? 1 : N, b.transposed ? K : 1, K, N);
  cpu::multiply_rows<W>(M, rows.data(), K, packed,
                        {sums.data(), N, bias ? bias_wide.data() : nullptr, accumulate});
  for (int64_t i = 0; i < M * N; ++i) c[i] = Out(sums[i]);
}

template <class T, class Out>
void run(int64_t M, int64_t N, int64_t K, Factor<T> a, Factor<T> b, Out* c, const Out* bias,
         bool accumulate) {
  emulator::check_argument("multiply", 0, a.at);
  emulator::check_argument("multiply", 1, b.at);
  emulator::check_argument("multiply", 2, c);
  emulator::check_argument("multiply", 3, bias);
  cuda::check(emulator::enqueue("multiply", cuda::stream(),
                                [=] { compute(M, N, K, a, b, c, bias, accumulate); }),
              "multiply");
}

#endif

// What a row adds to the sums of its columns [c, c + N).
template <class T, int N>
struct AddRow {
  const T* x;
  int64_t C;
  __device__ void operator()(int64_t row, int64_t c, cuda::Values<Wide<T>, N> (&sums)[1]) const {
    sums[0] += cuda::load<N>(x + row * C + c);
  }
};

}  // namespace

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
  constexpr int N = 16 / int(sizeof(T));
  if (C == 0) return;
  if (C % N == 0 && cuda::aligned(x))
    cuda::column_sums<1, N, Wide<T>>("sum_rows", AddRow<T, N>{x, C}, {{sum}}, rows, C);
  else
    cuda::column_sums<1, 1, Wide<T>>("sum_rows", AddRow<T, 1>{x, C}, {{sum}}, rows, C);
}

template <class T>
void weight_gradient(int64_t O, int64_t I, int64_t rows, const T* dy, const T* x, Wide<T>* dw,
                     Wide<T>* dbias) {
  multiply<T>(O, I, rows, {dy, kTransposed}, {x}, dw);
  if (dbias) sum_rows(dy, dbias, rows, O);
}

INSTANTIATE(sum_rows)
INSTANTIATE(weight_gradient)
template decltype(multiply<float, float>) multiply<float, float>;
template decltype(multiply<double, double>) multiply<double, double>;
template decltype(multiply<bf16, bf16>) multiply<bf16, bf16>;
template decltype(multiply<bf16, float>) multiply<bf16, float>;

}  // namespace rmt::gpu

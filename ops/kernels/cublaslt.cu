#include "ops/kernels/cublaslt.h"

#include <utility>

#include "core/cuda/device.h"
#include "core/cuda/launch.h"

#ifdef __CUDACC__
#include <cublasLt.h>

#include <map>
#include <mutex>

#include "core/cuda/pool.h"
#include "core/storage.h"
#else
#include "ops/kernels/cublaslt_model.h"
#endif

namespace rmt::gpu::cublaslt {
namespace {

bool epilogues = true;

bool refused(const Product& p) { return p.epilogue != Epilogue::none && !epilogues; }

}  // namespace

WithoutEpilogues::WithoutEpilogues() : before_(std::exchange(epilogues, false)) {}
WithoutEpilogues::~WithoutEpilogues() { epilogues = before_; }

#ifdef __CUDACC__

namespace {

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error(str("cuBLASLt: ", what, ": ", cublasLtGetStatusString(status), " (",
                    cublasLtGetStatusName(status), ")"));
}

cudaDataType_t type_of(DType t) {
  return t == DType::bf16 ? CUDA_R_16BF : t == DType::f32 ? CUDA_R_32F : CUDA_R_64F;
}

constexpr size_t kWorkspace = size_t(32) << 20;  // what NVIDIA advises for Hopper

// A product in the library's own words.
struct Plan {
  cublasLtMatmulDescOpaque_t product{};
  cublasLtMatrixLayoutOpaque_t a{}, b{}, d{};
  cublasLtMatmulAlgo_t algorithm{};
  bool found = false;
};

void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute,
         const auto& value) {
  check(cublasLtMatmulDescSetAttribute(product, attribute, &value, sizeof value),
        "MatmulDescSetAttribute");
}
void set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute,
         const auto& value) {
  check(cublasLtMatrixLayoutSetAttribute(layout, attribute, &value, sizeof value),
        "MatrixLayoutSetAttribute");
}
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         const auto& value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
        "MatmulPreferenceSetAttribute");
}

void set_layout(cublasLtMatrixLayout_t layout, const Matrix& x, int64_t batch) {
  check(cublasLtMatrixLayoutInit(layout, type_of(x.type), uint64_t(x.rows), uint64_t(x.columns),
                                 x.leading),
        "MatrixLayoutInit");
  if (batch == 1) return;
  set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, int32_t(batch));
  set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, x.batch_stride);
}

// The product and its matrices.
void describe(const Product& p, Plan& plan) {
  const bool is_f64 = p.a.type == DType::f64;
  const cublasComputeType_t in = is_f64   ? CUBLAS_COMPUTE_64F
                                 : p.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                          : CUBLAS_COMPUTE_32F;
  check(cublasLtMatmulDescInit(&plan.product, in, is_f64 ? CUDA_R_64F : CUDA_R_32F),
        "MatmulDescInit");
  set(&plan.product, CUBLASLT_MATMUL_DESC_TRANSA, p.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(&plan.product, CUBLASLT_MATMUL_DESC_TRANSB, p.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (p.epilogue != Epilogue::none) {
    set(&plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE,
        p.epilogue == Epilogue::bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_BGRADB);
    // Any aligned address does: the heuristic sees how it is aligned, and no more.
    const void* some_bias = reinterpret_cast<const void*>(uintptr_t(16));
    set(&plan.product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, some_bias);
    if (p.batch > 1) set(&plan.product, CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, p.bias_stride);
  }
  set_layout(&plan.a, p.a, p.batch);
  set_layout(&plan.b, p.b, p.batch);
  set_layout(&plan.d, p.d, p.batch);
}

// The library's handle, its workspace, and the algorithms that it chose: one for each product, the
// first time that it is asked for.
class Library {
 public:
  static Library& get() {
    static Library* library = new Library;
    return *library;
  }

  const Plan& plan(const Product& p) {
    std::lock_guard lock(mutex_);
    auto [at, added] = plans_.try_emplace(p);
    if (added) try {
        describe(p, at->second);
        choose(p, at->second);
      } catch (...) {
        plans_.erase(at);
        throw;
      }
    return at->second;
  }

  void run(const Plan& plan, const cublasLtMatmulDescOpaque_t& product, const void* alpha,
           const void* beta, const Operands& at) {
    // The descriptors are not written to; the interface is older than const.
    auto& [_, a, b, d, algorithm, found] = const_cast<Plan&>(plan);
    check(cublasLtMatmul(handle_, const_cast<cublasLtMatmulDescOpaque_t*>(&product), alpha, at.a,
                         &a, at.b, &b, beta, at.d, &d, at.d, &d, &algorithm, workspace_->data(),
                         kWorkspace, cuda::stream()),
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

  // The algorithm that the library's heuristic thinks best.
  void choose(const Product& p, Plan& plan) {
    cublasLtMatmulPreferenceOpaque_t preference{};
    check(cublasLtMatmulPreferenceInit(&preference), "MatmulPreferenceInit");
    set(&preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(kWorkspace));
    // Parts of a sum are not rounded to bf16, and none is added in the order in which it comes.
    set(&preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
        uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, uint32_t(p.a.alignment));
    set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, uint32_t(p.b.alignment));
    set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, uint32_t(p.d.alignment));
    set(&preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, uint32_t(p.d.alignment));
    cublasLtMatmulHeuristicResult_t best{};
    int count = 0;
    const cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(
        handle_, &plan.product, &plan.a, &plan.b, &plan.d, &plan.d, &preference, 1, &best, &count);
    if (status != CUBLAS_STATUS_NOT_SUPPORTED) check(status, "MatmulAlgoGetHeuristic");
    plan.found =
        status == CUBLAS_STATUS_SUCCESS && count > 0 && best.state == CUBLAS_STATUS_SUCCESS;
    plan.algorithm = best.algo;
  }

  cublasLtHandle_t handle_ = nullptr;
  Storage* workspace_ = nullptr;
  std::mutex mutex_;
  std::map<Product, Plan> plans_;
};

}  // namespace

bool supports(const Product& p) { return !refused(p) && Library::get().plan(p).found; }

void run(const Product& p, const Operands& at) {
  Library& library = Library::get();
  const Plan& plan = library.plan(p);
  CHECK(plan.found, "cuBLASLt: no algorithm for d (", p.d.rows, ", ", p.d.columns,
        ") = a b with a sum over ", p.transpose_a ? p.a.rows : p.a.columns, ", a ",
        p.transpose_a ? "transposed" : "as stored", ", b ",
        p.transpose_b ? "transposed" : "as stored");
  cublasLtMatmulDescOpaque_t product = plan.product;
  if (at.bias) set(&product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<const void*>(at.bias));
  if (p.a.type == DType::f64) {
    const double alpha = 1, beta = at.accumulate ? 1 : 0;
    return library.run(plan, product, &alpha, &beta, at);
  }
  const float alpha = 1, beta = at.accumulate ? 1 : 0;
  library.run(plan, product, &alpha, &beta, at);
}

#else

bool supports(const Product& p) { return !refused(p) && fault(p).empty(); }

void run(const Product& p, const Operands& at) {
  emulator::check_argument("multiply", 0, at.a);
  emulator::check_argument("multiply", 1, at.b);
  emulator::check_argument("multiply", 2, at.d);
  emulator::check_argument("multiply", 3, at.bias);
  // The library's products are the transposes of ours (gemm.cu): its b is our A.
  emulator::note_product({.M = p.d.columns,
                          .N = p.d.rows,
                          .K = p.transpose_b ? p.b.columns : p.b.rows,
                          .batch = p.batch,
                          .accumulate = at.accumulate,
                          .sums_rows = p.transpose_b,
                          .in = int(size_of(p.a.type)),
                          .out = int(size_of(p.d.type))},
                         {at.a, at.b, at.d, at.bias});
  cuda::check(emulator::enqueue("multiply", cuda::stream(), [p, at] { compute(p, at); }),
              "multiply");
}

#endif

}  // namespace rmt::gpu::cublaslt

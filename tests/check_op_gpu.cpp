// The kernels of an op, on a real or an emulated GPU, against its proven results on the CPU.
#include "core/cuda/device.h"
#include "tests/check_op_proof.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/emulator.h"
#endif

namespace rmt::test {
namespace {

// The error of one result, x in dtype: see CheckOptions.
void check_close(Proof& p, const std::string& what, const Tensor& x, const Tensor& x64,
                 DType dtype) {
  if (x.dtype() != DType::bf16 && x.dtype() != wide(dtype))
    return p.fail(what, " is in ", x.dtype(), ", not in ", wide(dtype));
  double tolerance = dtype == DType::f64 ? 1e-12 : p.options.f32_tolerance;
  if (dtype == DType::bf16) tolerance += p.options.bf16_tolerance;
  if (x.dtype() == DType::bf16) tolerance += 2 * relative_error(x64.to(DType::bf16), x64);
  p.expect(finite(x), what, " is not finite");
  const double error = relative_error(x, x64);
  p.expect(error <= tolerance, what, " is off by ", error, " of its norm, ", tolerance,
           " are allowed");
}

// The same bits in every order of the threads; else nothing more needs to be said.
bool check_orders(Proof& p, const std::string& on, const std::vector<Result>& r) {
#ifdef RMT_CUDA
  const std::string differs = " differs from run to run: a missing barrier?";
#else
  const std::string differs = " differs between thread orders: a missing barrier?";
#endif
  bool same = true;
  auto expect_same = [&](const std::string& what, const Tensor& a, const Tensor& b, size_t n) {
    if (!same || same_bits(a, b)) return;
    same = false;
    p.fail(what, on, differs, " (order ", n, " and order 0)");
  };
  for (size_t n = 1; n < r.size(); ++n) {
    expect_same("the result", r[0].y, r[n].y, n);
    for (size_t i = 0; i < p.inputs.size(); ++i)
      expect_same(str("gradient ", i), r[0].grads[i], r[n].grads[i], n);
  }
  return same;
}

}  // namespace

void check_gpu(Proof& p, const Tensor& u, const Result& r64) {
  for (DType dtype : {DType::f32, DType::f64, DType::bf16}) {
    // bf16 is compared with the f64 results for the rounded numbers that it sees.
    const bool narrow = dtype == DType::bf16;
    const Proof seen = narrow ? p.with(rounded_to_bf16(p)) : p;
    const Tensor upstream = narrow ? u.to(DType::bf16).to(DType::f64) : u;
    const Result expected = narrow ? run(seen, DType::f64, upstream) : r64;
    std::vector<Result> r;
    for_thread_orders([&] {
      if (dtype != DType::f64 || r.empty()) r.push_back(run(seen, dtype, upstream, Device::cuda));
    });
    const std::string on = str(" on the GPU in ", dtype);
    if (!check_orders(p, on, r)) return;
    check_close(p, "the result" + on, r[0].y, expected.y, dtype);
    for (size_t i = 0; i < p.inputs.size(); ++i)
      if (p.differentiable[i])
        check_close(p, str("gradient ", i, on), r[0].grads[i], expected.grads[i], dtype);
  }
}

void for_thread_orders(const std::function<void()>& f) {
#ifdef RMT_CUDA
  f();
  f();
#else
  struct Restore {
    emulator::Settings before = emulator::settings();
    ~Restore() { emulator::settings() = before; }
  } restore;
  for (emulator::Order order : emulator::kOrders) {
    emulator::settings().order = order;
    emulator::settings().lock_memory = true;
    f();
  }
#endif
}

}  // namespace rmt::test

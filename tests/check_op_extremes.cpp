// An elementwise op where exp overflows, numbers vanish or squares pass the largest float: results
// and gradients must be finite wherever the exact ones are, and near them.
#include <cmath>
#include <limits>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "tests/check_op_proof.h"

namespace rmt::test {
namespace {

// Each also negative. 88.7 is the largest float whose exp is one, 103.9 the largest whose exp(-x)
// is not 0; 1e-40 is a denormal in f32; 1e30 has a square that f32 does not have.
constexpr double kExtremes[] = {0, 1e-40, 1e-30, 0.5, 1, 5, 20, 88, 89, 104, 710, 1e4, 1e8, 1e30};
constexpr int64_t kCount = 2 * std::size(kExtremes);

double extreme(int64_t i) {
  const double x = kExtremes[(i % kCount) / 2];
  return float(i % 2 ? -x : x);
}

double at(const Tensor& x, int64_t i) { return x.data<double>()[i]; }

Tensor f64_on_cpu(const Tensor& x) { return x.to(Device::cpu).to(DType::f64); }

// Every input has y's shape, and y[i] changes with the i-th elements alone: tried at three places.
bool is_elementwise(const Proof& p) {
  NoGrad off;
  const Tensor y = p.op(p.inputs);
  const int64_t n = y.numel();
  if (n < 2 || y.dtype() != DType::f64) return false;
  for (const Tensor& x : p.inputs)
    if (!x.defined() || x.dtype() != DType::f64 || x.shape() != y.shape()) return false;
  for (size_t which = 0; which < p.inputs.size(); ++which)
    for (int64_t i : {int64_t(0), n / 2, n - 1}) {
      std::vector<Tensor> inputs = p.inputs;
      inputs[which] = inputs[which].clone();
      inputs[which].data<double>()[i] += 1;
      const Tensor changed = p.op(inputs);
      for (int64_t j = 0; j < n; ++j)
        if (j != i && at(changed, j) != at(y, j)) return false;
    }
  return true;
}

// The inputs' shapes, filled with the `round`-th part of all combinations of two extremes.
std::vector<Tensor> fill(const Proof& p, int64_t round) {
  std::vector<Tensor> filled;
  for (size_t which = 0; which < p.inputs.size(); ++which) {
    Tensor x = Tensor::empty(p.inputs[which].shape(), DType::f64);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const int64_t at = round * x.numel() + i;
      x.data<double>()[i] = extreme(which == 0 ? at : at / kCount + int64_t(which) - 1);
    }
    filled.push_back(x);
  }
  return filled;
}

std::string point(const Proof& p, int64_t i) {
  std::string s;
  for (const Tensor& x : p.inputs) s += str(s.empty() ? "" : ", ", at(x, i));
  return s;
}

// Is v (computed in dtype) the number `exact`, as far as dtype has it? Rounding is relative to the
// largest number around: the result, the inputs, or 1.
bool near(const Proof& p, int64_t i, double v, double exact, DType dtype) {
  const double largest = dtype == DType::f64   ? std::numeric_limits<double>::max()
                         : dtype == DType::f32 ? std::numeric_limits<float>::max()
                                               : 0x1.fep127;
  if (!std::isfinite(exact)) return std::isnan(exact) ? std::isnan(v) : v == exact;
  if (std::fabs(exact) > largest) return !std::isnan(v);  // infinite, or cut off
  double scale = 1 + std::fabs(exact);
  for (const Tensor& x : p.inputs) scale += std::fabs(at(x, i));
  const double tolerance = dtype == DType::f64   ? 1e-12
                           : dtype == DType::f32 ? p.options.f32_tolerance
                                                 : p.options.f32_tolerance + 0x1p-7;
  return std::isfinite(v) && std::fabs(v - exact) <= tolerance * scale;
}

// In f64 on the CPU: y against the definition, or finite without one; gradients finite where y is.
void check_f64(Proof& p, const Result& r) {
  std::vector<double> exact(size_t(r.y.numel()), 0);
  if (p.options.reference) exact = p.options.reference(p.inputs);
  for (int64_t i = 0; i < r.y.numel(); ++i) {
    const double y = at(r.y, i);
    const bool right = p.options.reference ? near(p, i, y, exact[i], DType::f64) : std::isfinite(y);
    if (!right && p.options.reference)
      return p.fail("in f64 it is ", y, " at ", point(p, i), ", by its definition ", exact[i]);
    if (!right) return p.fail("in f64 it is ", y, " at ", point(p, i));
    for (size_t k = 0; k < p.inputs.size(); ++k)
      if (p.differentiable[k] && !std::isfinite(at(r.grads[k], i)) && std::isfinite(exact[i]))
        return p.fail("in f64 gradient ", k, " is ", at(r.grads[k], i), " at ", point(p, i));
  }
}

// In f32 or bf16 against f64, on the inputs that dtype has.
void check_narrow(Proof& p, const Result& exact, const Result& r, const std::string& in,
                  DType dtype) {
  for (int64_t i = 0; i < r.y.numel(); ++i) {
    if (!near(p, i, at(r.y, i), at(exact.y, i), dtype))
      return p.fail("in ", in, " it is ", at(r.y, i), " at ", point(p, i), ", in f64 ",
                    at(exact.y, i));
    for (size_t k = 0; k < p.inputs.size(); ++k)
      if (p.differentiable[k] && !near(p, i, at(r.grads[k], i), at(exact.grads[k], i), dtype))
        return p.fail("in ", in, " gradient ", k, " is ", at(r.grads[k], i), " at ", point(p, i),
                      ", in f64 ", at(exact.grads[k], i));
  }
}

Result in_f64(Result r) {
  r.y = f64_on_cpu(r.y);
  for (Tensor& g : r.grads)
    if (g.defined()) g = f64_on_cpu(g);
  return r;
}

}  // namespace

void check_extremes(Proof& p) {
  if (!is_elementwise(p)) return;
  const int64_t n = p.inputs[0].numel();
  const int64_t points = p.inputs.size() == 1 ? kCount : kCount * kCount;
  const Tensor ones = Tensor::full(p.inputs[0].shape(), 1, DType::f64);
  for (int64_t round = 0; round * n < points && !p.failed; ++round) {
    Proof q = p.with(fill(p, round));
    const Result exact = run(q, DType::f64, ones);
    check_f64(q, exact);
    check_narrow(q, exact, in_f64(run(q, DType::f32, ones)), "f32", DType::f32);
    if (p.options.on_gpu && cuda::available()) {
      check_narrow(q, exact, in_f64(run(q, DType::f32, ones, Device::cuda)), "f32 on the GPU",
                   DType::f32);
      const Proof bf16 = q.with(rounded_to_bf16(q));
      check_narrow(q, run(bf16, DType::f64, ones),
                   in_f64(run(bf16, DType::bf16, ones, Device::cuda)), "bf16 on the GPU",
                   DType::bf16);
    }
    p.failed = q.failed;
  }
}

}  // namespace rmt::test

#include "tests/check_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "core/parallel.h"
#include "tests/check_op_proof.h"

namespace rmt::test {
namespace {

// The inputs in dtype on the device, as leaves where they are differentiable.
std::vector<Tensor> leaves(const Proof& p, DType dtype, Device device = Device::cpu) {
  std::vector<Tensor> out;
  for (size_t i = 0; i < p.inputs.size(); ++i) {
    Tensor x = p.inputs[i];
    if (x.defined() && is_float(x.dtype())) x = x.to(p.is_parameter(i) ? wide(dtype) : dtype);
    x = x.to(device);
    out.push_back(p.differentiable[i] ? leaf(x) : x);
  }
  return out;
}

bool all_zero(const Tensor& x) {
  for (double v : x.to(DType::f64).to_vector<double>())
    if (v != 0) return false;
  return true;
}

// sum(y u), the number whose derivatives are the gradients.
double weighted_sum(const Op& op, Inputs inputs, const Tensor& u) {
  NoGrad off;
  Tensor y = op(inputs);
  double s = 0;
  for (int64_t i = 0; i < y.numel(); ++i) s += y.data<double>()[i] * u.data<double>()[i];
  return s;
}

void check_reference(Proof& p, const Tensor& y) {
  const std::vector<double> expected = p.options.reference(p.inputs);
  if (int64_t(expected.size()) != y.numel())
    return p.fail("the definition gives ", expected.size(), " numbers, the op ", y.shape());
  for (size_t i = 0; i < expected.size(); ++i) {
    const double v = y.data<double>()[i];
    if (!(std::fabs(v - expected[i]) <= 1e-12 * (1 + std::fabs(expected[i]))))
      return p.fail("in f64 element ", i, " of ", y.shape(), " is ", v, ", by the definition ",
                    expected[i]);
  }
}

// g, the gradient of input `which`, against (f(x + h) - f(x - h)) / 2h, an element at a time.
void check_gradient(Proof& p, size_t which, const Tensor& g, const Tensor& u) {
  if (!g.defined()) return p.fail("no gradient for input ", which);
  std::vector<Tensor> inputs = p.inputs;
  inputs[which] = inputs[which].clone();
  double* x = inputs[which].data<double>();
  const double* dx = g.data<double>();
  double scale = 0;  // of the gradient: errors are measured against it
  for (int64_t i = 0; i < g.numel(); ++i) scale = std::max(scale, std::fabs(dx[i]));
  const int64_t step = std::max<int64_t>(1, g.numel() / p.options.max_probes);
  for (int64_t i = 0; i < g.numel(); i += step) {
    const double saved = x[i];
    const double h = 1e-5 * (1 + std::fabs(saved));
    x[i] = saved + h;
    const double plus = weighted_sum(p.op, inputs, u);
    x[i] = saved - h;
    const double minus = weighted_sum(p.op, inputs, u);
    x[i] = saved;
    const double slope = (plus - minus) / (2 * h);
    if (!(std::fabs(dx[i] - slope) <= p.options.gradient_tolerance * (1 + scale)))
      return p.fail("in f64 the gradient of input ", which, ", element ", i, " of ", g.shape(),
                    ", is ", dx[i], ", by central differences ", slope);
  }
}

void check_second_backward(Proof& p, const Tensor& u, const Result& first) {
  std::vector<Tensor> x = leaves(p, DType::f64);
  for (int pass = 0; pass < 2; ++pass) backward(p.op(x), u);
  for (size_t i = 0; i < x.size(); ++i) {
    if (!p.differentiable[i]) continue;
    const Tensor twice = grad(x[i]);
    for (int64_t j = 0; j < twice.numel(); ++j)
      if (twice.data<double>()[j] != 2 * first.grads[i].data<double>()[j])
        return p.fail("a second backward does not add the same gradient of input ", i);
  }
}

void check_threads(Proof& p, const Tensor& u) {
  const int before = threads();
  std::vector<Result> r;
  for (int n : {1, 2, 3}) {
    set_threads(n);
    r.push_back(run(p, DType::f32, u));
  }
  set_threads(before);
  for (size_t n = 1; n < r.size(); ++n) {
    const std::string differs = str(" in f32 differs between 1 and ", n + 1, " threads");
    p.expect(same_bits(r[0].y, r[n].y), "the result", differs);
    for (size_t i = 0; i < p.inputs.size(); ++i)
      p.expect(same_bits(r[0].grads[i], r[n].grads[i]), "gradient ", i, differs);
  }
}

// x32, in f32, against x64, proven.
void check_f32(Proof& p, const std::string& what, const Tensor& x32, const Tensor& x64) {
  if (x32.dtype() != DType::f32) return p.fail(what, " of f32 inputs is in ", x32.dtype());
  p.expect(finite(x32), what, " in f32 is not finite");
  const double error = relative_error(x32, x64);
  p.expect(error <= p.options.f32_tolerance, what, " in f32 is off by ", error,
           " of its norm from f64's, ", p.options.f32_tolerance, " are allowed");
}

// Forward, then backward, on the CPU; returns what was proven for u.
Result check_cpu(Proof& p, const Tensor& y, const Tensor& u) {
  const Result r64 = run(p, DType::f64, u);
  const Result r32 = run(p, DType::f32, u);
  p.expect(same_bits(y, r64.y), "recording changes the result");
  p.expect(finite(y), "the result in f64 is not finite");
  // Of an empty batch every gradient is zero.
  const bool may_be_zero = p.options.may_be_zero || y.numel() == 0;
  p.expect(may_be_zero || !all_zero(y), "the result is all zero");
  if (p.options.reference) check_reference(p, y);
  check_f32(p, "the result", r32.y, y);
  for (size_t i = 0; i < p.inputs.size() && !p.failed; ++i) {
    if (!p.differentiable[i]) continue;
    check_gradient(p, i, r64.grads[i], u);
    if (p.failed) break;
    p.expect(may_be_zero || r64.grads[i].numel() == 0 || !all_zero(r64.grads[i]), "gradient ", i,
             " is all zero");
    check_f32(p, str("gradient ", i), r32.grads[i], r64.grads[i]);
  }
  return r64;
}

std::string title_of(const std::string& name, Inputs inputs) {
  std::string s = name + " on";
  for (size_t i = 0; i < inputs.size(); ++i)
    s += str(i ? ", " : " ", inputs[i].defined() ? str(inputs[i].shape()) : "nothing");
  return s;
}

}  // namespace

Result run(const Proof& p, DType dtype, const Tensor& u, Device device) {
  std::vector<Tensor> x = leaves(p, dtype, device);
  Tensor y = p.op(x);
  Result r{y.to(Device::cpu), std::vector<Tensor>(x.size())};
  if (!y.node) return r;
  backward(y, u.to(y.dtype()).to(device).view(y.shape()));
  for (size_t i = 0; i < x.size(); ++i)
    if (p.differentiable[i]) r.grads[i] = grad(x[i]).to(Device::cpu);
  return r;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.nbytes() == b.nbytes() &&
         (a.nbytes() == 0 || std::memcmp(a.raw(), b.raw(), a.nbytes()) == 0);
}

bool finite(const Tensor& x) {
  for (double v : x.to(DType::f64).to_vector<double>())
    if (!std::isfinite(v)) return false;
  return true;
}

std::vector<Tensor> rounded_to_bf16(const Proof& p) {
  std::vector<Tensor> x = p.inputs;
  for (size_t i = 0; i < x.size(); ++i)
    if (x[i].defined() && is_float(x[i].dtype()) && !p.is_parameter(i))
      x[i] = x[i].to(DType::bf16).to(DType::f64);
  return x;
}

Tensor randn(const Shape& shape, uint64_t seed, double mean, double deviation) {
  Tensor x = Tensor::empty(shape, DType::f64);
  Random random(seed, Purpose::test);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<double>()[i] = float(mean + deviation * random.normal());
  return x;
}

double relative_error(const Tensor& a, const Tensor& b) {
  CHECK(a.numel() == b.numel(), "relative_error: shapes ", a.shape(), " and ", b.shape());
  Tensor a64 = a.to(DType::f64), b64 = b.to(DType::f64);
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < a64.numel(); ++i) {
    const double d = a64.data<double>()[i] - b64.data<double>()[i];
    difference += d * d;
    norm += b64.data<double>()[i] * b64.data<double>()[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

void check_op(const std::string& name, const Op& op, std::vector<Tensor> inputs,
              const CheckOptions& options, std::source_location where) {
  std::vector<bool> differentiable = options.differentiable;
  if (differentiable.empty())
    for (const Tensor& x : inputs) differentiable.push_back(x.defined() && is_float(x.dtype()));
  std::vector<Tensor> before;
  for (const Tensor& x : inputs) before.push_back(x.clone());
  Proof p{title_of(name, inputs), op, inputs, differentiable, options, where};
  const testing::ScopedTrace trace(where.file_name(), int(where.line()), p.title);

  const Tensor y = [&] {
    NoGrad off;
    return op(inputs);
  }();
  if (y.dtype() != DType::f64) return p.fail("the result of f64 inputs is in ", y.dtype());
  const Tensor u = randn(y.shape(), 99);
  const Result r64 = check_cpu(p, y, u);
  for (size_t i = 0; i < inputs.size(); ++i)
    p.expect(same_bits(before[i], inputs[i]), "input ", i, " was changed");
  if (p.failed) return;
  check_second_backward(p, u, r64);
  check_threads(p, u);
  check_extremes(p);
  if (options.on_gpu && cuda::available() && !p.failed) check_gpu(p, u, r64);
}

void expect_error(const std::function<void()>& f, const std::vector<std::string>& parts) {
  try {
    f();
    ADD_FAILURE() << "no error was thrown";
  } catch (const Error& e) {
    for (const std::string& part : parts)
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos)
          << "\"" << part << "\" is not in: " << e.what();
  }
}

}  // namespace rmt::test

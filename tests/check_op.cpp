#include "tests/check_op.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "core/parallel.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/emulator.h"
#endif

namespace rmt::test {
namespace {

struct Result {
  Tensor y;
  std::vector<Tensor> grads;  // undefined where the input is not differentiable
};

// `parameters` (or none) are wide(dtype).
std::vector<Tensor> leaves(Inputs inputs, const std::vector<bool>& differentiable, DType dtype,
                           Device device = Device::cpu, const std::vector<bool>& parameters = {}) {
  std::vector<Tensor> out;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const DType type = i < parameters.size() && parameters[i] ? wide(dtype) : dtype;
    Tensor x = (inputs[i].defined() && is_float(inputs[i].dtype()) ? inputs[i].to(type) : inputs[i])
                   .to(device);
    out.push_back(differentiable[i] ? leaf(x) : x);
  }
  return out;
}

// Results are brought to the CPU.
Result run(const Op& op, Inputs inputs, const std::vector<bool>& differentiable, DType dtype,
           const Tensor& u, Device device = Device::cpu, const std::vector<bool>& parameters = {}) {
  std::vector<Tensor> x = leaves(inputs, differentiable, dtype, device, parameters);
  Tensor y = op(x);
  Result r{y.to(Device::cpu), std::vector<Tensor>(x.size())};
  if (!y.node) return r;
  backward(y, u.to(y.dtype()).to(device).view(y.shape()));
  for (size_t i = 0; i < x.size(); ++i)
    if (differentiable[i]) r.grads[i] = grad(x[i]).to(Device::cpu);
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

bool all_zero(const Tensor& x) {
  for (double v : x.to(DType::f64).to_vector<double>())
    if (v != 0) return false;
  return true;
}

double weighted_sum(const Op& op, Inputs inputs, const Tensor& u) {
  NoGrad off;
  Tensor y = op(inputs);
  double s = 0;
  for (int64_t i = 0; i < y.numel(); ++i) s += y.data<double>()[i] * u.data<double>()[i];
  return s;
}

void check_reference(const std::string& name, Inputs inputs, const Tensor& y,
                     const Naive& reference) {
  std::vector<double> expected = reference(inputs);
  ASSERT_EQ(int64_t(expected.size()), y.numel()) << name;
  for (size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(y.data<double>()[i], expected[i], 1e-12 * (1 + std::fabs(expected[i])))
        << name << ": element " << i << " differs from the definition";
}

void check_gradient(const std::string& name, const Op& op, Inputs inputs, size_t which,
                    const Tensor& g, const Tensor& u, const CheckOptions& o) {
  ASSERT_TRUE(g.defined()) << name << ": no gradient for input " << which;
  std::vector<Tensor> x = inputs;
  x[which] = inputs[which].clone();
  double* p = x[which].data<double>();
  double scale = 0;  // of the gradient: errors are measured against it
  for (int64_t i = 0; i < g.numel(); ++i) scale = std::max(scale, std::fabs(g.data<double>()[i]));
  int64_t step = std::max<int64_t>(1, g.numel() / o.max_probes);
  for (int64_t i = 0; i < g.numel(); i += step) {
    double saved = p[i], h = 1e-5 * (1 + std::fabs(saved));
    p[i] = saved + h;
    double plus = weighted_sum(op, x, u);
    p[i] = saved - h;
    double minus = weighted_sum(op, x, u);
    p[i] = saved;
    ASSERT_NEAR(g.data<double>()[i], (plus - minus) / (2 * h), o.gradient_tolerance * (1 + scale))
        << name << ": gradient of input " << which << ", element " << i << " of shape "
        << str(g.shape());
  }
}

void check_second_backward(const std::string& name, const Op& op, Inputs inputs,
                           const std::vector<bool>& differentiable, const Tensor& u,
                           const Result& first) {
  std::vector<Tensor> x = leaves(inputs, differentiable, DType::f64);
  for (int pass = 0; pass < 2; ++pass) backward(op(x), u);
  for (size_t i = 0; i < x.size(); ++i) {
    if (!differentiable[i]) continue;
    Tensor twice = grad(x[i]);
    for (int64_t j = 0; j < twice.numel(); ++j)
      ASSERT_EQ(twice.data<double>()[j], 2 * first.grads[i].data<double>()[j])
          << name << ": a second backward does not add the same gradient of input " << i;
  }
}

void check_threads(const std::string& name, const Op& op, Inputs inputs,
                   const std::vector<bool>& differentiable, const Tensor& u) {
  int before = threads();
  std::vector<Result> r;
  for (int n : {1, 2, 3}) {
    set_threads(n);
    r.push_back(run(op, inputs, differentiable, DType::f32, u));
  }
  set_threads(before);
  for (size_t n = 1; n < r.size(); ++n) {
    EXPECT_TRUE(same_bits(r[0].y, r[n].y))
        << name << ": the result depends on the number of threads";
    for (size_t i = 0; i < inputs.size(); ++i)
      EXPECT_TRUE(same_bits(r[0].grads[i], r[n].grads[i]))
          << name << ": gradient " << i << " depends on the number of threads";
  }
}

// The error of a result of the GPU in dtype: see CheckOptions.
void check_close(const std::string& what, const Tensor& x, const Tensor& x64, DType dtype,
                 const CheckOptions& o) {
  ASSERT_EQ(x.dtype() == DType::bf16 ? DType::bf16 : wide(dtype), x.dtype()) << what;
  double tolerance = dtype == DType::f64 ? 1e-12 : o.f32_tolerance;
  if (dtype == DType::bf16) tolerance += o.bf16_tolerance;
  if (x.dtype() == DType::bf16) tolerance += 2 * relative_error(x64.to(DType::bf16), x64);
  EXPECT_TRUE(finite(x)) << what;
  EXPECT_LE(relative_error(x, x64), tolerance) << what;
}

void check_gpu(const std::string& name, const Op& op, Inputs inputs,
               const std::vector<bool>& differentiable, const Tensor& u, const Result& r64,
               const CheckOptions& o) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    Result expected = r64;
    std::vector<Tensor> x = inputs;
    Tensor upstream = u;
    if (dtype == DType::bf16) {  // the f64 results for the rounded numbers that bf16 sees
      for (size_t i = 0; i < x.size(); ++i)
        if (x[i].defined() && is_float(x[i].dtype()) &&
            !(i < o.parameters.size() && o.parameters[i]))
          x[i] = x[i].to(DType::bf16).to(DType::f64);
      upstream = u.to(DType::bf16).to(DType::f64);
      expected = run(op, x, differentiable, DType::f64, upstream);
    }
    std::vector<Result> r;
    for_thread_orders([&] {
      if (dtype != DType::f64 || r.empty())
        r.push_back(run(op, x, differentiable, dtype, upstream, Device::cuda, o.parameters));
    });
    const std::string on = str(name, " on the GPU in ", dtype);
    check_close(on + ": result", r[0].y, expected.y, dtype, o);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (differentiable[i])
        check_close(str(on, ": gradient ", i), r[0].grads[i], expected.grads[i], dtype, o);
    for (size_t n = 1; n < r.size(); ++n) {
      EXPECT_TRUE(same_bits(r[0].y, r[n].y))
          << on << ": the result depends on the order of threads (order " << n << ")";
      for (size_t i = 0; i < inputs.size(); ++i)
        EXPECT_TRUE(same_bits(r[0].grads[i], r[n].grads[i]))
            << on << ": gradient " << i << " depends on the order of threads (order " << n << ")";
    }
  }
}

}  // namespace

void for_thread_orders(const std::function<void()>& f) {
#ifdef RMT_CUDA
  f(), f();
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
    double d = a64.data<double>()[i] - b64.data<double>()[i];
    difference += d * d;
    norm += b64.data<double>()[i] * b64.data<double>()[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / norm);
}

void check_op(const std::string& name, const Op& op, std::vector<Tensor> inputs,
              const CheckOptions& o) {
  SCOPED_TRACE(name);
  std::vector<bool> differentiable = o.differentiable;
  if (differentiable.empty())
    for (const Tensor& x : inputs) differentiable.push_back(x.defined() && is_float(x.dtype()));
  std::vector<Tensor> before;
  for (const Tensor& x : inputs) before.push_back(x.clone());

  Tensor y = [&] {
    NoGrad off;
    return op(inputs);
  }();
  ASSERT_EQ(y.dtype(), DType::f64) << name;
  Tensor u = randn(y.shape(), 99);
  Result r64 = run(op, inputs, differentiable, DType::f64, u),
         r32 = run(op, inputs, differentiable, DType::f32, u);

  EXPECT_TRUE(same_bits(y, r64.y)) << name << ": recording changes the result";
  EXPECT_TRUE(finite(y)) << name;
  bool may_be_zero = o.may_be_zero || y.numel() == 0;  // of an empty batch every gradient is zero
  EXPECT_TRUE(may_be_zero || !all_zero(y)) << name << ": the result is all zero";
  if (o.reference) check_reference(name, inputs, y, o.reference);
  EXPECT_EQ(r32.y.dtype(), DType::f32) << name;
  EXPECT_LE(relative_error(r32.y, y), o.f32_tolerance) << name << ": f32 result";
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_TRUE(same_bits(before[i], inputs[i])) << name << ": input " << i << " was changed";
    if (!differentiable[i]) continue;
    check_gradient(name, op, inputs, i, r64.grads[i], u, o);
    if (testing::Test::HasFatalFailure()) return;
    EXPECT_TRUE(finite(r32.grads[i])) << name << ": gradient " << i;
    EXPECT_TRUE(may_be_zero || r64.grads[i].numel() == 0 || !all_zero(r64.grads[i]))
        << name << ": gradient " << i << " is all zero";
    EXPECT_LE(relative_error(r32.grads[i], r64.grads[i]), o.f32_tolerance)
        << name << ": f32 gradient " << i;
  }
  if (r64.grads.size()) check_second_backward(name, op, inputs, differentiable, u, r64);
  check_threads(name, op, inputs, differentiable, u);
  if (o.on_gpu && cuda::available() && !testing::Test::HasFatalFailure())
    check_gpu(name, op, inputs, differentiable, u, r64, o);
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

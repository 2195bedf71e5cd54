// check_op: everything that must hold for an op, in one call. tests/ops/<op>_test.cpp gives the op,
// its inputs and a slow definition of it. tests/README.md says what is asserted, how exactly, and
// why.
#pragma once
#include <functional>
#include <source_location>
#include <string>
#include <vector>

#include "autograd/tape.h"
#include "core/random.h"

namespace rmt::test {

using Inputs = const std::vector<Tensor>&;
using Op = std::function<Tensor(Inputs)>;
// The definition, on f64 tensors, by plain loops: the elements of y in order.
using Naive = std::function<std::vector<double>(Inputs)>;

struct CheckOptions {
  // The f64 result is compared with it: |y - ref| <= 1e-12 (1 + |ref|), which leaves room for sums
  // of a few thousand rounded terms.
  Naive reference = nullptr;

  // Which inputs have a gradient; default: all of floating point.
  std::vector<bool> differentiable = {};

  // f32 against f64 on the same (f32-representable) inputs, for y and every gradient:
  // ||y32 - y64|| <= f32_tolerance ||y64||. The default is 16 roundings of 2^-24 an element; an op
  // with long chains states its own and why.
  double f32_tolerance = 16 * 0x1p-24;

  // Central differences (x +- h, h = 1e-5 (1 + |x|)) in f64: error h^2 f''' / 6 + 2e-16 |y| / h,
  // about 1e-10 for values of order 1.
  double gradient_tolerance = 2e-8;

  // On the GPU in bf16: inputs that are f32 there (parameters; activations are bf16). Error against
  // f64 on the same bf16-representable inputs: for a result in f32 the f32_tolerance, for one in
  // bf16 twice the error of rounding the f64 result to bf16, plus the f32_tolerance, plus
  // bf16_tolerance, for an op that rounds to bf16 on the way and says how often and why.
  std::vector<bool> parameters = {};
  double bf16_tolerance = 0;

  // False for an op that has no kernel there, and says so.
  bool on_gpu = true;

  // Else a result or a gradient of zeros alone fails.
  bool may_be_zero = false;

  // Elements of an input whose derivative is taken numerically, evenly spread when there are more.
  int64_t max_probes = 200;
};

// y = op(inputs), for inputs in f64 (integer inputs as they are). Checks
//   * y against the definition, and finite;
//   * gradients in f64 against central differences of sum(y u) with a random u;
//   * f32 against f64, forward and backward;
//   * that inputs stay as they were, that recording does not change y, and that a second backward
//     adds exactly the same again;
//   * that 1, 2 and 3 threads give the same bits;
//   * for an elementwise op (each y[i] depends on the i-th elements alone, which is tried out):
//     zeros, denormals and numbers up to 1e30 in f64, f32 and bf16, whose results and gradients
//     must be finite wherever the exact ones are;
//   * on the GPU, real or emulated: f64 equal to the CPU's up to rounding, f32 and bf16 within
//     their tolerances, the same bits under every order of threads (emulated) or from run to run.
// Failures are reported through GoogleTest at the line of the call, with name, shapes and dtype.
void check_op(const std::string& name, const Op& op, std::vector<Tensor> inputs,
              const CheckOptions& options = {},
              std::source_location where = std::source_location::current());

// f64 numbers from N(0, 1), rounded to f32 so that both precisions see the same values.
Tensor randn(const Shape& shape, uint64_t seed = 1, double mean = 0, double deviation = 1);

// f() once for each order in which an emulated GPU may run its threads
// (core/cuda/emulator/emulator.h), with access to its memory locked outside kernels; twice on a
// real one.
void for_thread_orders(const std::function<void()>& f);

// ||a - b|| / ||b|| in double (0 when both are 0).
double relative_error(const Tensor& a, const Tensor& b);

// EXPECTs that f throws rmt::Error whose message contains every one of `parts`.
void expect_error(const std::function<void()>& f, const std::vector<std::string>& parts);

}  // namespace rmt::test

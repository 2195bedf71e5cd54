// What the parts of check_op share: the op that is on trial, and how it is run.
#pragma once
#include <gtest/gtest.h>

#include "core/device.h"
#include "tests/check_op.h"

namespace rmt::test {

// One call of check_op.
struct Proof {
  std::string title;  // "softmax on (2, 7), (7)"
  const Op& op;
  const std::vector<Tensor> inputs;        // f64, integers as they are
  const std::vector<bool> differentiable;  // of each input
  const CheckOptions& options;
  const std::source_location where;  // the call
  bool failed = false;

  // Reports a failure at the line of the call.
  template <class... Parts>
  void fail(const Parts&... parts) {
    failed = true;
    ADD_FAILURE_AT(where.file_name(), int(where.line())) << title << ": " << str(parts...);
  }
  template <class... Parts>
  void expect(bool holds, const Parts&... parts) {
    if (!holds) fail(parts...);
  }
  // The inputs are those, of the same shapes: the other members stay.
  Proof with(std::vector<Tensor> other) const {
    return {title, op, std::move(other), differentiable, options, where};
  }
  bool is_parameter(size_t i) const {
    return i < options.parameters.size() && options.parameters[i];
  }
};

struct Result {
  Tensor y;
  std::vector<Tensor> grads;  // undefined where the input is not differentiable
};

// y and the gradients of sum(y u), computed in dtype on the device (there, parameters in
// wide(dtype)), brought to the CPU.
Result run(const Proof& p, DType dtype, const Tensor& u, Device device = Device::cpu);

bool same_bits(const Tensor& a, const Tensor& b);
bool finite(const Tensor& x);

// f64's numbers as bf16 has them; where options say that an input is a parameter it stays.
std::vector<Tensor> rounded_to_bf16(const Proof& p);

// check_op_gpu.cpp: the kernels against r64, the CPU's proven result in f64.
void check_gpu(Proof& p, const Tensor& u, const Result& r64);

// check_op_extremes.cpp: an elementwise op at zeros, denormals and large numbers.
void check_extremes(Proof& p);

}  // namespace rmt::test

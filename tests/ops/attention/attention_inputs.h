// Inputs and calls that the tests of attention share.
#pragma once
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "autograd/backward.h"
#include "ops/attention/definition.h"
#include "ops/attention/manhattan_attention.h"
#include "tests/check_op.h"

namespace rmt::test {

constexpr ops::Axis kAxes[] = {ops::Axis::W, ops::Axis::H, ops::Axis::both};
constexpr ops::DecayMode kModes[] = {ops::DecayMode::log_additive, ops::DecayMode::post_multiply,
                                     ops::DecayMode::post_multiply_normalised};
constexpr double kEps32 = 0x1p-24, kEps64 = 0x1p-53;

// cos(n angle), sin(n angle) with angle_j = 10000^(-j / (D / 2 - 1)), rounded to float so that both
// precisions see the same table.
inline Tensor rotary_of(int64_t H, int64_t W, int64_t D) {
  Tensor t = Tensor::empty({H * W, D}, DType::f64);
  for (int64_t n = 0; n < H * W; ++n)
    for (int64_t j = 0; j < D; ++j) {
      const double exponent = D > 2 ? -double(j / 2) / double(D / 2 - 1) : 0;
      const double angle = double(n) * std::pow(10000, exponent);
      t.data<double>()[n * D + j] = float(j % 2 ? std::sin(angle) : std::cos(angle));
    }
  return t;
}

// log(1 - 2^(-2 - 3 i / heads)): the reference's decays, -0.29 for the first head.
inline Tensor decays(int64_t heads) {
  Tensor d = Tensor::empty({heads}, DType::f64);
  for (int64_t i = 0; i < heads; ++i)
    d.data<double>()[i] = float(std::log1p(-std::exp2(-2 - 3 * double(i) / double(heads))));
  return d;
}

// q, k, v (B, H, W, heads D), decay (heads), rotary (H W, D) or undefined, in f64.
inline std::vector<Tensor> inputs_for(int64_t B, int64_t H, int64_t W, int64_t heads, int64_t D,
                                      bool rotary = true) {
  const Shape shape{B, H, W, heads * D};
  return {randn(shape, 1), randn(shape, 2), randn(shape, 3), decays(heads),
          rotary ? rotary_of(H, W, D) : Tensor()};
}

inline Tensor attend(Inputs in, const ops::ManhattanOptions& o) {
  return ops::manhattan_attention(in[0], in[1], in[2], in[3], in[4], o);
}
inline Tensor define(Inputs in, const ops::ManhattanOptions& o) {
  return ops::definition::manhattan_attention(in[0], in[1], in[2], in[3], in[4], o);
}

inline std::vector<Tensor> to(Inputs in, DType dtype) {
  std::vector<Tensor> out;
  for (const Tensor& x : in) out.push_back(x.defined() ? x.to(dtype) : x);
  return out;
}

// y, dq, dk, dv of the op, computed on `device` with q, k, v and dy = u in `dtype`; on the CPU.
inline std::vector<Tensor> results(Inputs in, const Tensor& u, const ops::ManhattanOptions& o,
                                   DType dtype, Device device) {
  std::vector<Tensor> x;
  for (size_t i = 0; i < in.size(); ++i) {
    if (!in[i].defined()) {
      x.emplace_back();
      continue;
    }
    const Tensor here = in[i].to(i < 3 ? dtype : wide(dtype)).to(device);
    x.push_back(i < 3 ? leaf(here) : here);
  }
  const Tensor y = attend(x, o);
  backward(y, u.to(dtype).to(device));
  return {y.detach().to(Device::cpu), grad(x[0]).to(Device::cpu), grad(x[1]).to(Device::cpu),
          grad(x[2]).to(Device::cpu)};
}

inline void expect_near(const Tensor& a, const Tensor& b, double tolerance,
                        const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  const std::vector<double> x = a.to(DType::f64).to_vector<double>();
  const std::vector<double> y = b.to(DType::f64).to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_NEAR(x[i], y[i], tolerance) << what << ", element " << i;
}

inline std::string name_of(const ops::ManhattanOptions& o) {
  const char* axes[] = {"W", "H", "both"};
  return str("axis ", axes[int(o.axis)], ", mode ", int(o.mode), ", heads ", o.heads);
}

}  // namespace rmt::test

#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/layer_norm.h"
#include "ops/mul.h"
#include "ops/residual_add.h"
#include "ops/residual_layer_norm.h"
#include "ops/sum.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

constexpr double eps = 1e-6;

// in: x, f, gamma or undefined, s or undefined, w, bias
ops::ResidualNorm fused(Inputs in) {
  return ops::residual_layer_norm(in[0], in[1], in[2], in[3], in[4], in[5], eps);
}
Tensor sum_alone(Inputs in) { return ops::residual_add(in[0], in[1], in[2], in[3]); }
Tensor slow(Inputs in) { return ops::layer_norm(sum_alone(in), in[4], in[5], eps); }

// What is normalized is a sum rounded to bf16 (2^-9 of it), and the gradient that comes back to it
// is rounded once more.
constexpr double kBf16 = 2 * 0x1p-9;
const std::vector<bool> parameters{false, false, true, true, true, true};

std::vector<Tensor> inputs(const Shape& shape, bool with_gamma, bool with_s) {
  const int64_t C = shape[-1], B = shape[0];
  Tensor s = with_s ? Tensor::full({B}, 1.25, DType::f64) : Tensor();
  for (int64_t b = 0; with_s && b < B; b += 3) s.data<double>()[b] = 0;
  return {randn(shape, 1), randn(shape, 2), with_gamma ? randn({C}, 3) : Tensor(), s,
          randn({C}, 4),   randn({C}, 5)};
}

}  // namespace

TEST(ResidualLayerNorm, Op) {
  for (Shape shape :
       {Shape{2, 13}, Shape{5, 7, 7, 16}, Shape{3, 49, 32}, Shape{2, 3, 640}, Shape{2, 3, 1100}})
    for (bool with_gamma : {false, true})
      for (bool with_s : {false, true}) {
        if (with_gamma == with_s && shape[-1] != 13) continue;  // both and neither: at one size
        const bool grads = with_gamma != with_s;  // enough: the gradients are those of the two ops
        const std::vector<bool> of_sum{true, true, with_gamma, false, false, false},
            of_normed{true, grads, grads && with_gamma, false, grads, grads};
        check_op("residual_layer_norm: sum", [](Inputs in) { return fused(in).sum; },
                 inputs(shape, with_gamma, with_s),
                 {.reference = [](Inputs in) { return sum_alone(in).to_vector<double>(); },
                  .differentiable = of_sum,
                  .parameters = parameters,
                  .max_probes = 10});
        check_op("residual_layer_norm: normed", [](Inputs in) { return fused(in).normed; },
                 inputs(shape, with_gamma, with_s),
                 {.reference = [](Inputs in) { return slow(in).to_vector<double>(); },
                  .differentiable = of_normed,
                  .parameters = parameters,
                  .bf16_tolerance = kBf16,
                  .max_probes = 10});
      }
}

// sum normed, so that a gradient comes through both and they meet in one pass.
TEST(ResidualLayerNorm, BothResults) {
  for (Shape shape : {Shape{3, 5, 13}, Shape{2, 9, 64}, Shape{2, 2, 1100}})
    check_op(
        "residual_layer_norm: sum normed",
        [](Inputs in) {
          const ops::ResidualNorm r = fused(in);
          return ops::mul(r.sum, r.normed);
        },
        inputs(shape, true, true),
        {.reference =
             [](Inputs in) {
               std::vector<double> a = sum_alone(in).to_vector<double>(),
                                   b = slow(in).to_vector<double>();
               for (size_t i = 0; i < a.size(); ++i) a[i] *= b[i];
               return a;
             },
         .differentiable = {true, true, true, false, true, true},
         .parameters = parameters,
         .bf16_tolerance =
             6 * 0x1p-9,  // both results are rounded, and the gradients of both on the way back
         .max_probes = 20});
}

TEST(ResidualLayerNorm, EmptyBatch) {
  check_op("residual_layer_norm", [](Inputs in) { return fused(in).normed; },
           inputs({0, 7, 13}, true, true),
           {.differentiable = {true, true, true, false, true, true},
            .parameters = parameters,
            .may_be_zero = true});
}

TEST(ResidualLayerNorm,
     BothResultsGiveGradients) {  // as in a block: the sum goes on as the shortcut, what is
                                  // normalized into the next branch
  for (Device device : {Device::cpu, Device::cuda}) {
    if (device == Device::cuda && !cuda::available()) continue;
    std::vector<Tensor> in = inputs({3, 7, 16}, true, true), a, b;
    for (const Tensor& x : in) a.push_back(leaf(x.to(device))), b.push_back(leaf(x.to(device)));
    a[3] = b[3] = in[3].to(device);
    ops::ResidualNorm r = fused(a);
    backward(ops::sum(ops::mul(r.sum, r.normed)));
    backward(ops::sum(ops::mul(sum_alone(b), slow(b))));
    for (size_t i : {0, 1, 2, 4, 5})
      EXPECT_LE(relative_error(grad(a[i]).to(Device::cpu), grad(b[i]).to(Device::cpu)), 1e-13)
          << i << " on " << device;
  }
}

TEST(ResidualLayerNorm, BitsOfTheTwoOps) {  // on the GPU in bf16, what is normalized is the rounded
                                            // sum, as in the composition
  if (!cuda::available()) return;
  for (Shape shape : {Shape{3, 5, 64}, Shape{2, 9, 13}, Shape{2, 2, 1100}}) {
    std::vector<Tensor> in = inputs(shape, false, true);
    for (size_t i = 0; i < in.size(); ++i)
      if (in[i].defined()) in[i] = in[i].to(i < 2 ? DType::bf16 : DType::f32).to(Device::cuda);
    ops::ResidualNorm r = fused(in);
    EXPECT_EQ(relative_error(r.sum.to(Device::cpu), sum_alone(in).to(Device::cpu)), 0);
    EXPECT_EQ(relative_error(r.normed.to(Device::cpu), slow(in).to(Device::cpu)), 0);
  }
}

TEST(ResidualLayerNorm, Errors) {
  Tensor x = randn({3, 7, 13}), gamma = randn({13}), s = randn({3}), w = randn({13});
  auto call = [&](const Tensor& x_, const Tensor& f, const Tensor& g, const Tensor& s_,
                  const Tensor& w_, const Tensor& b) {
    return [=] { ops::residual_layer_norm(x_, f, g, s_, w_, b, eps); };
  };
  expect_error(call({}, x, gamma, s, w, w), {"residual_layer_norm", "x is undefined"});
  expect_error(call(gamma, gamma, {}, {}, w, w), {"residual_layer_norm", "(13)", "(B, ..., C)"});
  expect_error(call(x, randn({3, 13}), {}, {}, w, w),
               {"residual_layer_norm", "f is f64 (3, 13)", "expected f64 (3, 7, 13)"});
  expect_error(call(x, x, randn({7}), {}, w, w),
               {"residual_layer_norm", "gamma is f64 (7)", "expected 13 elements"});
  expect_error(call(x, x, gamma, randn({7}), w, w),
               {"residual_layer_norm", "s is f64 (7)", "expected f64 (3)"});
  expect_error(call(x, x, gamma, leaf(s), w, w), {"residual_layer_norm", "s has no gradient"});
  expect_error(call(x, x, gamma, s, {}, w), {"residual_layer_norm", "w is undefined"});
  expect_error(call(x, x, gamma, s, w, randn({7})),
               {"residual_layer_norm", "bias is f64 (7)", "expected f64 (13)"});
}

}  // namespace rmt::test

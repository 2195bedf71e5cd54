// On the GPU kernels move 16 bytes at a time where the pointers and the extents allow it. Here they
// do not: every tensor begins one element into its storage, and the results must be those of
// aligned tensors, up to the order of sums.
#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/add.h"
#include "ops/batch_norm.h"
#include "ops/cross_entropy.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"
#include "ops/mean_pool.h"
#include "ops/mul.h"
#include "ops/residual_add.h"
#include "ops/residual_layer_norm.h"
#include "ops/silu.h"
#include "ops/softmax.h"
#include "ops/sum.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

Tensor shifted(const Tensor& x, bool shift) {
  if (!x.defined() || !shift) return x;
  Tensor room = Tensor::empty({x.numel() + 1}, x.dtype(), x.device());
  Tensor y = room.slice(1, x.numel() + 1).view(x.shape());
  y.copy_from(x);
  return y;
}

// The result and the gradients of the floating-point inputs, of which those from `parameters` on
// are wide(dtype).
std::vector<Tensor> run(const Op& op, Inputs inputs, size_t parameters, DType dtype, bool shift) {
  std::vector<Tensor> x;
  for (size_t i = 0; i < inputs.size(); ++i)
    x.push_back(
        !inputs[i].defined()
            ? Tensor()
            : leaf(shifted(inputs[i].to(i < parameters ? dtype : wide(dtype)).to(Device::cuda),
                           shift)));
  Tensor y = op(x);
  backward(y, shifted(randn(y.shape(), 99).to(y.dtype()).to(Device::cuda), shift));
  std::vector<Tensor> out{y.detach()};
  for (const Tensor& v : x) out.push_back(v.defined() ? grad(v) : Tensor());
  return out;
}

void check_unaligned(const std::string& name, const Op& op, Inputs inputs, size_t parameters = 99) {
  if (!cuda::available()) return;
  for (DType dtype : {DType::f32, DType::bf16}) {
    std::vector<Tensor> a = run(op, inputs, parameters, dtype, false),
                        b = run(op, inputs, parameters, dtype, true);
    for (size_t i = 0; i < a.size(); ++i) {
      if (!a[i].defined()) continue;
      EXPECT_LE(relative_error(b[i].to(Device::cpu), a[i].to(Device::cpu)),
                b[i].dtype() == DType::bf16 ? 0x1p-9 : 16 * 0x1p-24)
          << name << " in " << dtype << ": " << (i ? str("gradient ", i - 1) : "result");
    }
  }
}

}  // namespace

TEST(Unaligned, Elementwise) {
  Tensor x = randn({5, 104}, 1), y = randn({5, 104}, 2);
  check_unaligned("add", [](Inputs in) { return ops::add(in[0], in[1]); }, {x, y});
  check_unaligned("mul", [](Inputs in) { return ops::mul(in[0], in[1]); }, {x, y});
  check_unaligned("gelu", [](Inputs in) { return ops::gelu(in[0]); }, {x});
  check_unaligned("silu", [](Inputs in) { return ops::silu(in[0]); }, {x});
}

TEST(Unaligned, Rows) {  // 40 columns: registers in either case; 640: from memory when unaligned
  for (int64_t C : {40, 640}) {
    Tensor x = randn({7, C}, 1, 0.5, 2), w = randn({C}, 2), bias = randn({C}, 3);
    check_unaligned("softmax", [](Inputs in) { return ops::softmax(in[0]); }, {x});
    check_unaligned(
        "layer_norm", [](Inputs in) { return ops::layer_norm(in[0], in[1], in[2], 1e-6); },
        {x, w, bias}, 1);
    check_unaligned(
        "batch_norm", [](Inputs in) { return ops::batch_norm(in[0], in[1], in[2], {}, {}, {}); },
        {x, w, bias}, 1);
    check_unaligned(
        "residual_add", [](Inputs in) { return ops::residual_add(in[0], in[1], in[2]); },
        {x, randn({7, C}, 4), w}, 2);
    check_unaligned(
        "residual_layer_norm",
        [](Inputs in) {
          return ops::residual_layer_norm(in[0], in[1], in[2], {}, in[3], in[4], 1e-6).normed;
        },
        {x, randn({7, C}, 4), w, w, bias}, 2);
    Tensor target = Tensor::full({7, C}, 1. / double(C), DType::f64);
    check_unaligned("cross_entropy",
                    [=](Inputs in) {
                      return ops::cross_entropy(in[0],
                                                target.to(wide(in[0].dtype())).to(Device::cuda));
                    },
                    {x});
  }
}

TEST(Unaligned, Sums) {
  check_unaligned("sum", [](Inputs in) { return ops::sum(in[0]); }, {randn({5, 104}, 1, 1)});
  check_unaligned("mean_pool", [](Inputs in) { return ops::mean_pool(in[0]); },
                  {randn({3, 5, 7, 40})});
}

}  // namespace rmt::test

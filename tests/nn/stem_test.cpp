// The stem and the downsampling, whose convolutions and batch norms share kernels on a GPU, beside
// the same modules one after the other.
#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "nn/rmt/stage.h"
#include "ops/gelu.h"
#include "tests/check_op.h"
#include "tests/golden_model.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/machine.h"
#endif

namespace rmt::test {
namespace {

Tensor in_turn(nn::Stem& stem, Tensor x) {
  for (size_t i = 0; i < stem.layers.size(); ++i) {
    if (i > 0) x = ops::gelu(x);
    x = stem.layers[i].norm.forward(stem.layers[i].conv.forward(x));
  }
  return x;
}
Tensor in_turn(nn::Downsample& m, const Tensor& x) {
  return m.norm.forward(m.reduction.forward(x));
}

// The result, the gradient of x and of each parameter, and the running statistics, in f64.
struct Named {
  std::string name;
  Tensor value;
};
template <class M>
using New = std::unique_ptr<M> (*)();
template <class M>
std::vector<Named> run(New<M> make, Tensor x, bool training, DType dtype, Device device,
                       Tensor (*forward)(M&, Tensor)) {
  const std::unique_ptr<M> held = make();
  M& module = *held;
  golden_fill(module);
  module.to(wide(dtype));
  module.to(device);
  module.mode().training = training;
  x = leaf(x.to(dtype).to(device));
  const Tensor y = forward(module, x);
  backward(y, randn(y.shape(), 2).to(dtype).to(device));
  auto exact = [](const Tensor& t) { return t.to(Device::cpu).to(DType::f64); };
  std::vector<Named> out{{"y", exact(y)}};
  if (x.dim(3) > 3) out.push_back({"dx", exact(grad(x))});
  for (const nn::Entry& e : module.state())
    if (!e.parameter)
      out.push_back({e.name, exact(*e.tensor)});
    else if (e.tensor->rank() == 4 || !training || e.name.find("bias") == std::string::npos)
      out.push_back({e.name, exact(grad(*e.tensor))});  // a bias before a norm has none
  return out;
}

// In bf16 both are off by their roundings, of which the modules one after the other have more: the
// norm of what each is off by, beside f64, differs by chance alone. Where a tensor has few numbers,
// it may be twice as large; and a rounding, 2^-9, is always allowed.
template <class M>
void expect_as_exact(New<M> make, const Tensor& x) {
  for (bool training : {true, false}) {
    auto as_is = [](M& m, Tensor in) { return m.forward(in); };
    auto composed = [](M& m, Tensor in) { return in_turn(m, in); };
    const Tensor rounded = x.to(DType::bf16).to(DType::f64);
    const auto exact = run<M>(make, rounded, training, DType::f64, Device::cpu, composed),
               fused = run<M>(make, rounded, training, DType::bf16, Device::cuda, as_is),
               parts = run<M>(make, rounded, training, DType::bf16, Device::cuda, composed);
    for (size_t i = 0; i < exact.size(); ++i) {
      const double of_fused = relative_error(fused[i].value, exact[i].value),
                   of_parts = relative_error(parts[i].value, exact[i].value);
      EXPECT_LE(of_fused, 2 * of_parts + 0x1p-9) << exact[i].name << ", training " << training;
      EXPECT_LT(of_parts, 0.1) << exact[i].name << ", training " << training;
    }
  }
}

}  // namespace

TEST(Stem, InBf16IsAsExactAsItsModulesInTurn) {
  if (!cuda::available()) return;
  expect_as_exact<nn::Stem>([] { return std::make_unique<nn::Stem>(16, true); },
                            randn({2, 37, 41, 3}, 1));
  expect_as_exact<nn::Downsample>([] { return std::make_unique<nn::Downsample>(16, 24); },
                                  randn({2, 13, 11, 16}, 1));
}

#ifndef RMT_CUDA
TEST(Stem, GoesThroughNoMapForItsNormsAndGelus) {
  nn::Stem stem(16, true);
  golden_fill(stem);
  stem.to(Device::cuda);
  stem.mode().training = true;
  const Tensor x = randn({1, 12, 12, 3}, 1).to(DType::bf16).to(Device::cuda);
  stem.forward(x);  // makes the number 1 that each norm counts with
  const int64_t before = emulator::counters().launches;
  stem.forward(x);
  // Four convolutions: the filters' order, the product, the tiles' sums joined in two steps, and
  // moments of these; four statistics and counts of batches; one map is normalised.
  EXPECT_EQ(emulator::counters().launches - before, 4 * 5 + 4 * 2 + 1);
}
#endif

}  // namespace rmt::test

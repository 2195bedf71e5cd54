#include <gtest/gtest.h>

#include "core/cuda/device.h"
#include "ops/gelu.h"
#include "tests/check_op.h"

namespace rmt::test {

TEST(Gelu, Op) {
  auto naive = [](Inputs in) {
    std::vector<double> y = in[0].to_vector<double>();
    for (double& v : y) v = v * 0.5 * (1 + std::erf(v / std::sqrt(2.0)));
    return y;
  };
  for (Shape shape : {Shape{1}, Shape{7, 13}, Shape{2, 3, 49}, Shape{0, 5}, Shape{3, 40000}})
    check_op("gelu", [](Inputs in) { return ops::gelu(in[0]); }, {randn(shape, 1, 0, 3)},
             {.reference = naive});
}

TEST(Gelu, FloatPhiIsWithinTwoRoundingsOfTheExactOne) {  // the fit's 1.5e-9 and a few roundings of
                                                         // numbers below 1
  for (float v = -12; v <= 12; v += 0.01f) {
    double exact = 0.5 * double(v) * std::erfc(-double(v) / std::sqrt(2.0));
    EXPECT_NEAR(ops::gelu(Tensor::full({1}, v)).item<float>(), exact, 2 * 0x1p-23 * std::fabs(v))
        << v;
  }
}

TEST(Gelu, FloatOnTheGpuIsWithinThreeRoundingsOfTheExactOne) {
  if (!cuda::available()) return;
  std::vector<float> v;
  for (float x = -12; x <= 12; x += 0.01f) v.push_back(x);
  const std::vector<float> y =
      ops::gelu(Tensor::from<float>(v, {int64_t(v.size())}).to(Device::cuda)).to_vector<float>();
  for (size_t i = 0; i < v.size(); ++i)
    EXPECT_NEAR(y[i], 0.5 * double(v[i]) * std::erfc(-double(v[i]) / std::sqrt(2.0)),
                3 * 0x1p-23 * std::fabs(v[i]))
        << v[i];
}

}  // namespace rmt::test

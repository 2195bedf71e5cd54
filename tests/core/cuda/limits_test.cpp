// The sizes of core/cuda/limits.h: however kernels divide their work by them, results are the same.
// Inputs are small integers, of which sums are exact in any order, so that bits can be compared.
#include "core/cuda/limits.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "ops/add.h"
#include "ops/conv2d.h"
#include "ops/depthwise_conv2d.h"
#include "ops/linear.h"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
namespace {

using LimitsTest = OnDevice;

Tensor integers(const Shape& shape, uint64_t seed, DType dtype) {
  const Tensor x = randn(shape, seed);
  for (int64_t i = 0; i < x.numel(); ++i) {
    double& v = x.data<double>()[i];
    v = std::round(std::clamp(v, -2., 2.));
  }
  return x.to(dtype).to(Device::cuda);
}

// op's result and the gradients of x, w and bias, under these limits.
std::vector<std::vector<double>> results(const cuda::Limits& limits, const Op& op, DType dtype,
                                         const std::vector<Shape>& shapes) {
  const cuda::WithLimits with(limits);
  const std::vector<Tensor> in{leaf(integers(shapes[0], 1, dtype)),
                               leaf(integers(shapes[1], 2, wide(dtype))),
                               leaf(integers(shapes[2], 3, wide(dtype)))};
  const Tensor y = op(in);
  backward(y, integers(y.shape(), 4, dtype));
  std::vector<std::vector<double>> all;
  for (const Tensor& t : {y, grad(in[0]), grad(in[1]), grad(in[2])})
    all.push_back(t.to(Device::cpu).to(DType::f64).to_vector<double>());
  return all;
}

// The same under both, and as the CPU has it.
void expect_same(const char* what, const cuda::Limits& one, const cuda::Limits& other, const Op& op,
                 const std::vector<Shape>& shapes) {
  for (DType dtype : {DType::f32, DType::bf16})
    EXPECT_EQ(results(one, op, dtype, shapes), results(other, op, dtype, shapes))
        << what << " in " << dtype;
}

}  // namespace

TEST_F(LimitsTest, PatchesOfAConvolutionAtOnceAndImageByImage) {
  cuda::Limits all = cuda::limits(), few = all;
  all.patch_bytes = int64_t(1) << 30;
  few.patch_bytes = 1;  // one image at a time
  const std::vector<Shape> shapes{{5, 8, 7, 4}, {6, 4, 3, 3}, {6}};
  const Op conv = [](Inputs in) { return ops::conv2d(in[0], in[1], in[2], 2, 1); };
  expect_same("conv2d", all, few, conv, shapes);
}

TEST_F(LimitsTest, SumsInOnePartAndInMany) {
  cuda::Limits one = cuda::limits(), many = cuda::limits_of_gpu(132);
  many.pieces = one.pieces;
  one.parts = 1;
  const Op depthwise = [](Inputs in) { return ops::depthwise_conv2d(in[0], in[1], in[2]); };
  expect_same("depthwise_conv2d", one, many, depthwise, {{6, 9, 10, 16}, {16, 1, 3, 3}, {16}});
  const Op linear = [](Inputs in) { return ops::linear(in[0], in[1], in[2]); };
  expect_same("linear", one, many, linear, {{960, 16}, {8, 16}, {8}});
}

TEST_F(LimitsTest, TheCommonPoolInPiecesAndInBlocks) {
  cuda::Limits blocks = cuda::limits(), pieces = blocks;
  blocks.pieces = false;
  pieces.pieces = true;
  const Op op = [](Inputs in) {
    const Tensor y = ops::linear(in[0], in[1], in[2]);
    return ops::linear(ops::add(y, y), in[1]);
  };
  const LazyDevice lazy;
  expect_same("two linear layers", blocks, pieces, op, {{60, 8}, {8, 8}, {8}});
  cuda::synchronize();
  cuda::free_unused();
}

// Memory that was let go of is handed out again at once, while work that reads it still waits; and
// whoever gets it writes after that.
TEST_F(LimitsTest, MemoryIsReusedAtOnceAndInTheOrderOfTheWork) {
  {
    cuda::Limits limits = cuda::limits();
    limits.pieces = true;
    const cuda::WithLimits with(limits);
    const LazyDevice lazy;
    Tensor x = Tensor::full({1000}, 3, DType::f32, Device::cuda);
    const void* place = x.raw();
    const Tensor y = ops::add(x, x);
    x = Tensor();
    const Tensor other = Tensor::full({1000}, 100, DType::f32, Device::cuda);
    EXPECT_EQ(other.raw(), place);
    EXPECT_EQ(y.to_vector<float>(), std::vector<float>(1000, 6));
    EXPECT_EQ(other.to_vector<float>(), std::vector<float>(1000, 100));
  }
  cuda::free_unused();
}

}  // namespace rmt::test

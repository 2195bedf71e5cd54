#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "core/cuda/graph.h"
#include "ops/add.h"
#include "ops/linear.h"
#include "ops/mul.h"
#include "ops/slice.h"
#include "ops/sum.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

std::vector<double> naive_linear(Inputs in) {
  int64_t O = in[1].dim(0), I = in[1].dim(1), rows = in[0].numel() / I;
  std::vector<double> y;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < O; ++o) {
      double s = in[2].defined() ? in[2].data<double>()[o] : 0;
      for (int64_t i = 0; i < I; ++i)
        s += in[0].data<double>()[r * I + i] * in[1].data<double>()[o * I + i];
      y.push_back(s);
    }
  return y;
}

Tensor linear(Inputs in) { return ops::linear(in[0], in[1], in[2]); }

// With bf16 activations the weights are rounded to bf16, each by 2^-9 at most, and the bias.
const CheckOptions kOptions{.reference = naive_linear,
                            .parameters = {false, true, true},
                            .bf16_tolerance = 2 * 0x1p-9,
                            .max_probes = 60};

}  // namespace

// Rows, I, O around the sizes of the register tile, of a pass in depth and of a piece.
TEST(Linear, Op) {
  for (auto [rows, I, O] : std::vector<std::tuple<int64_t, int64_t, int64_t>>{{1, 1, 1},
                                                                              {7, 13, 49},
                                                                              {12, 32, 32},
                                                                              {13, 33, 31},
                                                                              {57, 7, 100},
                                                                              {0, 5, 3},
                                                                              {1, 321, 65},
                                                                              {2100, 16, 24},
                                                                              {200, 330, 70}}) {
    check_op(str("linear ", rows, " x ", I, " -> ", O), linear,
             {randn({rows, I}, 1), randn({O, I}, 2, 0, 1 / std::sqrt(double(I))), randn({O}, 3)},
             kOptions);
  }
  check_op("linear without bias, 4-D", linear, {randn({2, 3, 5, 8}, 1), randn({6, 8}, 2), Tensor()},
           kOptions);
}

// A slice may begin where vector loads and the library's epilogue may not.
TEST(Linear, UnalignedOnGpu) {
  if (!cuda::available()) return;
  for (DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = randn({5, 7}, 1).to(dtype), w = randn({9, 7}, 2).to(dtype),
                 bias = randn({9}, 3).to(dtype);
    const Tensor y =
        ops::linear(x.to(Device::cuda).slice(1, 4), w.to(DType::f32).to(Device::cuda).slice(1, 9),
                    bias.to(DType::f32).to(Device::cuda).slice(1, 9));
    const Tensor expected = ops::linear(x.to(DType::f64).slice(1, 4), w.to(DType::f64).slice(1, 9),
                                        bias.to(DType::f64).slice(1, 9));
    EXPECT_LE(relative_error(y.to(Device::cpu).to(DType::f64), expected),
              dtype == DType::bf16 ? 0x1p-8 : 1e-6)
        << dtype;
  }
}

TEST(Linear, InAGraph) {
  if (!cuda::available()) return;
  const Tensor first = randn({4, 16}, 1).to(DType::f32), second = randn({4, 16}, 4).to(DType::f32),
               w = randn({8, 16}, 2).to(DType::f32);
  const Tensor x = first.to(Device::cuda).clone(), w_gpu = w.to(Device::cuda);
  Tensor y = ops::linear(x, w_gpu);  // what the library allocates, it has now
  cuda::Graph graph;
  graph.capture([&] { y = ops::linear(x, w_gpu); });
  x.copy_from(second);
  graph.launch();
  EXPECT_LE(relative_error(y.to(Device::cpu), ops::linear(second, w)), 1e-6);
}

TEST(Linear, Errors) {
  expect_error(
      [] {
        ops::linear(Tensor::zeros({2, 5}), Tensor::zeros({4, 6}));
      },
      {"linear", "(2, 5)", "(4, 6)"});
  expect_error(
      [] {
        ops::linear(Tensor::zeros({2, 6}), Tensor::zeros({4, 6}), Tensor::zeros({6}));
      },
      {"linear", "bias is f32 (6)", "(4)"});
  expect_error(
      [] {
        ops::linear(Tensor::zeros({2, 6}, DType::f64), Tensor::zeros({4, 6}));
      },
      {"f32", "f64"});
  expect_error(
      [] {
        ops::linear(Tensor::zeros({2, 6}, DType::bf16), Tensor::zeros({4, 6}));
      },
      {"bf16", "Tensor::to"});
}

// y_1 y_2 + y_3 of three products of one x, so that each has a gradient of its own.
TEST(Linears, Op) {
  auto op = [](Inputs in) {
    std::vector<Tensor> y = ops::linears(in[0], {in[1], in[2], in[3]}, {in[4], Tensor(), in[5]});
    return ops::add(ops::mul(y[0], y[1]), y[2]);
  };
  auto slow = [](Inputs in) {
    auto y = [&](const Tensor& w, const Tensor& bias) { return naive_linear({in[0], w, bias}); };
    std::vector<double> a = y(in[1], in[4]), b = y(in[2], {}), c = y(in[3], in[5]);
    for (size_t i = 0; i < a.size(); ++i) c[i] += a[i] * b[i];
    return c;
  };
  CheckOptions options = kOptions;
  options.reference = slow;
  options.parameters = {false, true, true, true, true, true};
  options.bf16_tolerance = 10 * 0x1p-9;  // beside the weights: y_1, y_2 and their product are
                                         // rounded, and dx after each of its three terms
  const double deviation = 1 / std::sqrt(13.);
  check_op("linears", op,
           {randn({5, 13}, 1), randn({7, 13}, 2, 0, deviation), randn({7, 13}, 3, 0, deviation),
            randn({7, 13}, 4, 0, deviation), randn({7}, 5), randn({7}, 6)},
           options);
}

TEST(Linears, AResultThatNobodyUsesGivesNoGradient) {
  const Tensor x = leaf(randn({3, 4}, 1)), w = leaf(randn({2, 4}, 2)),
               unused = leaf(randn({2, 4}, 3));
  backward(ops::sum(ops::linears(x, {w, unused}, {Tensor(), Tensor()})[0]));
  EXPECT_TRUE(grad(w).defined());
  EXPECT_FALSE(grad(unused).defined());
  const Tensor alone = leaf(x);
  backward(ops::sum(ops::linear(alone, w)));
  EXPECT_EQ(grad(x).to_vector<double>(), grad(alone).to_vector<double>());
}

// Of w_0 (7, I) and w_1 (4, I), w_2 (1, I), the middle one without a bias.
TEST(PackedLinears, Op) {
  auto op = [](Inputs in) {
    return ops::packed_linears(in[0], {in[1], in[2], in[3]}, {in[4], Tensor(), in[5]});
  };
  auto slow = [](Inputs in) {
    const std::vector<double> y[] = {naive_linear({in[0], in[1], in[4]}),
                                     naive_linear({in[0], in[2], Tensor()}),
                                     naive_linear({in[0], in[3], in[5]})};
    std::vector<double> all;
    const int64_t rows = in[0].numel() / in[0].dim(-1);
    for (int64_t r = 0; r < rows; ++r)
      for (size_t i = 0; i < 3; ++i) {
        const int64_t O = in[1 + i].dim(0);
        all.insert(all.end(), y[i].begin() + r * O, y[i].begin() + (r + 1) * O);
      }
    return all;
  };
  CheckOptions options = kOptions;
  options.reference = slow;
  options.parameters = {false, true, true, true, true, true};
  for (const Shape& shape : {Shape{57, 13}, Shape{2, 3, 5, 8}, Shape{0, 5}, Shape{1, 1}}) {
    const int64_t I = shape[-1];
    const double deviation = 1 / std::sqrt(double(I));
    check_op(str("packed_linears ", shape), op,
             {randn(shape, 1), randn({7, I}, 2, 0, deviation), randn({4, I}, 3, 0, deviation),
              randn({1, I}, 4, 0, deviation), randn({7}, 5), randn({1}, 6)},
             options);
  }
  check_op("packed_linears without biases",
           [](Inputs in) {
             return ops::packed_linears(in[0], {in[1], in[2]}, {Tensor(), Tensor()});
           },
           {randn({5, 3}, 1), randn({2, 3}, 2), randn({9, 3}, 3)},
           {.parameters = {false, true, true}, .bf16_tolerance = kOptions.bf16_tolerance});
}

TEST(PackedLinears, TheGradientsAreThoseOfLinear) {
  const Tensor x = randn({11, 6}, 1), u = randn({11, 9}, 2);
  const std::vector<Tensor> w{leaf(randn({4, 6}, 3)), leaf(randn({5, 6}, 4))},
      bias{leaf(randn({4}, 5)), leaf(randn({5}, 6))};
  freeze(w[1]);
  backward(ops::sum(ops::mul(ops::packed_linears(x, w, bias), u)));
  EXPECT_FALSE(grad(w[1]).defined()) << "it is frozen";
  for (size_t i : {0, 1}) {
    const Tensor one_w = leaf(w[i]), one_bias = leaf(bias[i]),
                 part = ops::slice(u, 1, i ? 4 : 0, i ? 9 : 4);
    backward(ops::sum(ops::mul(ops::linear(x, one_w, one_bias), part)));
    if (i == 0) {
      EXPECT_EQ(grad(w[i]).to_vector<double>(), grad(one_w).to_vector<double>());
    }
    EXPECT_EQ(grad(bias[i]).to_vector<double>(), grad(one_bias).to_vector<double>());
  }
}

// Shadows that lie side by side in one block of memory, as a model's do, are not copied: nothing is
// allocated but y. Elsewhere the stacked weights, and biases, are. (Sizes are multiples of the 64
// bytes to which storages are rounded.)
TEST(PackedLinears, ShadowsThatAreNeighboursAreNotCopied) {
  if (!cuda::available()) return;
  const Tensor x = randn({6, 8}, 1).to(DType::bf16).to(Device::cuda),
               values = randn({3 * 32, 8}, 2).to(DType::f32).to(Device::cuda),
               biases = randn({3 * 32}, 3).to(DType::f32).to(Device::cuda);
  auto parts = [](const Tensor& whole, bool side_by_side) {
    std::vector<Tensor> leaves;
    const Tensor block = whole.to(DType::bf16);
    for (int64_t i = 0; i < 3; ++i) {
      leaves.push_back(leaf(whole.slice(32 * i, 32 * i + 32)));
      const Tensor copy = block.slice(32 * i, 32 * i + 32);
      set_shadow(leaves.back(), side_by_side ? copy : copy.clone());
    }
    return leaves;
  };
  auto run = [&](bool side_by_side, size_t& allocated) {
    const std::vector<Tensor> w = parts(values, side_by_side), b = parts(biases, side_by_side);
    reset_peak_memory(Device::cuda);
    const size_t before = memory_use(Device::cuda).live;
    const Tensor y = ops::packed_linears(x, w, b);
    allocated = memory_use(Device::cuda).peak - before;
    return y;
  };
  size_t neighbours = 0, apart = 0;
  const Tensor y = run(true, neighbours), z = run(false, apart);
  EXPECT_EQ(neighbours, y.nbytes());
  EXPECT_EQ(apart, y.nbytes() + size_t(3 * 32 * 8 + 3 * 32) * sizeof(bf16));
  EXPECT_EQ(y.to(Device::cpu).to(DType::f64).to_vector<double>(),
            z.to(Device::cpu).to(DType::f64).to_vector<double>());
}

TEST(PackedLinears, Errors) {
  const Tensor x = Tensor::zeros({2, 5}), w = Tensor::zeros({4, 5});
  expect_error([&] { ops::packed_linears(x, {}, {}); }, {"packed_linears", "0 weights"});
  expect_error([&] { ops::packed_linears(x, {w}, {}); }, {"1 weights", "0 biases"});
  expect_error(
      [&] {
        ops::packed_linears(x, {w, Tensor::zeros({4, 6})}, {{}, {}});
      },
      {"packed_linears", "(2, 5)", "(4, 6)"});
  expect_error(
      [&] {
        ops::packed_linears(x, {w, w}, {Tensor(), Tensor::zeros({5})});
      },
      {"packed_linears", "bias is f32 (5)", "(4)"});
}

}  // namespace rmt::test

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/conv2d.h"
#include "ops/gelu.h"
#include "ops/norm_gelu_conv2d.h"
#include "tests/check_op.h"
#include "tests/threads_as_processes.h"
#ifndef RMT_CUDA
#include "core/cuda/emulator/machine.h"
#endif

namespace rmt::test {
namespace {

struct Case {
  int64_t B, H, W, I, O, k, stride, pad;
  int64_t pixels() const {
    return B * ((H + 2 * pad - k) / stride + 1) * ((W + 2 * pad - k) / stride + 1);
  }
};

// (x - mean_c) / sqrt(var_c + eps) w_c + bias_c, by the batch's mean and variance where none are
// given.
std::vector<double> naive_norm(std::vector<double> x, Inputs w_and_bias, std::vector<double> mean,
                               std::vector<double> var) {
  const size_t C = size_t(w_and_bias[0].numel()), M = x.size() / C;
  if (mean.empty()) {
    mean.assign(C, 0);
    var.assign(C, 0);
    for (size_t i = 0; i < x.size(); ++i) mean[i % C] += x[i] / double(M);
    for (size_t i = 0; i < x.size(); ++i) var[i % C] += std::pow(x[i] - mean[i % C], 2) / double(M);
  }
  for (size_t i = 0; i < x.size(); ++i)
    x[i] =
        (x[i] - mean[i % C]) / std::sqrt(var[i % C] + 1e-5) * w_and_bias[0].data<double>()[i % C] +
        w_and_bias[1].data<double>()[i % C];
  return x;
}

// g (B, H, W, I), 0 outside.
std::vector<double> naive_conv(const std::vector<double>& g, const Tensor& w, const Tensor& bias,
                               const Case& c) {
  std::vector<double> y;
  for (int64_t b = 0; b < c.B; ++b)
    for (int64_t u = -c.pad; u + c.k <= c.H + c.pad; u += c.stride)
      for (int64_t v = -c.pad; v + c.k <= c.W + c.pad; v += c.stride)
        for (int64_t o = 0; o < c.O; ++o) {
          double s = bias.defined() ? bias.data<double>()[o] : 0;
          for (int64_t i = 0; i < c.k; ++i)
            for (int64_t j = 0; j < c.k; ++j)
              if (u + i >= 0 && u + i < c.H && v + j >= 0 && v + j < c.W)
                for (int64_t n = 0; n < c.I; ++n)
                  s += g[size_t(((b * c.H + u + i) * c.W + v + j) * c.I + n)] *
                       w.data<double>()[((o * c.I + n) * c.k + i) * c.k + j];
          y.push_back(s);
        }
  return y;
}

// in: x, the norm's w and bias, the filters and their bias, and in evaluation mean and variance.
Naive naive(const Case& c) {
  return [c](Inputs in) {
    const bool given = in.size() > 5;
    std::vector<double> g = naive_norm(in[0].to_vector<double>(), {in[1], in[2]},
                                       given ? in[5].to_vector<double>() : std::vector<double>(),
                                       given ? in[6].to_vector<double>() : std::vector<double>());
    for (double& z : g) z *= 0.5 * std::erfc(-z * std::sqrt(0.5));
    return naive_conv(g, in[3], in[4], c);
  };
}

Op fused(const Case& c) {
  return [c](Inputs in) {
    const bool given = in.size() > 5;
    return ops::norm_gelu_conv2d(
        in[0],
        {in[1], in[2], given ? in[5] : Tensor(), given ? in[6] : Tensor(), {.training = !given}},
        in[3], in[4], c.stride, c.pad);
  };
}

// f32: sums over the pixels as in conv2d_test.cpp, behind the usual 16 roundings of batch norm, of
// GELU and of the convolution each. bf16: on the way from an input to a result z, g and w are
// rounded, or w, dg, dz and, in dz, z, each by 2^-9 of itself at most; z by as much as moves g by
// 1.13 of that. The products that are summed have random signs: their sum is off by no larger a
// part of its norm. Phi is right to 4e-4.
CheckOptions options(const Case& c, bool given) {
  return {.reference = naive(c),
          .differentiable =
              given ? std::vector{true, true, true, true, true, false, false} : std::vector<bool>(),
          .f32_tolerance = (3 * 16 + std::sqrt(double(c.pixels()) / 6)) * 0x1p-24,
          .parameters = {false, true, true, true, true, true, true},
          .bf16_tolerance = 4.13 * 0x1p-9 + 4e-4,
          .max_probes = 20};
}

std::vector<Tensor> inputs(const Case& c, bool has_bias) {
  return {randn({c.B, c.H, c.W, c.I}, 1, 0.5, 2), randn({c.I}, 2, 1, 0.3), randn({c.I}, 3),
          randn({c.O, c.I, c.k, c.k}, 4, 0, 1 / std::sqrt(double(c.I) * double(c.k * c.k))),
          has_bias ? randn({c.O}, 5) : Tensor()};
}

std::string name_of(const Case& c) {
  return str("norm_gelu_conv2d ", c.B, " ", c.H, " ", c.W, " ", c.I, " ", c.O, " k", c.k, " s",
             c.stride);
}

// Served by tensor cores in bf16: strides 1 and 2 with borders that are looked over and not, one
// tile and several, of several images, of 32 columns and of 64; channels that fill neither a halo
// nor a block.
const Case kServed[] = {
    {2, 9, 7, 8, 16, 3, 1, 1},  {1, 20, 23, 32, 32, 3, 1, 1}, {2, 13, 11, 24, 40, 3, 2, 1},
    {3, 7, 7, 16, 72, 3, 2, 1}, {1, 5, 6, 72, 8, 3, 1, 1},    {3, 6, 4, 8, 8, 2, 2, 0},
    {1, 7, 9, 16, 8, 3, 2, 0},  {2, 5, 6, 40, 8, 3, 1, 0},    {2, 18, 20, 32, 64, 3, 2, 1}};
// Not: channels that are no whole packs, and a filter of 4 x 4.
const Case kComposed[] = {
    {2, 5, 7, 6, 8, 3, 1, 1}, {1, 8, 9, 8, 5, 3, 2, 1}, {2, 8, 8, 8, 8, 4, 2, 1}};

}  // namespace

TEST(NormGeluConv2d, Training) {
  for (const Case& c : kServed) check_op(name_of(c), fused(c), inputs(c, true), options(c, false));
  for (const Case& c : kComposed)
    check_op(name_of(c), fused(c), inputs(c, true), options(c, false));
  check_op("without bias", fused(kServed[0]), inputs(kServed[0], false),
           options(kServed[0], false));
}

TEST(NormGeluConv2d, Evaluation) {
  for (Case c : {kServed[0], kServed[2], kServed[5], kComposed[0]}) {
    std::vector<Tensor> in = inputs(c, true);
    in.push_back(randn({c.I}, 6, 0.5, 0.1));
    in.push_back(randn({c.I}, 7, 4, 0.3));
    check_op(name_of(c) + " in evaluation", fused(c), in, options(c, true));
  }
}

TEST(NormGeluConv2d, EachGradientAlone) {
  const Case c = kServed[0];
  for (size_t i = 0; i < 5; ++i) {
    CheckOptions alone = options(c, false);
    alone.differentiable = std::vector<bool>(5, false);
    alone.differentiable[i] = true;
    check_op(name_of(c), fused(c), inputs(c, true), alone);
  }
}

// The stem's chain: each op leaves moments to the next, where its kernel can. (A bias of the
// convolutions has no gradient: the norm behind takes it away.)
TEST(NormGeluConv2d, TakesAndLeavesMoments) {
  const Case first{2, 15, 18, 16, 24, 3, 1, 1}, second{2, 15, 18, 24, 40, 3, 2, 1};
  const std::vector<Tensor> one = inputs(first, false), two = inputs(second, false);
  const std::vector<Tensor> in{one[0],
                               one[1],
                               one[2],
                               one[3],
                               two[1],
                               two[2],
                               two[3],
                               randn({second.O}, 8, 1, 0.3),
                               randn({second.O}, 9)};
  const Op op = [&](Inputs in) {
    Tensor moments;
    Tensor y = ops::norm_gelu_conv2d(in[0], {in[1], in[2], {}, {}, {}}, in[3], {}, 1, 1, &moments);
    y = ops::norm_gelu_conv2d(y, {in[4], in[5], {}, {}, {.moments = moments}}, in[6], {}, 2, 1,
                              &moments);
    EXPECT_EQ(moments.defined(), y.device() == Device::cuda && y.dtype() == DType::bf16);
    return ops::batch_norm(y, in[7], in[8], {}, {}, {.moments = moments});
  };
  CheckOptions o = options(first, false);
  o.reference = [&](Inputs in) {
    const std::vector<double> y = naive(first)({in[0], in[1], in[2], in[3], {}});
    const Tensor x = Tensor::empty({second.B, second.H, second.W, second.I}, DType::f64);
    std::copy(y.begin(), y.end(), x.data<double>());
    return naive_norm(naive(second)({x, in[4], in[5], in[6], {}}), {in[7], in[8]}, {}, {});
  };
  o.parameters = std::vector<bool>(in.size(), true);
  o.parameters[0] = false;
  // Two such ops, and y, rounded between them forward and backward.
  o.f32_tolerance *= 3;
  o.bf16_tolerance = 2 * o.bf16_tolerance + 2 * 0x1p-9;
  check_op("norm_gelu_conv2d twice", op, in, o);
}

namespace {

// The op over processes, of which process r has counts[r] images, as an op on the whole x: the
// gradients by the parameters are the sums of theirs.
Tensor in_parts(const std::vector<int64_t>& counts, const Case& c, Inputs in) {
  struct Part {
    std::vector<Tensor> in;
    Tensor y;
    int64_t begin, end;
  };
  struct Parts : ThreadsAsProcesses {
    explicit Parts(size_t count) : ThreadsAsProcesses(int64_t(count)), of(count) {}
    std::vector<Part> of;
  };
  auto parts = std::make_shared<Parts>(counts.size());
  int64_t end = 0;
  for (size_t r = 0; r < counts.size(); ++r) {
    const int64_t begin = std::exchange(end, end + counts[r]);
    parts->of[r] = {{leaf(in[0].detach().slice(begin, end).clone())}, {}, begin, end};
    for (size_t i = 1; i < in.size(); ++i) parts->of[r].in.push_back(leaf(in[i].detach()));
  }
  const Tensor y = Tensor::empty({c.B, c.pixels() / c.B, c.O}, in[0].dtype(), in[0].device());
  parts->run([&](Processes& p) {
    Part& part = parts->of[size_t(p.rank())];
    part.y = ops::norm_gelu_conv2d(part.in[0], {part.in[1], part.in[2], {}, {}, {.processes = &p}},
                                   part.in[3], part.in[4], c.stride, c.pad);
    y.slice(part.begin, part.end).view(part.y.shape()).copy_from(part.y);
  });
  return record("in parts", y, in, [parts, x = in[0].detach()](const Tensor& dy) {
    Grads grads(5);
    grads[0] = Tensor::empty_like(x);
    parts->run([&](Processes& p) {
      Part& part = parts->of[size_t(p.rank())];
      backward(part.y, dy.slice(part.begin, part.end).view(part.y.shape()));
      grads[0].slice(part.begin, part.end).copy_from(grad(part.in[0]));
      for (size_t i = 1; i < 5; ++i) {
        const Tensor sum = grad(part.in[i]).clone();
        p.all_reduce(sum);
        if (p.is_first()) grads[i] = sum;
      }
    });
    return grads;
  });
}

}  // namespace

TEST(NormGeluConv2d, PartsInProcessesAreOneBatch) {
  const Case c{4, 9, 7, 8, 16, 3, 2, 1};
  check_op(
      "norm_gelu_conv2d in parts",
      [&](Inputs in) {
        return in_parts({1, 3}, c, in);
      },
      inputs(c, true), options(c, false));
}

#ifndef RMT_CUDA
// The tests above would pass if no kernel served.
TEST(NormGeluConv2d, KernelsServe) {
  for (const Case& c : kServed) {
    std::vector<Tensor> in = inputs(c, true);
    for (size_t i = 0; i < in.size(); ++i)
      in[i] = leaf(in[i].to(i ? DType::f32 : DType::bf16).to(Device::cuda));
    const int64_t before = emulator::counters().launches;
    const Tensor y = fused(c)(in);
    // Two of moments, one of statistics, the filters' order, and the product.
    EXPECT_EQ(emulator::counters().launches - before, 5);
  }
}
#endif

// What lies at an address that is no multiple of 16 bytes is read from a copy.
TEST(NormGeluConv2d, UnalignedParametersAndGradientGiveTheSame) {
  if (!cuda::available()) return;
  const Case c = kServed[0];
  auto run = [&](int64_t first) {  // where the numbers begin in their memory
    auto there = [&](const Tensor& x, DType dtype) {
      const Tensor all = Tensor::zeros({first + x.numel()}, dtype, Device::cuda);
      const Tensor part = all.slice(first, first + x.numel()).view(x.shape());
      part.copy_from(x);
      return part;
    };
    std::vector<Tensor> in = inputs(c, true);
    in[0] = leaf(in[0].to(DType::bf16).to(Device::cuda));
    for (size_t i = 1; i < 5; ++i) in[i] = leaf(there(in[i], DType::f32));
    const Tensor y = fused(c)(in);
    backward(y, there(randn(y.shape(), 9), DType::bf16));
    std::vector<Tensor> out{y.to(Device::cpu)};
    for (const Tensor& x : in) out.push_back(grad(x).to(Device::cpu));
    return out;
  };
  const std::vector<Tensor> aligned = run(0), unaligned = run(1);
  // dw comes from patches in memory, in another order.
  for (size_t i = 0; i < aligned.size(); ++i)
    EXPECT_LE(relative_error(unaligned[i], aligned[i]), i < 4 ? 0 : 16 * 0x1p-24) << i;
}

TEST(NormGeluConv2d, Errors) {
  const Tensor x = Tensor::zeros({2, 5, 5, 8}), w = Tensor::zeros({8, 8, 3, 3}),
               one = Tensor::zeros({8});
  auto run = [&](const ops::BatchNormInputs& norm, const Tensor& filters) {
    ops::norm_gelu_conv2d(x, norm, filters, {}, 1, 1);
  };
  expect_error(
      [&] {
        run({one, one, {}, {}, {}}, Tensor::zeros({8, 4, 3, 3}));
      },
      {"norm_gelu_conv2d", "8 channels", "takes 4"});
  expect_error([&] { run({one, Tensor::zeros({4}), {}, {}, {}}, w); }, {"bias is f32 (4)", "(8)"});
  expect_error(
      [&] {
        run({one, one, {}, {}, {.training = false}}, w);
      },
      {"running_mean is undefined"});
  expect_error([&] { run({one, one, {}, {}, {.moments = one}}, w); }, {"moments", "(17)"});
}

}  // namespace rmt::test

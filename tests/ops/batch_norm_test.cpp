#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/batch_norm.h"
#include "tests/check_op.h"
#include "tests/threads_as_processes.h"

namespace rmt::test {
namespace {

constexpr double eps = 1e-5;
const std::vector<bool> parameters{false, true, true, true, true};

struct Statistics {
  std::vector<double> mean, var;  // biased
};
Statistics statistics(const Tensor& x) {
  const int64_t C = x.shape()[-1], M = x.numel() / C;
  Statistics s{std::vector<double>(size_t(C)), std::vector<double>(size_t(C))};
  for (int64_t i = 0; i < x.numel(); ++i) s.mean[size_t(i % C)] += x.data<double>()[i] / double(M);
  for (int64_t i = 0; i < x.numel(); ++i)
    s.var[size_t(i % C)] += std::pow(x.data<double>()[i] - s.mean[size_t(i % C)], 2) / double(M);
  return s;
}

// in: x, w, bias, and in evaluation the running mean and variance
std::vector<double> naive(Inputs in) {
  Statistics s = in.size() == 3 ? statistics(in[0])
                                : Statistics{in[3].to_vector<double>(), in[4].to_vector<double>()};
  const size_t C = s.mean.size();
  std::vector<double> y = in[0].to_vector<double>(), w = in[1].to_vector<double>(),
                      bias = in[2].to_vector<double>();
  for (size_t i = 0; i < y.size(); ++i)
    y[i] = (y[i] - s.mean[i % C]) / std::sqrt(s.var[i % C] + eps) * w[i % C] + bias[i % C];
  return y;
}

Tensor training(Inputs in) { return ops::batch_norm(in[0], in[1], in[2], {}, {}, {.eps = eps}); }
Tensor training_with_buffers(Inputs in) {  // they change, so each call has its own
  return ops::batch_norm(in[0], in[1], in[2], Tensor::zeros_like(in[1]),
                         Tensor::full(in[1].shape(), 1, in[1].dtype(), in[1].device()),
                         {.eps = eps});
}
Tensor evaluation(Inputs in) {
  return ops::batch_norm(in[0], in[1], in[2], in[3], in[4], {.training = false, .eps = eps});
}

// The op over processes, of which process r has counts[r] entries of x's first dimension, as an op
// on the whole x: the gradients by w and bias are the sums of theirs.
Tensor in_parts(const std::vector<int64_t>& counts, Inputs in) {
  struct Part {
    Tensor x, w, bias, y;
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
    parts->of[r] = {leaf(in[0].detach().slice(begin, end)),
                    leaf(in[1].detach()),
                    leaf(in[2].detach()),
                    {},
                    begin,
                    end};
  }
  const Tensor y = Tensor::empty_like(in[0]);
  parts->run([&](Processes& p) {
    Part& part = parts->of[size_t(p.rank())];
    part.y = ops::batch_norm(part.x, part.w, part.bias, {}, {}, {.eps = eps, .processes = &p});
    y.slice(part.begin, part.end).copy_from(part.y);
  });
  return record("batch_norm in parts", y, in, [parts, C = in[1].numel()](const Tensor& dy) {
    Grads grads{Tensor::empty_like(dy), Tensor(), Tensor()};
    parts->run([&](Processes& p) {
      Part& part = parts->of[size_t(p.rank())];
      backward(part.y, dy.slice(part.begin, part.end));
      grads[0].slice(part.begin, part.end).copy_from(grad(part.x));
      const Tensor sums[] = {grad(part.w).clone(), grad(part.bias).clone()};
      for (size_t i : {0, 1}) {
        p.all_reduce(sums[i]);
        if (p.is_first()) grads[i + 1] = sums[i];
      }
    });
    return grads;
  });
}

Tensor positive(const Shape& shape, uint64_t seed) {
  Tensor x = randn(shape, seed, 2, 0.25);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<double>()[i] = float(std::fabs(x.data<double>()[i]) + 0.1);
  return x;
}

}  // namespace

TEST(BatchNorm, Training) {
  // 7 rows at least: with fewer, dx is a small difference of large terms and its relative error
  // means nothing (with two rows, y = +-w + bias and dx = 0).
  for (Shape shape : {Shape{7, 13}, Shape{2, 7, 7, 1}, Shape{3, 5, 5, 57}, Shape{49, 32},
                      Shape{13, 640}, Shape{2501, 32}, Shape{701, 57}, Shape{57, 1024}}) {
    const int64_t C = shape[-1];
    for (auto op : {training, training_with_buffers})
      check_op("batch_norm", op, {randn(shape, 1, 0.5, 2), randn({C}, 2), randn({C}, 3)},
               {.reference = naive, .parameters = parameters, .max_probes = 20});
  }
}

TEST(BatchNorm, Evaluation) {
  for (Shape shape : {Shape{1, 13}, Shape{7, 13}, Shape{2, 7, 7, 1}, Shape{3, 5, 5, 57},
                      Shape{701, 57}, Shape{2501, 32}}) {
    const int64_t C = shape[-1];
    check_op(
        "batch_norm", evaluation,
        {randn(shape, 1, 0.5, 2), randn({C}, 2), randn({C}, 3), randn({C}, 4), positive({C}, 5)},
        {.reference = naive,
         .differentiable = {true, true, true, false, false},
         .parameters = parameters,
         .max_probes = 20});
  }
}

TEST(BatchNorm, EmptyBatchInEvaluation) {
  check_op("batch_norm", evaluation,
           {randn({0, 7, 7, 13}), randn({13}), randn({13}), randn({13}), positive({13}, 5)},
           {.differentiable = {true, true, true, false, false},
            .parameters = parameters,
            .may_be_zero = true});
}

// Parts of equal and of unequal size, one row among them, against the definition on the whole: with
// check_op's own tolerances, since in parts a mean, variance or sum is rounded to f32 as often as
// in one piece, after the parts were joined in double.
TEST(BatchNorm, PartsInProcessesAreOneBatch) {
  for (auto [shape, counts] :
       std::vector<std::pair<Shape, std::vector<int64_t>>>{{{8, 7, 7, 13}, {4, 4}},
                                                           {{49, 32}, {49}},
                                                           {{57, 57}, {1, 49, 7}},
                                                           {{9, 5, 5, 1}, {3, 3, 3}},
                                                           {{2501, 32}, {800, 1000, 701}}}) {
    const int64_t C = shape[-1];
    const Op op = [counts = counts](Inputs in) { return in_parts(counts, in); };
    check_op("batch_norm in parts", op, {randn(shape, 1, 0.5, 2), randn({C}, 2), randn({C}, 3)},
             {.reference = naive, .parameters = parameters, .max_probes = 20});
  }
}

TEST(BatchNorm, EachGradientAlone) {
  for (int i = 0; i < 3; ++i) {
    std::vector<bool> differentiable(3, false);
    differentiable[size_t(i)] = true;
    check_op("batch_norm", training, {randn({49, 13}), randn({13}, 2), randn({13}, 3)},
             {.reference = naive, .differentiable = differentiable, .parameters = parameters});
  }
}

TEST(BatchNorm, RunningStatistics) {
  const int64_t C = 13, M = 49;
  Tensor x = randn({M, C}, 1, 0.5, 2), w = randn({C}), mean = randn({C}, 4), var = positive({C}, 5);
  Tensor mean_before = mean.clone(), var_before = var.clone();
  ops::batch_norm(x, w, w, mean, var, {.momentum = 0.2});
  Statistics s = statistics(x);
  for (int64_t c = 0; c < C; ++c) {
    EXPECT_NEAR(mean.data<double>()[c],
                0.8 * mean_before.data<double>()[c] + 0.2 * s.mean[size_t(c)], 1e-14);
    EXPECT_NEAR(
        var.data<double>()[c],
        0.8 * var_before.data<double>()[c] + 0.2 * s.var[size_t(c)] * double(M) / double(M - 1),
        1e-14);
  }
  Tensor mean_after = mean.clone(), var_after = var.clone();
  ops::batch_norm(x, w, w, mean, var, {.training = false});
  EXPECT_EQ(relative_error(mean, mean_after), 0);
  EXPECT_EQ(relative_error(var, var_after), 0);
}

// Over processes too, which then have the same bits: means near 100, so that a variance of each
// part by itself, or by another count, is seen.
TEST(BatchNorm, RunningStatisticsAreThoseOfAllParts) {
  const int64_t C = 13, M = 49;
  const Tensor x = randn({M, C}, 1, 100, 2), w = Tensor::full({C}, 1, DType::f64);
  const Tensor whole[] = {randn({C}, 4), positive({C}, 5)};
  const Tensor before[] = {whole[0].clone(), whole[1].clone()};
  ops::batch_norm(x, w, w, whole[0], whole[1], {.momentum = 0.2});
  for (Device device : {Device::cpu, Device::cuda}) {
    if (device == Device::cuda && !cuda::available()) continue;
    run_as_processes(3, [&](Processes& p) {
      const int64_t ends[] = {0, 1, 30, M}, r = p.rank();
      const Tensor part = x.slice(ends[r], ends[r + 1]).to(device), one = w.to(device);
      const Tensor running[] = {before[0].clone().to(device), before[1].clone().to(device)};
      ops::batch_norm(part, one, one, running[0], running[1], {.momentum = 0.2, .processes = &p});
      for (int i : {0, 1}) {
        EXPECT_LT(relative_error(running[i].to(Device::cpu), whole[i]), 1e-14);
        const Tensor all = p.all_gather(running[i]);
        EXPECT_EQ(all.slice(r, r + 1).to_vector<double>(), all.slice(0, 1).to_vector<double>());
      }
      ops::batch_norm(part, one, one, running[0], running[1], {.training = false, .processes = &p});
    });
  }
}

TEST(BatchNorm, FloatStatisticsOfManyRowsWithALargeMean) {
  // 100000 numbers a column, near 1e3, deviation 1. Sums within a block of 256 rows stay below 2^18
  // and each addition rounds by up to 2^-7, so a block's mean is off by about e = 16 * 2^-7 / 256 =
  // 2^-11, and the mean over 391 blocks by e / 20 and its own rounding, 2^-15. The variance is off
  // by e^2 and by 2 e / 20 times the spread of the blocks' means, 1 / 16. Three times these are
  // allowed. E[x^2] - E[x]^2 in f32 would be off by 1e6 * 2^-24 = 0.06.
  const double e = 0x1p-11;
  const int64_t M = 100'000, C = 17;
  Tensor x = randn({M, C}, 1, 1e3), w = Tensor::full({C}, 1), mean = Tensor::zeros({C}),
         var = Tensor::zeros({C});
  ops::batch_norm(x.to(DType::f32), w, w, mean, var, {.momentum = 1});
  Statistics s = statistics(x);
  for (int64_t c = 0; c < C; ++c) {
    EXPECT_NEAR(mean.data<float>()[c], s.mean[size_t(c)], 3 * e / 20 + 0x1p-15);
    EXPECT_NEAR(var.data<float>()[c], s.var[size_t(c)] * double(M) / double(M - 1),
                3 * (e * e + 2 * e / 20 / 16));
  }
}

TEST(BatchNorm, LargeMeanOnTheGpu) {  // x is right to 2^-15 beside a deviation of 1; E[x^2] -
                                      // E[x]^2 in f32 would be off by 0.06
  if (!cuda::available()) return;
  const int64_t M = 3000, C = 4;
  Tensor x = randn({M, C}, 1, 1e3), w = Tensor::full({C}, 1, DType::f32, Device::cuda),
         mean = Tensor::zeros_like(w), var = Tensor::zeros_like(w);
  ops::batch_norm(x.to(DType::f32).to(Device::cuda), w, w, mean, var, {.momentum = 1});
  Statistics s = statistics(x);
  for (int64_t c = 0; c < C; ++c) {
    EXPECT_NEAR(mean.to_vector<float>()[size_t(c)], s.mean[size_t(c)], 0x1p-13);
    EXPECT_NEAR(var.to_vector<float>()[size_t(c)], s.var[size_t(c)] * double(M) / double(M - 1),
                0x1p-12);
  }
}

TEST(BatchNorm, Errors) {
  Tensor x = randn({7, 13}), w = randn({13});
  ops::BatchNormOptions train, eval{.training = false};
  expect_error([&] { ops::batch_norm({}, w, w, {}, {}, train); }, {"batch_norm", "x is undefined"});
  expect_error([&] { ops::batch_norm(x, {}, w, {}, {}, train); }, {"batch_norm", "w is undefined"});
  expect_error([&] { ops::batch_norm(x, w, randn({7}), {}, {}, train); },
               {"batch_norm", "bias is f64 (7)", "expected f64 (13)"});
  expect_error([&] { ops::batch_norm(x, w, w, w, {}, train); },
               {"batch_norm", "running_var is undefined"});
  expect_error([&] { ops::batch_norm(x, w, w, {}, {}, eval); },
               {"batch_norm", "running_mean is undefined"});
  expect_error([&] { ops::batch_norm(x, w, w, w.to(DType::f32), w, eval); },
               {"batch_norm", "running_mean is f32", "expected f64"});
  expect_error(
      [&] {
        ops::batch_norm(randn({1, 13}), w, w, {}, {}, train);
      },
      {"batch_norm", "more than one row", "(1, 13)"});
  expect_error(
      [&] {
        ops::batch_norm(randn({0, 13}), w, w, {}, {}, train);
      },
      {"batch_norm", "more than one row", "(0, 13)"});
  const auto empty_part = [&](Processes& p) {
    ops::batch_norm(p.is_first() ? x : x.slice(0, 0), w, w, {}, {}, {.processes = &p});
  };
  expect_error([&] { run_as_processes(2, empty_part); }, {"more than one row", "(0, 13)"});
}

}  // namespace rmt::test

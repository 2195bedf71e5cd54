// Twenty steps of several processes whose batch norms are synchronised, against one process with
// the whole batch. All that differs is the order of sums.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "tests/check_op.h"
#include "tests/room.h"
#include "tests/threads_as_processes.h"
#include "tests/train/random_batch.h"
#include "tests/train/tiny_model.h"
#include "train/step.h"

namespace rmt::test {
namespace {

constexpr int64_t kSteps = 20, kImages = 12;
constexpr double kRate = 0.1;

// Two runs take the same steps with gradients g and g + dg. What follows bounds the distance d of
// their weights after n steps.
//
// 1. One step. Sums in another order give |dg| <= e |g|. Parity with the reference finds gradients
//    of f32 within 1e-5 of the truth (nn/parity_test.cpp), so two orders are e = 2e-5 apart; in f64
//    it is 2^-29 of that.
// 2. The optimizer. AdamW moves p by lr m / (sqrt(v) + eps). Both m and sqrt(v) are means of the
//    gradients so far and m is at most sqrt(v) / 0.4, so that an error dg changes the step by at
//    most 3.5 lr |dg| / eps. eps = 1 is far above every gradient: a step is very nearly lr m, its
//    relative error e, and gradients that are rounding alone (of a bias before a batch norm) move
//    nothing, which with the usual eps would be whole steps in a direction of chance.
// 3. Growth. A distance d changes the next gradient by H d, with the Hessian H. Until the end it
//    grows by some factor A <= (1 + lr |H|)^n. A run that begins a little beside the other shows
//    it; kGrowth is asked for, and seen to hold.
//
// Together the distance at the end is at most A e times the length of the path that the weights
// went, step by step. Running means and variances are means of what the weights make of images: of
// them A e is asked for relative to their size.
constexpr double kEps = 1, kGrowth = 2;
double order_error(DType dtype) { return 2e-5 * (dtype == DType::f64 ? std::exp2(-29) : 1); }

struct Course {
  std::vector<Tensor> start, end, statistics;  // parameters; running means and variances
  std::vector<float> losses;
  double path = 0;  // the length of all steps together
};

// ||a - b|| over all tensors together, in f64.
double distance(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor x = a[i].to(DType::f64), y = b[i].to(DType::f64);
    for (int64_t k = 0; k < x.numel(); ++k)
      sum += std::pow(x.data<double>()[k] - y.data<double>()[k], 2);
  }
  return std::sqrt(sum);
}

double norm(const std::vector<Tensor>& a) {
  std::vector<Tensor> zeros;
  for (const Tensor& x : a) zeros.push_back(Tensor::zeros_like(x));
  return distance(a, zeros);
}

std::vector<Tensor> numbers_of(nn::Module& model, bool parameters) {
  std::vector<Tensor> numbers;
  for (const nn::Entry& e : model.state())
    if (e.parameter == parameters && is_float(e.tensor->dtype()))
      numbers.push_back(e.tensor->clone());
  return numbers;
}

// Rank r takes the images from r kImages / R on. `beside`: how far the weights begin, relative to
// their size, from those of other runs.
Course train_in(Processes& p, DType dtype, double beside = 0) {
  nn::Rmt model(tiny());
  model.init(5);
  uint64_t seed = 100;
  for (const nn::Entry& e : model.parameters())
    if (e.name.find("gamma_") != std::string::npos)
      e.tensor->fill(0.5);  // at their first 1e-6 whole branches would be lost in rounding
  model.to(dtype);
  Course run;
  run.start = run.end = numbers_of(model, true);
  if (beside > 0)
    for (const nn::Entry& e : model.parameters()) {
      const Tensor noise = randn(e.tensor->shape(), ++seed);
      for (int64_t i = 0; i < noise.numel(); ++i)
        e.tensor->data<double>()[i] *= 1 + beside * noise.data<double>()[i];
    }
  model.mode().processes = &p;
  train::Optimizer optimizer(model.parameters(),
                             {.adamw = {.eps = kEps}, .guard = {.clip = 0.5, .parts = p.size()}},
                             {}, model.state());
  train::TrainStep step(model, [&](const Tensor& x) { return model.forward(x); }, optimizer,
                        {.dtype = dtype, .processes = &p}, {.seed = 3});
  const int64_t part = kImages / p.size(), first = part * p.rank();
  for (int64_t i = 0; i < kSteps; ++i) {
    data::Batch b = random_batch(kImages, 32, 2, uint64_t(i));
    for (Tensor* x : {&b.images, &b.mirror, &b.labels}) *x = x->slice(first, first + part);
    for (const train::Verdict& v : step(b, i, kRate)) run.losses.push_back(v.loss);
    std::vector<Tensor> next = numbers_of(model, true);
    run.path += distance(next, run.end);
    run.end = std::move(next);
  }
  run.statistics = numbers_of(model, false);
  return run;
}

// A loss is about 0.7 and a float, which is two roundings of 2^-24 apart; it moves with the weights
// by |gradient| times their distance, and the gradient is below 3.
void expect_within_rounding(const Course& parts, const Course& whole, DType dtype) {
  const double allowed = kGrowth * order_error(dtype) * whole.path;
  ASSERT_EQ(parts.losses.size(), size_t(kSteps));
  EXPECT_GT(whole.path, 0.01);
  const double error = distance(parts.end, whole.end);
  EXPECT_LE(error, allowed);
  EXPECT_LE(distance(parts.statistics, whole.statistics),
            kGrowth * order_error(dtype) * norm(whole.statistics));
  double worst = 0;
  for (size_t i = 0; i < size_t(kSteps); ++i)
    worst = std::max(worst, std::fabs(double(parts.losses[i]) - double(whole.losses[i])));
  EXPECT_LE(worst, 3 * allowed + 0.7 * std::exp2(-22));
  std::printf("    %s: path %.3f, ends within %.1e of it, losses within %.1e\n", name_of(dtype),
              whole.path, error / whole.path, worst);
}

TEST(SharedBatch, ASmallDifferenceStaysSmall) {
  const Course run = train_in(alone(), DType::f64), other = train_in(alone(), DType::f64, 1e-7);
  const double end = distance(run.end, other.end);
  const double begin = 1e-7 * norm(run.start);  // its numbers have deviation 1e-7 |p|
  std::printf("    a difference grows by %.2f in %d steps\n", end / begin, int(kSteps));
  EXPECT_LE(end / begin, kGrowth);
}

TEST(SharedBatch, LearnsWhatOneProcessLearnsFromTheWhole) {
  for (DType dtype : {DType::f64, DType::f32}) {
    const Course whole = train_in(alone(), dtype);
    for (int64_t R : {2, 3, 4})
      run_as_processes(
          R, [&](Processes& p) { expect_within_rounding(train_in(p, dtype), whole, dtype); });
  }
}

// The same with the processes that mpirun has started.
TEST(Room, LearnsFromABatchWhatOneProcessLearns) {
  for (DType dtype : {DType::f64, DType::f32})
    expect_within_rounding(train_in(room(), dtype), train_in(alone(), dtype), dtype);
}

}  // namespace
}  // namespace rmt::test

#include "train/guard.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/threads_as_processes.h"
#include "tests/train/parameters.h"

namespace rmt::test {
using namespace train;
namespace {

double norm_of_gradients(nn::Module& model) {
  double squares = 0;
  for (const nn::Entry& e : model.parameters())
    if (const Tensor g = grad(*e.tensor); g.defined())
      for (float x : g.to_vector<float>()) squares += double(x) * double(x);
  return std::sqrt(squares);
}

}  // namespace

TEST(Guard, GradientsAreAveragedOverThePartsAndClippedToTheNorm) {
  for (Device device : devices()) {
    WithStatistics model, plain;
    model.on(device);
    plain.on(device);
    Optimizer optimizer(model.parameters(), {.guard = {.clip = 2, .parts = 4}}),
        reference(plain.parameters(), {});
    for (uint64_t t = 1; t <= 3; ++t) {
      const double scale = t == 2 ? 1e-3 : 10;  // the second one's norm is below 2
      model.set_gradients(scale, 10 * t);
      plain.set_gradients(scale, 10 * t);
      const double norm = norm_of_gradients(model) / 4;
      ASSERT_EQ(norm > 2, t != 2);
      const double factor = (norm > 2 ? 2 / (norm + 1e-6) : 1) / 4;
      for (Tensor* p : {&plain.weight, &plain.bias, &plain.gamma}) {
        std::vector<float> g = grad(*p).to_vector<float>();
        for (float& x : g) x *= float(factor);
        set_grad(*p, Tensor::from<float>(g, p->shape()).to(device));
      }
      optimizer.step(0.01, scalar(6, device));
      reference.step(0.01);
      const Verdict v = optimizer.verdict();
      EXPECT_EQ(v.loss, 1.5f);
      EXPECT_NEAR(v.norm, norm, norm * 0x1p-23)
          << "the norm is worked out in double and rounded once";
      EXPECT_EQ(v.bad_parameter, -1);
    }
    // Both round gradient x factor once and then do the same.
    EXPECT_EQ(model.weight.to_vector<float>(), plain.weight.to_vector<float>()) << device;
    EXPECT_EQ(model.bias.to_vector<float>(), plain.bias.to_vector<float>());
  }
}

TEST(Guard, AStepThatIsNotFiniteMovesNothingNamesTheFirstParameterAndGivesTheStatisticsBack) {
  for (Device device : devices()) {
    WithStatistics model;
    model.on(device);
    model.mean.fill(1);
    Optimizer optimizer(model.parameters(), {.average_decay = 0.5}, {}, model.state());
    ASSERT_EQ(optimizer.statistics().entries().size(), 1u)
        << "the count is none, parameters are none";
    model.set_gradients(1, 5);
    model.mean.fill(2);
    optimizer.step(0.1, scalar(1, device));
    EXPECT_EQ(optimizer.average().entries().back().average.to_vector<float>()[66], 1.5f);

    const std::vector<float> weight = model.weight.to_vector<float>();
    auto poison = [&](Tensor& p, double value) {
      std::vector<float> g = grad(p).to_vector<float>();
      g.back() = float(value);
      set_grad(p, Tensor::from<float>(g, p.shape()).to(device));
    };
    for (double value : {double(NAN), double(-INFINITY)}) {
      model.set_gradients(1, 6);
      poison(model.gamma, value);
      poison(model.bias, value);
      model.mean.fill(NAN);
      optimizer.step(0.1, scalar(1, device));
      const Verdict v = optimizer.verdict();
      EXPECT_FALSE(v.finite());
      EXPECT_EQ(v.bad_parameter, 1) << "the bias, in the model's order, on " << device;
      EXPECT_EQ(model.weight.to_vector<float>(), weight);
      EXPECT_EQ(model.mean.to_vector<float>(), std::vector<float>(67, 2));
      EXPECT_EQ(optimizer.average().entries().back().average.to_vector<float>()[66], 1.5f);
      EXPECT_EQ(optimizer.slots()[0].t, 1);
    }
    model.set_gradients(1, 7);
    model.mean.fill(3);
    optimizer.step(0.1, scalar(NAN, device));  // every gradient is fine
    EXPECT_EQ(optimizer.verdict().bad_parameter, -1);
    EXPECT_EQ(model.mean.to_vector<float>()[0], 2);
    optimizer.step(0.1, scalar(1, device));
    EXPECT_NE(model.weight.to_vector<float>(), weight);
    EXPECT_EQ(optimizer.slots()[0].t, 2);
  }
}

// Running means and variances; weights are no statistics and stay each process's own.
TEST(Guard, StatisticsAreSharedAsTheFirstProcessHasThem) {
  run_as_processes(3, [](Processes& p) {
    WithStatistics model;
    for (const nn::Entry& e : model.state())
      if (is_float(e.tensor->dtype())) e.tensor->fill(double(p.rank() + 1));
    const Statistics statistics(model.state());
    ASSERT_FALSE(statistics.entries().empty());
    statistics.share(p);
    for (const nn::Entry& e : model.state()) {
      if (!is_float(e.tensor->dtype())) continue;
      EXPECT_EQ(e.tensor->to_vector<float>()[0], e.parameter ? float(p.rank() + 1) : 1) << e.name;
    }
  });
}

}  // namespace rmt::test

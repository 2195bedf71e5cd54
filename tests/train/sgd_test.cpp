#include "train/sgd.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/parallel.h"
#include "tests/train/parameters.h"
#include "tests/train/tiny_run.h"
#include "train/checkpoint.h"

namespace rmt::test {
using namespace train;
namespace {

Tensor vector(const std::function<double(int64_t)>& f) {
  Tensor x = Tensor::empty({7}, DType::f64);
  for (int64_t i = 0; i < 7; ++i) x.data<double>()[i] = f(i);
  return x;
}

struct Seven : nn::Module {
  Tensor& p = parameter("p", {7});
};

// The same number, worked out alone and in double.
struct Plain {
  double p, m = 0;
  void step(double g, double lr, double decay, const SgdOptions& o) {
    g += decay * p;
    m = o.momentum * m + g;
    p -= lr * (o.nesterov ? g + o.momentum * m : m);
  }
};

// 12 steps of a falling lr; the largest |ours - plain| over all elements.
double drift(DType dtype, Device device, const SgdOptions& sgd) {
  Parameters model(67, 131);  // a tail beyond whole vectors; chunks of the kernel and a tail
  model.fill(dtype);
  model.to(device);
  Optimizer optimizer(model.parameters(), {.sgd = sgd});
  const std::vector<Tensor*> moved = {&model.weight, &model.bias, &model.gamma};
  auto numbers = [](const Tensor& x) {
    return x.to(Device::cpu).to(DType::f64).to_vector<double>();
  };
  std::vector<std::vector<Plain>> plain;
  for (Tensor* p : moved) {
    plain.emplace_back();
    for (double x : numbers(*p)) plain.back().push_back({x});
  }
  double worst = 0;
  for (int t = 1; t <= 12; ++t) {
    for (size_t which = 0; which < moved.size(); ++which)
      set_grad(*moved[which],
               randn(moved[which]->shape(), uint64_t(10 * t) + which).to(dtype).to(device));
    optimizer.step(0.01 / t);
    for (size_t which = 0; which < moved.size(); ++which) {
      const std::vector<double> g = numbers(grad(*moved[which])), x = numbers(*moved[which]);
      for (size_t i = 0; i < x.size(); ++i) {
        const double decay = moved[which] == &model.bias ? 0 : sgd.weight_decay;
        plain[which][i].step(g[i], 0.01 / t, decay, sgd);
        worst = std::max(worst, std::fabs(x[i] - plain[which][i].p));
      }
    }
  }
  for (const OptimizerSlot& s : optimizer.slots()) EXPECT_EQ(s.t, s.name == "idle" ? 0 : 12);
  return worst;
}

TrainOptions with_sgd(TrainOptions o) {
  o.opt = "sgd";
  o.lr = 0.05;
  o.momentum = 0.8;
  o.nesterov = true;
  return o;
}

}  // namespace

// tests/golden/torch_sgd.py
TEST(Sgd, MovesAsPyTorchDoes) {
  const struct {
    SgdOptions options;
    std::vector<double> p;
  } golden[] = {
      {{.momentum = 0.9, .weight_decay = 0.25},
       {0.5177497774243355, -0.44364168380578367, 0.8121372387226424, -1.0175315662574769,
        1.7981913666876157, -0.03147743829250327, -0.7746943853116037}},
      {{.momentum = 0.9, .nesterov = true, .weight_decay = 0.25},
       {0.8777956040859595, -0.5225489485248676, 1.0170803100687387, -1.271727748401463,
        2.156281682718185, -0.13252637575201692, -1.019472171867527}},
      {{.momentum = 0, .weight_decay = 0.25},
       {-0.1292634472250939, -0.1735219349463781, 0.11568887283404665, -0.1534719586372375,
        0.752307859559854, 0.48314702808856963, -0.6062526479363441}},
  };
  for (const auto& [options, expected] : golden) {
    Seven model;
    model.to(DType::f64);
    model.p.copy_from(vector([](int64_t i) { return double(37 * i % 64 - 31) / 32; }));
    const std::vector<ParameterRule> rules{
        {.lr_scale = 0.25, .weight_decay = options.weight_decay}};
    Optimizer optimizer(model.parameters(), {.sgd = options}, rules);
    for (int64_t t = 1; t <= 6; ++t) {
      set_grad(model.p,
               vector([&](int64_t i) { return double((29 * i + 13 * t) % 64 - 31) / 16; }));
      optimizer.step(4 * 0.5 / double(t));
    }
    // Six steps of at most four roundings each, of numbers below 8.
    for (size_t i = 0; i < 7; ++i)
      EXPECT_NEAR(model.p.data<double>()[i], expected[i], 6 * 4 * 8 * 0x1p-53) << i;
  }
}

TEST(Sgd, FollowsTheFormulaOnEveryDevice) {
  // |p| stays below 8, and m, below 16, counts times lr <= 0.01. Each step rounds p twice (8 u with
  // u = 2^-53 each) and its change by less than one of these: 12 steps leave less than 12 x 24 u.
  // f32 likewise with u = 2^-24.
  for (const SgdOptions& o : {SgdOptions{.momentum = 0.9, .weight_decay = 0.5},
                              SgdOptions{.momentum = 0.5, .nesterov = true, .weight_decay = 0.5},
                              SgdOptions{.momentum = 0}}) {
    EXPECT_LE(drift(DType::f64, Device::cpu, o), 12 * 24 * 0x1p-53);
    for (Device device : devices()) EXPECT_LE(drift(DType::f32, device, o), 12 * 24 * 0x1p-24);
  }
}

TEST(Sgd, KeepsAveragesShadowsAndItsClockOnEveryDevice) {
  for (Device device : devices()) {
    WithStatistics model;
    model.on(device);
    model.make_shadows(DType::bf16);
    const Tensor begin = model.weight.clone();
    std::vector<ParameterRule> rules(4);
    rules[0].lr_scale = 0.25;
    rules[1].frozen = true;
    const std::vector<float> bias = model.bias.to_vector<float>();
    Optimizer optimizer(model.parameters(), {.sgd = SgdOptions(), .average_decay = 0.75}, rules,
                        model.state());
    model.set_gradients(1, 3);
    const std::vector<float> g = grad(model.weight).to_vector<float>();
    optimizer.step(0.1, scalar(NAN, device));
    EXPECT_EQ(model.weight.to_vector<float>(), begin.to_vector<float>()) << "a step that is none";
    model.mean.fill(2);
    optimizer.step(0.1, scalar(1, device));
    EXPECT_EQ(model.bias.to_vector<float>(), bias);
    EXPECT_EQ(model.mean.to_vector<float>()[0], 2);
    EXPECT_EQ(optimizer.average().of(3).to_vector<float>()[0], 0.5f);  // 0 + (2 - 0) / 4
    const std::vector<float> p = model.weight.to_vector<float>(), old = begin.to_vector<float>(),
                             e = optimizer.average().of(0).to_vector<float>();
    for (size_t i = 0; i < p.size(); ++i) {
      EXPECT_NEAR(p[i], old[i] - 0.025 * g[i], 2 * 8 * 0x1p-24);         // two roundings, below 8
      EXPECT_NEAR(e[i], old[i] + (p[i] - old[i]) / 4, 3 * 8 * 0x1p-24);  // three roundings
    }
    EXPECT_EQ(relative_error(in_dtype(model.weight, DType::bf16).to(Device::cpu),
                             model.weight.to(Device::cpu).to(DType::bf16)),
              0);
    for (const OptimizerSlot& s : optimizer.slots()) {
      EXPECT_EQ(s.t, s.name == "idle" ? 0 : 1) << s.name;
      EXPECT_FALSE(s.exp_avg_sq.defined());
    }
  }
}

TEST(Sgd, SameBitsForAnyNumberOfThreadsAndEveryOrder) {
  auto weights = [](Device device) {
    WithStatistics model;
    model.on(device);
    Optimizer optimizer(model.parameters(), {.sgd = SgdOptions{.weight_decay = 0.1}});
    for (uint64_t t = 0; t < 2; ++t) {
      model.set_gradients(1, t);
      optimizer.step(0.1);
    }
    return model.weight.to_vector<float>();
  };
  const int before = threads();
  const std::vector<float> one = weights(Device::cpu);
  for (int n : {1, 2, 3}) {
    set_threads(n);
    EXPECT_EQ(weights(Device::cpu), one) << n;
  }
  set_threads(before);
  if (!cuda::available()) return;
  const std::vector<float> there = weights(Device::cuda);
  for_thread_orders([&] { EXPECT_EQ(weights(Device::cuda), there); });
}

TEST(Sgd, ACheckpointGoesOnWithItsOwnOptimizerAlone) {
  Parameters a(5, 3), b(5, 3);
  a.fill(DType::f32), b.fill(DType::f32);
  Optimizer sgd(a.parameters(), {.sgd = SgdOptions()}), adamw(b.parameters(), {});
  a.draw_gradients(1);
  sgd.step(0.1);
  Archive of_sgd, of_adamw;
  of_sgd.path = of_adamw.path = "last.safetensors";
  add_optimizer(of_sgd, sgd, {}, {});
  add_optimizer(of_adamw, adamw, {}, {});
  EXPECT_EQ(of_sgd.tensors.count("optimizer.momentum_buffer.fc.weight"), 1u);
  EXPECT_EQ(of_sgd.tensors.count("optimizer.exp_avg.fc.weight"), 0u);

  Optimizer next(a.parameters(), {.sgd = SgdOptions()});
  load_optimizer(next, of_sgd);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(next.slots()[i].exp_avg.to_vector<float>(),
              sgd.slots()[i].exp_avg.to_vector<float>());
    EXPECT_EQ(next.slots()[i].t, sgd.slots()[i].t);
  }
  expect_error([&] { load_optimizer(adamw, of_sgd); },
               {"last.safetensors", "began with --opt sgd, now it has --opt adamw"});
  expect_error([&] { load_optimizer(sgd, of_adamw); },
               {"last.safetensors", "began with --opt adamw, now it has --opt sgd"});
}

TEST_F(TrainerTest, WithSgdARunIsKilledAndResumesBitForBit) {
  TrainOptions options = with_sgd(full_options(data));
  options.recovery_interval = 1;
  RunFolder straight = new_run("straight"), broken = new_run("broken");
  TinyRun whole(options);
  EXPECT_TRUE(whole.trainer.run(straight));
  run_and_die(options, broken, 5);
  const Archive last = read_safetensors(broken / "last.safetensors");
  TinyRun second(options);
  second.trainer.resume(last);
  EXPECT_TRUE(second.trainer.run(RunFolder::open(broken.path())));
  expect_same_end(straight, broken);

  EXPECT_EQ(options_from_json(to_json(options), "args.json").opt, "sgd");
  options.opt = "adamw";
  expect_error([&] { TinyRun(options).trainer.resume(last); }, {"--opt sgd", "--opt adamw"});
}

TEST_F(TrainerTest, WithSgdAGpuRepeatsItsStepsAndResumes) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  const Compute gpu{Device::cuda, DType::f32};
  TrainOptions options = with_sgd(tiny_options(data));
  options.epochs = 2;
  options.batch_size = 8;  // 3 steps an epoch: the last one is a recording's
  RunFolder straight = new_run("straight"), broken = new_run("broken");
  TinyRun whole(options, gpu);
  EXPECT_TRUE(whole.trainer.run(straight));
  TinyRun first(options, gpu);
  int evaluations = 0;
  Trainer stopping(
      first.model,
      [&](const Tensor& x) {
        CHECK(first.model.mode().training || ++evaluations <= 1, "stop");
        return first.model.forward(x);
      },
      first.train, first.val, options, first.out, gpu);
  EXPECT_THROW(stopping.run(broken), Error);
  TinyRun second(options, gpu);
  second.trainer.resume(read_safetensors(broken / "last.safetensors"));
  second.trainer.run(RunFolder::open(broken.path()));
  const Archive a = read_safetensors(straight / "last.safetensors"),
                b = read_safetensors(broken / "last.safetensors");
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (auto& [name, x] : a.tensors)
    EXPECT_EQ(std::memcmp(x.raw(), b.at(name).raw(), x.nbytes()), 0) << name;
}

TEST(Sgd, AFlagOfTheOtherOptimizerIsAnError) {
  auto refused = [](const std::function<void(TrainOptions&)>& set,
                    const std::vector<std::string>& parts) {
    TrainOptions o;
    set(o);
    expect_error([&] { check(o); }, parts);
  };
  refused([](TrainOptions& o) { o.opt = "AdamW"; }, {"--opt AdamW is not known: adamw or sgd"});
  refused([](TrainOptions& o) { o.momentum = 0.8; },
          {"--momentum is sgd's and does nothing with --opt adamw", "give --opt sgd"});
  refused([](TrainOptions& o) { o.nesterov = true; }, {"--nesterov is sgd's"});
  auto sgd = [&](const std::function<void(TrainOptions&)>& set,
                 const std::vector<std::string>& parts) {
    refused(
        [&](TrainOptions& o) {
          o.opt = "sgd";
          set(o);
        },
        parts);
  };
  sgd([](TrainOptions& o) { o.opt_betas = {0.9, 0.99}; }, {"--opt-betas is adamw's"});
  sgd([](TrainOptions& o) { o.opt_eps = 1e-7; }, {"--opt-eps is adamw's"});
  sgd([](TrainOptions& o) { o.momentum = 1; }, {"--momentum 1 is not between 0 and 0.9999"});
  sgd(
      [](TrainOptions& o) {
        o.momentum = 0;
        o.nesterov = true;
      },
      {"--nesterov needs a --momentum above 0"});
  EXPECT_NO_THROW(check(with_sgd({})));
}

}  // namespace rmt::test

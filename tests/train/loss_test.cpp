// What a step makes small: --loss, and a function of one's own.
#include "train/loss.h"

#include "ops/bce_with_logits.h"
#include "ops/cross_entropy.h"
#include "ops/mse.h"
#include "tests/train/own_model.h"
#include "tests/train/tiny_run.h"

namespace rmt::test {
namespace {

Batch batch_of(const Noise& set, int64_t B) {
  LoaderOptions o;
  o.batch_size = B, o.train = false;
  o.transform.image_size = 32, o.transform.crop_pct = 1;
  Loader loader(set, o);
  loader.start(0);
  return *loader.next();
}

// The losses of steps of OwnNet on one batch.
std::vector<double> losses(const Loss& loss, int64_t steps, double* first_by_hand = nullptr) {
  const Noise set(6);
  const Batch batch = batch_of(set, 6);
  OwnNet model(2);
  model.init(3);
  Optimizer optimizer(model.parameters(), {});
  TrainStep step(model, [&](const Tensor& x) { return model.forward(x); }, optimizer, {},
                 {.smoothing = 0.2, .loss = loss});
  if (first_by_hand) {
    OwnNet same(2);
    same.init(3);
    same.mode().training = true;
    NoGrad off;
    const Tensor x = Compute().images(batch, {});
    const Tensor targets = ops::smooth_one_hot(batch.labels, 2, 0.2);
    *first_by_hand = double(loss(same.forward(x), targets).item<float>());
  }
  std::vector<double> out;
  for (int64_t t = 0; t < steps; ++t)
    for (const Verdict& v : step(batch, t, 0.05)) out.push_back(double(v.loss));
  return out;
}

// Of two images' logits and targets, from the definitions in train/loss.h.
const std::vector<double> kLogits{2, -1, 0.5, 0.25}, kTargets{0.9, 0.1, 0, 1};
double by_definition(const std::string& name) {
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) {
    const double z = kLogits[i], t = kTargets[i], other = kLogits[i ^ 1];
    const double s = 1 / (1 + std::exp(-z));
    if (name == "cross_entropy") sum -= t * (z - std::log(std::exp(z) + std::exp(other))) / 2;
    if (name == "bce") sum += (-t * std::log(s) - (1 - t) * std::log(1 - s)) / 4;
    if (name == "mse") sum += (z - t) * (z - t) / 4;
  }
  return sum;
}

}  // namespace

TEST(Loss, EachNameIsItsFormulaAndTrains) {
  for (const char* name : {"cross_entropy", "bce", "mse"}) {
    const Tensor z = Tensor::from<double>(kLogits, {2, 2}),
                 t = Tensor::from<double>(kTargets, {2, 2});
    EXPECT_NEAR(loss_named(name)(z, t).item<double>(), by_definition(name), 1e-14)
        << name << ": ten roundings of numbers of order 1";
    double by_hand = 0;
    const std::vector<double> l = losses(loss_named(name), 20, &by_hand);
    ASSERT_EQ(l.size(), 20u);
    EXPECT_EQ(l[0], by_hand) << name << ": the same ops on the same numbers";
    EXPECT_LT(l[19], 0.9 * l[0]) << name;
  }
}

TEST(Loss, OnesOwnFunctionIsWhatAStepMakesSmall) {
  int calls = 0;
  auto own = [&](const Tensor& logits, const Tensor& targets) {
    ++calls;
    EXPECT_EQ(logits.shape(), (Shape{6, 2}));
    EXPECT_EQ(targets.to_vector<float>()[0], 0.9f) << "smoothed by 0.2 over two classes";
    return ops::mse(logits, targets);
  };
  EXPECT_EQ(losses(own, 3), losses(ops::mse, 3));
  EXPECT_EQ(calls, 3);
}

TEST(Loss, TheTrainerTakesItsNameOrAFunction) {
  const Noise train(8), val(4, 2);
  auto first_epoch = [&](const std::string& name, const Loss& loss) {
    TemporaryFolder folder;
    TrainOptions o = tiny_options("");
    o.epochs = 1, o.batch_size = 4, o.loss = name;
    nn::Rmt model(tiny());
    model.init(1);
    std::ostringstream out;
    Trainer trainer(
        model, [&](const Tensor& x) { return model.forward(x); }, train, val, o, out, {}, loss);
    const RunFolder run = RunFolder::create(folder.path(), "run", "tiny", 32);
    EXPECT_TRUE(trainer.run(run));
    return log_of(run)[0]["train_loss"].get<double>();
  };
  const double bce = first_epoch("bce", nullptr), mse = first_epoch("mse", nullptr);
  EXPECT_NE(bce, mse);
  EXPECT_EQ(first_epoch("cross_entropy", ops::mse), mse) << "a function counts, and no name";
  EXPECT_NE(first_epoch("cross_entropy", nullptr), mse);
}

TEST(Loss, AnUnknownNameListsTheKnownOnes) {
  expect_error([] { loss_named("hinge"); }, {"--loss hinge", "cross_entropy, bce and mse"});
  TrainOptions o;
  o.loss = "BCE";
  expect_error([&] { check(o); }, {"--loss BCE", "cross_entropy, bce and mse"});
}

}  // namespace rmt::test

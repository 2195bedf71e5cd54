#include "train/recipe.h"

#include <gtest/gtest.h>

#include "tests/check_op.h"

namespace rmt::test {
using namespace train;

// nn/rmt/README.md, "The recipe".
TEST(Recipe, OfficialIsTheOfficialCodesDefaults) {
  TrainOptions before;
  before.epochs = 7;
  before.lr = 3;
  before.model = "rmt_t";
  before.seed = 9;
  before.data_dir = "images";
  before.drop_path = 0.7;
  const TrainOptions o = resolved(with_recipe("official", before));
  EXPECT_EQ(images_a_step(o), 2048);
  EXPECT_DOUBLE_EQ(o.lr, 2e-3);
  EXPECT_EQ(o.min_lr, 1e-5);
  EXPECT_EQ(o.warmup_lr, 1e-6);
  EXPECT_EQ(o.warmup_epochs, 5);
  EXPECT_EQ(o.epochs, 300);
  EXPECT_FALSE(o.sched_on_updates);
  EXPECT_EQ(o.weight_decay, 0.05);
  EXPECT_EQ(o.smoothing, 0.1);
  EXPECT_EQ(o.aa, "rand-m9-mstd0.5-inc1");
  EXPECT_EQ(o.reprob, 0.25);
  EXPECT_EQ(o.mixup, 0.8);
  EXPECT_EQ(o.cutmix, 1);
  EXPECT_EQ(o.mixup_prob, 1);
  EXPECT_EQ(o.mixup_switch_prob, 0.5);
  EXPECT_EQ(o.aug_repeats, 3);
  EXPECT_TRUE(o.sync_bn);
  EXPECT_TRUE(o.model_ema);
  EXPECT_EQ(o.model_ema_decay, 0) << "the rule 0.99996 ^ (images a step / 512)";
  EXPECT_LT(o.drop_path, 0) << "the model's own";
  EXPECT_EQ(o.scale, (std::array<double, 2>{0.08, 1}));
  EXPECT_EQ(o.ratio, (std::array<double, 2>{3. / 4, 4. / 3}));
  EXPECT_EQ(o.clip_grad, 0);
  EXPECT_EQ(o.color_jitter, 0);
  EXPECT_EQ(o.crop_pct, 0.875);
  EXPECT_EQ(o.img_size, 224);
  EXPECT_EQ(o.model, "rmt_t");
  EXPECT_EQ(o.seed, 9u);
  EXPECT_EQ(o.data_dir, "images");
}

TEST(Recipe, PaperDiffersInItsImagesAStepAndItsSchedule) {
  TrainOptions official = with_recipe("official", {}), paper = with_recipe("paper", {});
  EXPECT_DOUBLE_EQ(resolved(paper).lr, 1e-3);
  EXPECT_EQ(images_a_step(paper), 1024);
  EXPECT_TRUE(paper.sched_on_updates);
  paper.grad_accum_steps = official.grad_accum_steps;
  paper.sched_on_updates = official.sched_on_updates;
  EXPECT_EQ(to_json(paper), to_json(official)) << "in nothing else";
}

TEST(Recipe, EachIsSoundAndTellsWhatItSetAndWhatAFlagChanged) {
  for (const std::string& name : recipe_names()) {
    TrainOptions o = with_recipe(name, {});
    EXPECT_NO_THROW(check(o)) << name;
    EXPECT_NO_THROW(check(resolved(o))) << name;
    EXPECT_EQ(describe_recipe(name, o).find('\n'), std::string::npos)
        << "nothing is otherwise: " << describe_recipe(name, o);
    o.epochs = 77;
    o.aa = "none";
    o.model_ema = !o.model_ema;
    o.sched_on_updates = !o.sched_on_updates;
    o.seed = 3;
    const std::string text = describe_recipe(name, o), otherwise = text.substr(text.find('\n') + 1);
    for (const char* part : {"--epochs 77 (recipe: --epochs ", "--aa none (recipe: --aa rand-m",
                             "--no-model-ema (recipe: --model-ema)", "--sched-on-"})
      EXPECT_NE(otherwise.find(part), std::string::npos) << part << " is not in " << text;
    for (const char* part : {"--seed", "--lr ", "--scale"})
      EXPECT_EQ(otherwise.find(part), std::string::npos) << otherwise;
    EXPECT_NE(text.find("--scale 0."), std::string::npos) << text;
  }
  expect_error([] { with_recipe("offical", {}); },
               {"--recipe offical", "paper, small-data", "did you mean official?"});
}

TEST(Recipe, MixingEndsBeforeTheRunDoes) {
  TrainOptions o = with_recipe("small-data", {});
  EXPECT_EQ(resolved(o).mixup_off_epoch, o.epochs - 5);
  o.epochs = 3;
  EXPECT_EQ(resolved(o).mixup_off_epoch, 1) << "0 would be: to the end";
}

TEST(Options, TheRateCountsTheImagesOfAStepAndTheWarmUpFitsTheRun) {
  TrainOptions o;
  o.batch_size = 256;
  o.grad_accum_steps = 4;
  o.epochs = 300;
  EXPECT_DOUBLE_EQ(resolved(o).lr, 1e-3);
  EXPECT_EQ(resolved(o).warmup_epochs, 5);
  o.epochs = 3;
  o.lr = 0.5;
  EXPECT_EQ(resolved(o).warmup_epochs, 1.5);
  EXPECT_EQ(resolved(o).lr, 0.5);
}

TEST(Options, FlagsThatContradictEachOther) {
  auto refused = [](const std::function<void(TrainOptions&)>& set,
                    const std::vector<std::string>& parts) {
    TrainOptions o = with_recipe("official", {});
    set(o);
    expect_error([&] { check(o); }, parts);
  };
  refused([](TrainOptions& o) { o.batch_size = 33; },
          {"--mixup and --cutmix", "--batch-size 33", "even"});
  refused([](TrainOptions& o) { o.mixup_prob = 0; },
          {"--mixup-prob 0", "--mixup 0.8", "--cutmix 1"});
  refused([](TrainOptions& o) { o.mixup_switch_prob = 0; }, {"--mixup-switch-prob 0", "--cutmix"});
  refused([](TrainOptions& o) { o.mixup_switch_prob = 1; }, {"--mixup-switch-prob 1", "--mixup"});
  refused([](TrainOptions& o) { o.warmup_epochs = 301; }, {"--warmup-epochs 301", "--epochs 300"});
  refused([](TrainOptions& o) { o.crop_pct = 1.1; }, {"--crop-pct 1.1", "1"});
  refused([](TrainOptions& o) { o.color_jitter = 0.4; },
          {"--color-jitter 0.4", "--aa rand-m9-mstd0.5-inc1"});
  refused(
      [](TrainOptions& o) {
        o.model_ema = false;
        o.model_ema_decay = 0.9;
      },
      {"--model-ema-decay", "--model-ema"});
  refused([](TrainOptions& o) { o.layer_decay = 1.5; }, {"--layer-decay 1.5"});
}

// .99984 at 2048 images a step, .99992 at 1024.
TEST(Recipe, AveragesAsTheOfficialRunsDid) {
  EXPECT_NEAR(ema_decay(with_recipe("official", {})), 0.99984, 1e-8);
  EXPECT_NEAR(ema_decay(with_recipe("paper", {})), 0.99992, 2e-9);
  EXPECT_EQ(ema_decay({}), 0);
  EXPECT_EQ(ema_decay({.model_ema = true, .model_ema_decay = 0.9}), 0.9);
}

}  // namespace rmt::test

#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.h"
#include "train/recipe.h"

namespace rmt::test {
using namespace train;

TEST(Schedule, TheOfficialRecipeGivesTheOfficialFigures) {  // nn/rmt/README.md, "The recipe"
  const Schedule s = schedule_of(with_recipe("official", {}));
  EXPECT_DOUBLE_EQ(lr_of_epoch(s, 0), 1e-6);
  EXPECT_DOUBLE_EQ(lr_of_epoch(s, 1), 1e-6);
  EXPECT_NEAR(lr_of_epoch(s, 2), 4.008e-4, 1e-15);
  EXPECT_NEAR(lr_of_epoch(s, 3), 8.006e-4, 1e-15);
  EXPECT_NEAR(lr_of_epoch(s, 4), 1.2e-3, 5e-7);
  EXPECT_NEAR(lr_of_epoch(s, 5), 1.6e-3, 5e-7);
  EXPECT_NEAR(lr_of_epoch(s, 6), 1.998636e-3, 5e-10);  // cos(5 pi / 300)
  EXPECT_NEAR(lr_of_epoch(s, 299), 1.022e-5, 5e-9);
}

// What --print-schedule prints.
std::vector<double> rates(const TrainOptions& options) {
  std::istringstream in(schedule_table(options));
  std::vector<double> out;
  int64_t epoch = -1;
  for (double lr = 0; in >> epoch >> lr; out.push_back(lr)) EXPECT_EQ(epoch, int64_t(out.size()));
  return out;
}

TEST(Schedule, TheTableOfARun) {
  TrainOptions o = with_recipe("official", {});
  std::vector<double> table = rates(o);
  ASSERT_EQ(table.size(), 300u);
  for (size_t e = 0; e < 300; ++e)
    EXPECT_NEAR(table[e], lr_of_epoch(schedule_of(o), int64_t(e)), 1e-12);
  o.epochs = 4, o.warmup_epochs = 1, o.sched_on_updates = true;  // the first step's
  table = rates(o);
  ASSERT_EQ(table.size(), 4u);
  for (int64_t e = 0; e < 4; ++e)
    EXPECT_NEAR(table[size_t(e)], lr_of_step(schedule_of(o), e * 123, 123), 1e-12);
}

// Every epoch of the seven published runs; the label runs were 310 epochs long.
TEST(Schedule, TheOfficialRecipeGivesTheRatesOfTheOfficialLogs) {
  const std::filesystem::path folder = "../shared/data/official-logs";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not here";
  int lines = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::string name = file.path().stem().string(), line;
    TrainOptions o = with_recipe("official", {});
    if (name.ends_with("_label")) o.epochs = 310;
    const std::vector<double> table = rates(o);
    for (std::ifstream in(file.path()); std::getline(in, line); ++lines) {
      auto entry = nlohmann::json::parse(line);
      const size_t epoch = entry.at("epoch");
      EXPECT_NEAR(table.at(epoch), entry.at("train_lr").get<double>(), 1e-9)
          << name << ", epoch " << epoch;
    }
  }
  EXPECT_GT(lines, 2000);
}

TEST(Schedule, PerStep) {
  Schedule s{.lr = 1e-3, .min_lr = 1e-5, .warmup_lr = 1e-6, .epochs = 10, .warmup_epochs = 2};
  const int64_t n = 50;
  EXPECT_DOUBLE_EQ(lr_of_step(s, 0, n), 1e-6);
  EXPECT_DOUBLE_EQ(lr_of_step(s, 50, n), (1e-6 + 1e-3) / 2);   // half of the warm-up
  EXPECT_DOUBLE_EQ(lr_of_step(s, 250, n), (1e-3 + 1e-5) / 2);  // half of the cosine
  EXPECT_NEAR(lr_of_step(s, 500, n), 1e-5, 1e-18);             // its end
  for (int64_t t = 1; t < 100; ++t) EXPECT_GT(lr_of_step(s, t, n), lr_of_step(s, t - 1, n));
  for (int64_t t = 101; t <= 500; ++t) EXPECT_LT(lr_of_step(s, t, n), lr_of_step(s, t - 1, n));
  // With one step an epoch it is the official one without its delay.
  for (int64_t e = 0; e < 10; ++e) EXPECT_EQ(lr_of_step(s, e, 1), lr_of_epoch(s, e + 1));
}

TEST(Schedule, NoWarmUp) {
  Schedule s{.warmup_epochs = 0};
  EXPECT_DOUBLE_EQ(lr_of_epoch(s, 0), s.lr);
  EXPECT_DOUBLE_EQ(lr_of_step(s, 0, 10), s.lr);
}

// The published settings of Semantic FPN, UperNet and Mask R-CNN, worked out by hand.
TEST(Schedule, RatesOfSegmentationAndDetection) {
  const int64_t n = 1000;  // steps an epoch
  Schedule s{.lr = 1e-4, .min_lr = 1e-6, .epochs = 80, .falling = Falling::poly};
  EXPECT_DOUBLE_EQ(lr_of_step(s, 0, n), 1e-4);
  EXPECT_DOUBLE_EQ(lr_of_step(s, 40'000, n), 9.9e-5 * std::pow(0.5, 0.9) + 1e-6);
  EXPECT_NEAR(lr_of_step(s, 79'999, n), 1e-6, 1e-8);
  s = {.lr = 6e-5, .min_lr = 0, .epochs = 160, .falling = Falling::poly, .power = 1};
  s.warmup_steps = 1500, s.warmup_ratio = 1e-6;
  EXPECT_NEAR(lr_of_step(s, 0, n), 6e-11, 1e-16);
  EXPECT_DOUBLE_EQ(lr_of_step(s, 750, n), 6e-5 * (1 - 750. / 160'000) * (1 - 0.5 * (1 - 1e-6)));
  EXPECT_DOUBLE_EQ(lr_of_step(s, 1500, n), 6e-5 * (1 - 1500. / 160'000));
  s = {.lr = 4e-4, .epochs = 12, .falling = Falling::step, .milestones = {8, 11}};
  s.warmup_steps = 500, s.warmup_ratio = 0.001;
  EXPECT_NEAR(lr_of_step(s, 0, n), 4e-7, 1e-20);
  EXPECT_DOUBLE_EQ(lr_of_step(s, 7999, n), 4e-4);
  EXPECT_DOUBLE_EQ(lr_of_step(s, 8000, n), 4e-5);
  EXPECT_DOUBLE_EQ(lr_of_step(s, 11'000, n), 4e-4 * 0.1 * 0.1);
}

TEST(Schedule, MilestonesAreEpochsThatGrow) {
  EXPECT_EQ(milestones_of("27,33"), (std::vector<int64_t>{27, 33}));
  EXPECT_TRUE(milestones_of("").empty());
  for (const char* bad : {"8,8", "11,8", "8;11", "8,,11", "-1", "1e3", "99999999999"})
    EXPECT_THROW(milestones_of(bad), Error) << bad;
}

}  // namespace rmt::test

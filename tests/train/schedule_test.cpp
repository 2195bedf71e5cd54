#include "train/schedule.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace rmt::test {

TEST(Schedule, OfficialFigures) {  // RMT.md 4.2
  Schedule s;
  EXPECT_DOUBLE_EQ(lr_of_epoch(s, 0), 1e-6);
  EXPECT_DOUBLE_EQ(lr_of_epoch(s, 1), 1e-6);
  EXPECT_NEAR(lr_of_epoch(s, 2), 4.008e-4, 1e-15);
  EXPECT_NEAR(lr_of_epoch(s, 3), 8.006e-4, 1e-15);
  EXPECT_NEAR(lr_of_epoch(s, 4), 1.2e-3, 5e-7);
  EXPECT_NEAR(lr_of_epoch(s, 5), 1.6e-3, 5e-7);
  EXPECT_NEAR(lr_of_epoch(s, 6), 1.998636e-3, 5e-10);  // cos(5 pi / 300)
  EXPECT_NEAR(lr_of_epoch(s, 299), 1.022e-5, 5e-9);
}

TEST(Schedule, OfficialLogs) {  // every epoch of the seven published runs; the label runs were 310 epochs long
  const std::filesystem::path folder = "../shared/data/official-logs";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is not here";
  int lines = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    std::string name = file.path().stem().string(), line;
    Schedule s{.epochs = name.ends_with("_label") ? 310. : 300.};
    for (std::ifstream in(file.path()); std::getline(in, line); ++lines) {
      auto entry = nlohmann::json::parse(line);
      int64_t epoch = entry.at("epoch");
      EXPECT_NEAR(lr_of_epoch(s, epoch), entry.at("train_lr").get<double>(), 1e-9) << name << ", epoch " << epoch;
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

}  // namespace rmt::test

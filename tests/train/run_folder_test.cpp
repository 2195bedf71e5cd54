#include "train/run_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "train/files.h"
#include "train/options.h"

namespace rmt::test {

TEST(RunFolder, NamesSayWhenWhatAndAtWhichSize) {
  TemporaryFolder folder;
  RunFolder a = RunFolder::create(folder / "output", "", "rmt_n", 64);
  EXPECT_NE(a.path().find("-rmt_n-64"), std::string::npos) << a.path();
  write_file(a / "args.json", "{}");
  RunFolder b = RunFolder::create(folder / "output", "", "rmt_n", 64);  // perhaps in the same second
  EXPECT_NE(a.path(), b.path());
}

TEST(RunFolder, NeverTakesAnothersPlace) {
  TemporaryFolder folder;
  RunFolder a = RunFolder::create(folder.path(), "one", "rmt_n", 64);
  EXPECT_EQ(a.path(), folder / "one");
  EXPECT_NO_THROW(RunFolder::create(folder.path(), "one", "rmt_n", 64)) << "an empty folder holds no run";
  write_file(a / "args.json", "{}");
  expect_error([&] { RunFolder::create(folder.path(), "one", "rmt_n", 64); }, {folder / "one", "not empty", "--resume", "--experiment"});
  EXPECT_EQ(read_file(a / "args.json", 10), "{}");
  EXPECT_EQ(RunFolder::open(folder / "one").path(), folder / "one");
  expect_error([&] { RunFolder::open(folder / "two"); }, {"two", "no such run folder"});
  expect_error([&] { RunFolder::create(a / "args.json", "", "rmt_n", 64); }, {"args.json", "--output"});
}

TEST(RunFolder, LogHoldsOneLineAnEpochUnderTheOfficialNames) {
  TemporaryFolder folder;
  RunFolder run = RunFolder::create(folder.path(), "run", "rmt_n", 64);
  for (int64_t e = 0; e < 4; ++e) run.append({.epoch = e, .n_parameters = 10, .train_loss = 0.1, .test_acc1 = 100. / 3, .bad_images = {"a.jpg: torn"}});
  append_line(run / "log.jsonl", "{\"epoch\": 4, \"n_para");  // killed in the middle of a line
  run.truncate_log(2);
  run.append({.epoch = 2});
  std::istringstream in(read_file(run / "log.jsonl", 1 << 20));
  std::string line;
  for (int64_t e = 0; e < 3; ++e) {
    ASSERT_TRUE(std::getline(in, line));
    auto entry = nlohmann::json::parse(line);
    EXPECT_EQ(entry["epoch"], e);
    for (const char* name : {"n_parameters", "train_loss", "train_lr", "test_loss", "test_acc1", "test_acc5", "seconds", "images_per_s", "bad_images"})
      EXPECT_TRUE(entry.contains(name)) << name;
    if (e == 2) continue;
    EXPECT_EQ(entry["test_acc1"].get<double>(), 100. / 3);
    EXPECT_EQ(entry["bad_images"][0], "a.jpg: torn");
  }
  EXPECT_FALSE(std::getline(in, line));
}

TEST(TrainOptions, JsonRoundTripAndErrors) {
  TrainOptions o{.model = "rmt_b", .img_size = 97, .lr = 1. / 3, .scale = {0.25, 0.5}, .aa = "rand-n3", .seed = ~uint64_t(0)};
  EXPECT_EQ(to_json(options_from_json(to_json(o), "")), to_json(o));
  EXPECT_EQ(options_from_json("{\"img_size\": 128}", "").img_size, 128);
  EXPECT_EQ(options_from_json("{\"img_size\": 128}", "").epochs, 300) << "what is not there keeps its default";
  for (const char* text : {"", "[]", "3", "{\"img_size\": \"big\"}", "{\"scale\": [1]}"})
    expect_error([&] { options_from_json(text, "file.json"); }, {"file.json"});
  expect_error([] { check(TrainOptions{.img_size = 31}); }, {"--img-size 31", "32"});
  expect_error([] { check(TrainOptions{.epochs = 0}); }, {"--epochs 0"});
  expect_error([] { check(TrainOptions{.smoothing = 1.5}); }, {"--smoothing 1.5"});
  expect_error([] { check(TrainOptions{.lr = std::nan("")}); }, {"--lr nan"});
  expect_error([] { check(TrainOptions{.aa = "rand-m9-x2"}); }, {"--aa rand-m9-x2", "\"x2\""});
  expect_error([] { check(TrainOptions{.reprob = -0.1}); }, {"--reprob -0.1"});
  EXPECT_NO_THROW(check(TrainOptions{.aa = "rand-m9-mstd0.5-inc1"}));
  EXPECT_NO_THROW(check(TrainOptions{}));
}

}  // namespace rmt::test

#include "train/run/run_folder.h"
#include "tests/train/run/accuracy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/files/files.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "train/options.h"

namespace rmt::test {
using namespace train;

TEST(RunFolder, NamesSayWhenWhatAndAtWhichSize) {
  TemporaryFolder folder;
  RunFolder a = RunFolder::create(folder / "output", "", "rmt_n", 64);
  EXPECT_NE(a.path().find("-rmt_n-64"), std::string::npos) << a.path();
  write_file(a / "args.json", "{}");
  RunFolder b =
      RunFolder::create(folder / "output", "", "rmt_n", 64);  // perhaps in the same second
  EXPECT_NE(a.path(), b.path());
}

TEST(RunFolder, NeverTakesAnothersPlace) {
  TemporaryFolder folder;
  RunFolder a = RunFolder::create(folder.path(), "one", "rmt_n", 64);
  EXPECT_EQ(a.path(), folder / "one");
  const std::vector<std::string> refusal = {folder / "one: exists", "--resume", "--experiment"};
  expect_error([&] { RunFolder::create(folder.path(), "one", "rmt_n", 64); }, refusal);
  write_file(a / "args.json", "{}");
  expect_error([&] { RunFolder::create(folder.path(), "one", "rmt_n", 64); }, refusal);
  EXPECT_EQ(read_file(a / "args.json", 10), "{}");
  EXPECT_EQ(RunFolder::open(folder / "one").path(), folder / "one");
  expect_error([&] { RunFolder::open(folder / "two"); }, {"two", "no such run folder"});
  expect_error([&] { RunFolder::create(a / "args.json", "", "rmt_n", 64); },
               {"args.json", "--output"});
}

TEST(RunFolder, LogHoldsOneLineAnEpochUnderTheOfficialNames) {
  TemporaryFolder folder;
  RunFolder run = RunFolder::create(folder.path(), "run", "rmt_n", 64);
  for (int64_t e = 0; e < 4; ++e)
    run.append({.epoch = e,
                .n_parameters = 10,
                .train_loss = 0.1,
                .test = accuracy(100. / 3),
                .bad_images = {"a.jpg: torn"}});
  append_line(run / "log.jsonl", "{\"epoch\": 4, \"n_para");  // killed in the middle of a line
  run.truncate_log(2);
  run.append({.epoch = 2});
  std::istringstream in(read_file(run / "log.jsonl", 1 << 20));
  std::string line;
  for (int64_t e = 0; e < 3; ++e) {
    ASSERT_TRUE(std::getline(in, line));
    auto entry = nlohmann::json::parse(line);
    EXPECT_EQ(entry["epoch"], e);
    for (const char* name : {"n_parameters", "train_loss", "train_lr", "test_loss", "test_acc1",
                             "test_acc5", "seconds", "images_per_s", "bad_images"})
      EXPECT_TRUE(entry.contains(name)) << name;
    if (e == 2) continue;
    EXPECT_EQ(entry["test_acc1"].get<double>(), 100. / 3);
    EXPECT_EQ(entry["bad_images"][0], "a.jpg: torn");
  }
  EXPECT_FALSE(std::getline(in, line));
}

namespace {

int64_t lines(const std::string& path) {
  const std::string text = read_file(path, 1 << 20);
  return std::count(text.begin(), text.end(), '\n');
}

std::string event_file_of(const RunFolder& run) {
  for (const auto& entry : std::filesystem::directory_iterator(run.path()))
    if (entry.path().filename().string().starts_with("events.out.tfevents."))
      return entry.path().string();
  return "";
}

// Everything in the folder that is drawn from the log.
std::vector<std::string> drawn(const RunFolder& run) {
  return {read_file(run / "summary.csv", 1 << 20), read_file(event_file_of(run), 1 << 20),
          read_file(run / "curves.svg", 1 << 20)};
}

void append_epochs(RunFolder& run, int64_t from, int64_t to) {
  for (int64_t e = from; e < to; ++e)
    run.append({.epoch = e,
                .train_loss = 7. / double(e + 1),
                .test = accuracy(10. * double(e)),
                .time = 1000 + e});
}

}  // namespace

TEST(RunFolder, RecordsFollowTheLog) {
  TemporaryFolder folder;
  RunFolder run = RunFolder::create(folder.path(), "run", "rmt_n", 64);
  append_epochs(run, 0, 3);
  EXPECT_EQ(lines(run / "summary.csv"), 1 + 3);
  EXPECT_NE(read_file(run / "curves.svg", 1 << 20).find("top-1 20.00 % (best 20.00, epoch 3)"),
            std::string::npos);
  EXPECT_NE(event_file_of(run), "");
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(run.path()))
    names.insert(entry.path().filename().string());
  EXPECT_EQ(names.size(), 4u) << "log.jsonl and what is drawn from it, once";
  run.append({.epoch = 3});
  EXPECT_GT(read_log(run / "log.jsonl").back().time, 1'700'000'000)
      << "a line without a time gets one";
}

// A run that was killed anywhere between the log and what is drawn from it, and does an epoch
// again, ends with what an uninterrupted one would have.
TEST(RunFolder, WhatIsTakenBackIsTakenBackEverywhere) {
  TemporaryFolder folder;
  RunFolder straight = RunFolder::create(folder / "a", "run", "rmt_n", 64),
            broken = RunFolder::create(folder / "b", "run", "rmt_n", 64);
  append_epochs(straight, 0, 3);
  append_epochs(broken, 0, 2);
  // Both event files begin with the time of their making, which is in their names.
  const std::string made = event_file_of(straight),
                    name = std::filesystem::path(made).filename().string();
  std::filesystem::rename(event_file_of(broken), broken / name);
  broken.refresh();
  const std::vector<std::string> two = drawn(broken), three = drawn(straight);
  EXPECT_NE(two, three);
  append_line(
      broken / "log.jsonl",
      to_line({.epoch = 2, .train_loss = 1e6, .time = 77}));  // killed before anything was drawn
  broken.truncate_log(2);
  broken.refresh();
  EXPECT_EQ(drawn(broken), two);
  broken.append({.epoch = 2, .train_loss = 1e6, .time = 77});  // drawn, and then killed
  append_line(broken / "log.jsonl", "{\"epoch\": 3, \"n_para");
  broken.truncate_log(2);
  append_epochs(broken, 2, 3);
  EXPECT_EQ(drawn(broken), three);
  EXPECT_EQ(read_file(broken / "log.jsonl", 1 << 20), read_file(straight / "log.jsonl", 1 << 20));
}

TEST(RunFolder, OneRecordThatFailsLeavesTheOthers) {
  TemporaryFolder folder;
  RunFolder run = RunFolder::create(folder.path(), "run", "rmt_n", 64);
  std::filesystem::create_directories(run / "summary.csv/full");
  expect_error([&] { append_epochs(run, 0, 1); }, {"summary.csv", "not a regular file"});
  EXPECT_EQ(lines(run / "log.jsonl"), 1);
  EXPECT_NE(read_file(run / "curves.svg", 1 << 20).find("epoch 1)"), std::string::npos);
  EXPECT_NE(event_file_of(run), "");
  std::filesystem::remove_all(run / "summary.csv");
  EXPECT_NO_THROW(run.refresh());
  EXPECT_EQ(lines(run / "summary.csv"), 2);
}

TEST(RunFolder, ATornLineInTheLogHindersNothing) {
  TemporaryFolder folder;
  RunFolder run = RunFolder::create(folder.path(), "run", "rmt_n", 64);
  append_epochs(run, 0, 1);
  append_line(run / "log.jsonl", "{\"epoch\": 1, \"n_para");
  append_epochs(run, 1, 3);
  EXPECT_EQ(lines(run / "summary.csv"), 1 + 3);
  expect_error([&] { read_log(run / "log.jsonl"); }, {"log.jsonl, line 2"});
}

TEST(RunFolder, AnotherLogIsDrawnBesideOurs) {
  TemporaryFolder folder;
  RunFolder run = RunFolder::create(folder.path(), "run & co", "rmt_n", 64);
  run.set_compare(
      {"RMT-T",
       {{.epoch = 0, .train_loss = 6.9, .test = accuracy(0.25), .test_ema = accuracy(0.1)}}});
  append_epochs(run, 0, 1);
  const std::string svg = read_file(run / "curves.svg", 1 << 20);
  for (const char* name : {"run &amp; co", "RMT-T"})
    EXPECT_NE(svg.find(name), std::string::npos) << name;
}

TEST(TrainOptions, JsonRoundTripAndErrors) {
  TrainOptions o{.model = "rmt_b",
                 .img_size = 97,
                 .lr = 1. / 3,
                 .scale = {0.25, 0.5},
                 .aa = "rand-n3",
                 .seed = ~uint64_t(0)};
  EXPECT_EQ(to_json(options_from_json(to_json(o), "")), to_json(o));
  EXPECT_EQ(options_from_json("{\"img_size\": 128}", "").img_size, 128);
  EXPECT_EQ(options_from_json("{\"img_size\": 128}", "").epochs, 300)
      << "what is not there keeps its default";
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

#include "train/run/epoch_log.h"
#include "tests/train/run/accuracy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "core/files/files.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"

namespace rmt::test {
using namespace train;
namespace {

// A line of the official code's RMT-T log.
const char* const kOfficial =
    R"({"epoch": 2, "n_parameters": 14334216, "train_lr": 0.00040080000000000486, )"
    R"("train_loss": 6.529000393104553, "test_loss": 5.155427697826834, )"
    R"("test_acc1": 8.120000238990784, "test_acc5": 22.166000623321533, )"
    R"("test_ema_loss": 6.908790649736629, "test_ema_acc1": 0.09800000061035156, )"
    R"("test_ema_acc5": 0.506000007019043})";

TEST(EpochLog, ReadsTheOfficialLine) {
  const EpochLog e = epoch_from_line(kOfficial, "log");
  EXPECT_EQ(e.epoch, 2);
  EXPECT_EQ(e.n_parameters, 14334216);
  EXPECT_EQ(e.train_lr, 0.00040080000000000486);
  EXPECT_EQ(e.train_loss, 6.529000393104553);
  EXPECT_EQ(e.test.loss, 5.155427697826834);
  EXPECT_EQ(e.test.score("acc1"), 8.120000238990784);
  EXPECT_EQ(e.test.score("acc5"), 22.166000623321533);
  EXPECT_EQ(e.test_ema->loss, 6.908790649736629);
  EXPECT_EQ(e.test_ema->score("acc1"), 0.09800000061035156);
  EXPECT_EQ(e.test_ema->score("acc5"), 0.506000007019043);
}

TEST(EpochLog, LineRoundTrip) {
  const EpochLog e{.epoch = 7,
                   .n_parameters = 3,
                   .train_loss = 1. / 3,
                   .train_lr = 1e-300,
                   .test = accuracy(100. / 7, 2, 50),
                   .test_ema = accuracy(0.1),
                   .seconds = 12.5,
                   .images_per_s = 3e3,
                   .skipped_steps = 2,
                   .time = 1763700000,
                   .bad_images = {"a, \"b\"\n.jpg: torn", "\xff.jpg: none"}};
  const std::string line = to_line(e);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const EpochLog back = epoch_from_line(line, "log");
  EXPECT_EQ(to_line(back), line);
  EXPECT_EQ(back.train_loss, e.train_loss);
  EXPECT_EQ(back.train_lr, e.train_lr);
  EXPECT_EQ(back.test_ema->score("acc1"), e.test_ema->score("acc1"));
  EXPECT_FALSE(back.test_ema->loss != 0);
  EXPECT_EQ(back.skipped_steps, 2);
  EXPECT_EQ(back.time, 1763700000);
  EXPECT_EQ(back.bad_images[0], e.bad_images[0]);
  EXPECT_EQ(back.bad_images[1], "\xEF\xBF\xBD.jpg: none")
      << "a name that is not UTF-8 gets U+FFFD in its place";
  EXPECT_TRUE(std::isnan(epoch_from_line(to_line({.train_loss = std::nan("")}), "log").train_loss));
}

TEST(EpochLog, HostileFilesAreErrorsThatNameFileAndLine) {
  TemporaryFolder folder;
  const std::string path = folder / "log.txt",
                    good = "{\"epoch\":0,\"train_loss\":7,\"test_acc1\":1}\n";
  auto reads = [&](const std::string& text) {
    write_file(path, text);
    return read_log(path);
  };
  EXPECT_EQ(reads(good).size(), 1u);
  EXPECT_EQ(reads("\r\n" + good + "\n{\"epoch\":5,\"train_loss\":7,\"test_acc1\":1}").back().epoch,
            5)
      << "blank lines, and no newline at the end";
  for (const std::string line :
       {"x", "[]", "3", "{", "{\"epoch\":1}", "{\"epoch\":1,\"train_loss\":2}",
        "{\"epoch\":\"1\",\"train_loss\":2,\"test_acc1\":3}",
        "{\"epoch\":1.5,\"train_loss\":2,\"test_acc1\":3}",
        "{\"epoch\":-1,\"train_loss\":2,\"test_acc1\":3}",
        "{\"epoch\":18446744073709551615,\"train_loss\":2,\"test_acc1\":3}",
        "{\"epoch\":2000000000,\"train_loss\":2,\"test_acc1\":3}",
        "{\"epoch\":1,\"train_loss\":\"low\",\"test_acc1\":3}",
        "{\"epoch\":1,\"train_loss\":[2],\"test_acc1\":3}",
        "{\"epoch\":1,\"train_loss\":NaN,\"test_acc1\":3}",
        "{\"epoch\":1,\"train_loss\":1e999,\"test_acc1\":3}",
        "{\"epoch\":1,\"train_loss\":2,\"test_acc1\":3,\"test_ema_acc1\":\"x\"}",
        "{\"epoch\":1,\"train_loss\":2,\"test_acc1\":3,\"n_parameters\":1e300}",
        "{\"epoch\":0,\"train_loss\":2,\"test_acc1\":3}"})  // epoch 0 again
    expect_error([&] { reads(good + line + "\n"); }, {path, "line 2"});
  expect_error([&] { reads(good + std::string(100'000, '[')); }, {path, "line 2"});
  expect_error([&] { reads(good + std::string("\0\xff", 2)); }, {path, "line 2"});
  expect_error([&] { reads(""); }, {path, "no epoch"});
  expect_error([&] { read_log(folder / "none"); }, {folder / "none"});
  std::filesystem::resize_file(path, (size_t(64) << 20) + 1);  // sparse
  expect_error([&] { read_log(path); }, {path, "67108865"});
}

TEST(EpochLog, SummaryHasTimmsColumns) {
  EXPECT_EQ(
      summary_csv(
          {{.epoch = 0, .train_loss = 6.5, .train_lr = 1e-6, .test = accuracy(0.1, 6.25, 0.5)}}),
      "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n0,6.5,6.25,0.1,0.5,1e-06\n");
  EXPECT_EQ(summary_csv({{.epoch = 3, .train_loss = 6.5},
                         {.epoch = 4, .train_loss = std::nan(""), .test_ema = accuracy(8, 7, 9)}}),
            "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr,eval_ema_loss,eval_ema_top1,eval_"
            "ema_top5\n"
            "3,6.5,0.0,0.0,0.0,0.0,,,\n4,,0.0,0.0,0.0,0.0,7.0,8.0,9.0\n");
}

TEST(EpochLog, DifferenceIsThatOfTheSameEpoch) {
  const Curve theirs{"RMT-T",
                     {{.epoch = 0, .test = accuracy(1)},
                      {.epoch = 2, .test = accuracy(8)},
                      {.epoch = 5, .test = accuracy(38)}}};
  EXPECT_EQ(score_difference({.epoch = 2, .test = accuracy(9.5)}, theirs), 1.5);
  EXPECT_EQ(score_difference({.epoch = 5, .test = accuracy(9.5)}, theirs), -28.5);
  for (int64_t missing : {1, 3, 6})
    EXPECT_FALSE(score_difference({.epoch = missing}, theirs).has_value()) << missing;
  EXPECT_FALSE(score_difference({.epoch = 0}, {}).has_value());
  EXPECT_FALSE(score_difference({.epoch = 2, .test = {0, {{"mIoU", 9.5}}}}, theirs).has_value())
      << "another score";
}

}  // namespace
}  // namespace rmt::test

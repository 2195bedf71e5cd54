// One run a folder: who comes second is told who has it, and a folder that is moved is followed.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "core/files/files.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "train/run/run_folder.h"

namespace rmt::test {
using namespace train;
namespace fs = std::filesystem;

TEST(RunLock, TheSecondIsToldWhoHasTheFolder) {
  TemporaryFolder folder;
  std::optional<RunFolder> first = RunFolder::create(folder.path(), "run", "rmt_n", 64);
  first->lock();
  RunFolder second = RunFolder::open(first->path());
  expect_error([&] { second.lock(); },
               {folder / "run: pid ", str(::getpid(), " on "), "--experiment"});
  const RunFolder copy = *first;
  first.reset();
  expect_error([&] { second.lock(); }, {"pid "});
  EXPECT_TRUE(fs::exists(copy / "run.lock"));
}

TEST(RunLock, EndsWithItsHolderAndAnyWordsInItsFileAreHarmless) {
  TemporaryFolder folder;
  { RunFolder::create(folder.path(), "run", "rmt_n", 64).lock(); }
  RunFolder run = RunFolder::open(folder / "run");
  EXPECT_NO_THROW(run.lock());
  std::ofstream(run / "run.lock") << "\x1b[2J pid 1";
  RunFolder second = RunFolder::open(folder / "run");
  expect_error([&] { second.lock(); }, {"another process trains"});
  std::ofstream(run / "run.lock") << "";
  expect_error([&] { second.lock(); }, {"another process trains"});
}

// A link that somebody has planted at the lock's name is not followed.
TEST(RunLock, IsTheFoldersOwnFile) {
  TemporaryFolder folder;
  RunFolder run = RunFolder::create(folder.path(), "run", "rmt_n", 64);
  write_file(folder / "victim", "precious");
  fs::create_symlink(folder / "victim", run / "run.lock");
  run.lock();
  EXPECT_EQ(read_file(folder / "victim", 99), "precious");
  EXPECT_FALSE(fs::is_symlink(run / "run.lock"));
}

TEST(RunLock, OfManyThatBeginAtOnceEachGetsAFolder) {
  TemporaryFolder folder;
  constexpr int kRuns = 12;
  std::vector<std::string> paths(kRuns);
  std::vector<std::thread> threads;
  for (int i = 0; i < kRuns; ++i)
    threads.emplace_back(
        [&, i] { paths[size_t(i)] = RunFolder::create(folder.path(), "", "rmt_n", 64).path(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::set<std::string>(paths.begin(), paths.end()).size(), size_t(kRuns));
}

TEST(RunLock, ARunBeginsAgainOnlyWhereOneBegan) {
  TemporaryFolder folder;
  auto begin_again = [&] { RunFolder::begin_again(folder / "run"); };
  fs::create_directories(folder / "run");
  EXPECT_NO_THROW(begin_again()) << "killed right after it made its folder";
  EXPECT_NO_THROW(begin_again()) << "or after it locked it";
  write_file(folder / "run/photo.jpg", "mine");
  expect_error(begin_again, {folder / "run: holds files and no run"});
  write_file(folder / "run/args.json", "{}");
  EXPECT_NO_THROW(begin_again());
  write_file(folder / "run/last.safetensors", "x");
  expect_error(begin_again, {folder / "run: another process has begun this run"});
}

TEST(RunLock, AFolderThatIsMovedIsFollowedAndOneThatIsRemovedEndsTheRun) {
  TemporaryFolder folder;
  RunFolder run = RunFolder::create(folder.path(), "run", "rmt_n", 64);
  run.lock();
  run.follow();
  EXPECT_EQ(run.path(), folder / "run");
  fs::rename(folder / "run", folder / "moved");
  fs::create_directories(folder / "run");  // and another one lies in its place
  run.follow();
  EXPECT_EQ(run.path(), fs::canonical(folder / "moved").string());
  fs::remove(run / "run.lock");
  EXPECT_NO_THROW(run.follow()) << "the folder is there";
  fs::remove_all(folder / "moved");
  expect_error([&] { run.follow(); }, {"moved: the run's folder was removed", "not saved"});
}

TEST(RunLock, ALogOfTwoRunsIsCut) {
  TemporaryFolder folder;
  RunFolder run = RunFolder::create(folder.path(), "run", "rmt_n", 64);
  for (int64_t e : {0, 1, 0, 2, 1, 2, 3}) append_line(run / "log.jsonl", to_line({.epoch = e}));
  EXPECT_NO_THROW(run.refresh());
  expect_error([&] { read_log(run / "log.jsonl"); }, {"line 3", "epoch 0 comes after epoch 1"});
  testing::internal::CaptureStderr();
  run.truncate_log(3);
  EXPECT_NE(testing::internal::GetCapturedStderr().find("3 lines repeat an epoch"),
            std::string::npos);
  const std::vector<EpochLog> log = read_log(run / "log.jsonl");
  ASSERT_EQ(log.size(), 3u);
  for (int64_t e = 0; e < 3; ++e) EXPECT_EQ(log[size_t(e)].epoch, e);
}

}  // namespace rmt::test

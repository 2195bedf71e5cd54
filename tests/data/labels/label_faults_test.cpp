// Writing labels with every one of its system calls failing, being interrupted or being the last
// one of the process: who begins again goes on, and the file is the same as if nothing had been.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/error.h"
#include "core/files/file_calls.h"
#include "core/files/files.h"
#include "core/parallel.h"
#include "tests/data/folder_maker.h"
#include "tests/data/labels/some_maps.h"

namespace rmt::data::test {
namespace {

namespace fs = std::filesystem;

struct LabelFaults : testing::Test {
  TemporaryFolder folder;
  const std::string path = folder / "a.rmtlabels", partial = path + ".partial";
  const std::vector<uint8_t> golden = read_bytes("tests/golden/labels.rmtlabels", 1 << 20);
  const size_t record = 4 + 4 * 2 * 3 * 2, records_at = golden.size() - 3 * record;
  // open, head, three records; fsync, rename, close; the folder: open, fsync, close.
  const int64_t calls = 1 + 1 + 3 + 3 + 3;

  ~LabelFaults() override { set_file_fault({}); }

  // The first run, which the fault meets. Its error, or "".
  std::string write(FileFault fault) {
    fs::remove(path);
    fs::remove(partial);
    set_file_fault(fault);
    std::string message;
    try {
      write_some(path);
    } catch (const Error& e) {
      message = e.what();
    }
    set_file_fault({});
    return message;
  }
  // How many records lie complete in what is left.
  int64_t complete() {
    const uint64_t there = fs::exists(partial) ? fs::file_size(partial) : 0;
    return there < records_at ? 0 : int64_t((there - records_at) / record);
  }
  // What the first run has left is nothing wrong; the second one keeps what is complete.
  void go_on() {
    if (fs::exists(path)) {
      EXPECT_EQ(read_bytes(path, 1 << 20), golden);
      return;
    }
    const int64_t before = complete();
    EXPECT_EQ(LabelFileWriter(path, kSomeInfo, kSomeNames).done(), before);
    write_some(path);
    EXPECT_EQ(read_bytes(path, 1 << 20), golden);
    EXPECT_FALSE(fs::exists(partial));
  }
};

}  // namespace

TEST_F(LabelFaults, ACallThatFailsIsAClearErrorAndNothingIsLost) {
  EXPECT_EQ(write({}), "");
  set_file_fault({});
  write_some(folder / "b");
  EXPECT_EQ(file_calls(), calls);
  for (int error : {ENOSPC, EIO})
    for (int64_t n = 1; n <= calls; ++n) {
      SCOPED_TRACE(str("call ", n, ", ", std::strerror(error)));
      const std::string message = write({n, FileFault::fail, error});
      const bool silent = n == 8 || n == 11;  // closed after an fsync
      EXPECT_EQ(message.empty(), silent) << message;
      EXPECT_TRUE(silent || (message.starts_with(path) && contains(message, std::strerror(error))))
          << message;
      EXPECT_EQ(complete(), n < 3 || n >= 8 ? 0 : std::min<int64_t>(n - 3, 3));
      go_on();
    }
}

TEST_F(LabelFaults, AFailingWriteMayBeTriedAgain) {
  LabelFileWriter writer(path, kSomeInfo, kSomeNames);
  writer.add(kSomeNames[0], some_map(0));
  set_file_fault({1, FileFault::fail, ENOSPC});
  EXPECT_TRUE(contains(error_of([&] { writer.add_none(kSomeNames[1]); }), "make room there"));
  EXPECT_EQ(writer.done(), 1);
  set_file_fault({});
  writer.add_none(kSomeNames[1]);
  writer.add(kSomeNames[2], some_map(2));
  writer.finish();
  EXPECT_EQ(read_bytes(path, 1 << 20), golden);
}

TEST_F(LabelFaults, AKillLosesAtMostTheRecordInTheMaking) {
  const int before = threads();
  set_threads(1);  // the children of fork() have no other
  for (FileFault::Kind kind : {FileFault::kill, FileFault::killed})
    for (int64_t n = 1; n <= calls; ++n) {
      SCOPED_TRACE(str(kind == FileFault::kill ? "in" : "after", " call ", n));
      const pid_t child = ::fork();
      if (child == 0) {
        write({n, kind});
        ::_exit(0);
      }
      int status = -1;
      ::waitpid(child, &status, 0);
      ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
      const int64_t written = n - 2 - (kind == FileFault::kill);
      if (!fs::exists(path)) {
        EXPECT_EQ(complete(), std::clamp<int64_t>(written, 0, 3));
      }
      go_on();
      fs::remove(path);
    }
  set_threads(before);
}

TEST_F(LabelFaults, InterruptionsAndShortWritesAreCarriedThrough) {
  for (int64_t n = 1; n <= calls; ++n)
    for (const FileFault& fault :
         {FileFault{n, FileFault::shorten}, FileFault{n, FileFault::fail, EINTR}}) {
      EXPECT_EQ(write(fault), "");
      EXPECT_EQ(read_bytes(path, 1 << 20), golden);
    }
}

// Going on behind half a record may fail, too, and be done again.
TEST_F(LabelFaults, GoingOnMayFailAsWell) {
  const size_t torn = records_at + record + record / 2;
  for (int64_t n = 1; n <= calls; ++n) {
    SCOPED_TRACE(n);
    fs::remove(path);
    folder.write("a.rmtlabels.partial",
                 std::vector<uint8_t>(golden.begin(), golden.begin() + std::ptrdiff_t(torn)));
    set_file_fault({n, FileFault::fail, EIO});
    try {
      write_some(path);  // open, cut, two records, and the last six calls
    } catch (const Error& e) {
      EXPECT_TRUE(std::string(e.what()).starts_with(path)) << e.what();
    }
    set_file_fault({});
    EXPECT_TRUE(fs::exists(path) || complete() >= 1);
    go_on();
  }
}

// A power failure may leave anything where no fsync was made: what is not sound is made again.
TEST_F(LabelFaults, WhatIsLeftIsReadThrough) {
  for (size_t at = 0; at < golden.size(); ++at) {
    SCOPED_TRACE(at);
    std::vector<uint8_t> bytes = golden;
    bytes[at] ^= 16;
    folder.write("a.rmtlabels.partial", bytes);
    if (at >= records_at) {
      EXPECT_EQ(LabelFileWriter(path, kSomeInfo, kSomeNames).done(),
                int64_t((at - records_at) / record));
      if ((at - records_at) % 13 > 0) continue;  // a disk is slow to say that all is on it
      write_some(path);
      EXPECT_EQ(read_bytes(path, 1 << 20), golden);
    } else {
      const std::string message = error_of([&] { LabelFileWriter(path, kSomeInfo, kSomeNames); });
      EXPECT_TRUE(message.starts_with(partial + ": ")) << message;
      EXPECT_EQ(read_bytes(partial, 1 << 20), bytes) << "is left for the user to remove";
    }
  }
  std::vector<uint8_t> longer = golden;
  longer.insert(longer.end(), 100, 7);
  folder.write("a.rmtlabels.partial", longer);
  write_some(path);
  EXPECT_EQ(read_bytes(path, 1 << 20), golden);
}

TEST_F(LabelFaults, AnotherRunsLabelsAreNotMixedIn) {
  { LabelFileWriter(path, kSomeInfo, kSomeNames).add(kSomeNames[0], some_map(0)); }
  const std::vector<uint8_t> left = read_bytes(partial, 1 << 20);
  auto differs = [&](const std::string& expected, const LabelFileInfo& info,
                     const std::vector<std::string>& names = kSomeNames) {
    EXPECT_EQ(error_of([&] { LabelFileWriter(path, info, names); }),
              partial + ": an earlier run has left it, made with " + expected +
                  "; remove it, or give the same flags");
    EXPECT_EQ(read_bytes(partial, 1 << 20), left);
  };
  LabelFileInfo info = kSomeInfo;
  info.height = 3;
  differs("2 x 3 cells, now 3 x 3", info);
  info = kSomeInfo, info.top = 3;
  differs("2 logits a cell, now 3", info);
  info = kSomeInfo, info.teacher = "rmt_s 64";
  differs("the teacher rmt_n 64, now rmt_s 64", info);
  info = kSomeInfo, info.classes.push_back("eel");
  differs("4 classes, now 5", info);
  info = kSomeInfo, info.classes[1] = "bat";
  differs("class 1 called bee, now bat", info);
  differs("3 images, now 2", kSomeInfo, {kSomeNames[0], kSomeNames[1]});
  differs("another image 2", kSomeInfo, {kSomeNames[0], kSomeNames[1], "dog/11.jpeg"});
  folder.write("a.rmtlabels.partial", "something else");
  EXPECT_TRUE(contains(error_of([&] { LabelFileWriter(path, kSomeInfo, kSomeNames); }),
                       partial + ": is no label file by its first bytes"));
}

}  // namespace rmt::data::test

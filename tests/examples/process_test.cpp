// Programs whose standard streams are closed, full or without a reader, and whose terminal closes.
#include <csignal>
#include <fstream>

#include "examples/process.h"
#include "tests/check_op.h"
#include "tests/examples/programs.h"
#include "tests/train/small_images.h"
#include "train/stop.h"

namespace rmt::test {
namespace fs = std::filesystem;

struct Process : Programs {
  void SetUp() override {
    Programs::SetUp();
    if (!IsSkipped()) draw_small_images(data);
  }
  const std::string train =
      "\"$BIN\"/rmt-train --data-dir data --model rmt_n --img-size 32 -b 8 --warmup-epochs 0 "
      "--lr 1e-3 --epochs 1 ";
  void expect_shell(const std::string& script, int status, const std::string& part) {
    const Result r = shell(script);
    EXPECT_EQ(r.status, status) << script << "\n" << r.text;
    EXPECT_NE(r.text.find(part), std::string::npos) << script << ": \"" << part << "\" is not in\n"
                                                    << r.text;
  }
};

// Both ways of printing, std::cout and printf, and --help.
TEST_F(Process, AFullStdoutIsStatus1) {
  ASSERT_EQ(shell(train + "--experiment run").status, 0);
  std::ofstream(folder / "log.jsonl") << "{\"epoch\":0,\"train_loss\":7,\"test_acc1\":1}\n";
  for (const char* command :
       {"rmt-info --model rmt_n", "rmt-eval output/run", "rmt-curves x=log.jsonl",
        "rmt-classify output/run data/val/dark/0.jpg", "rmt-data check --data-dir data",
        "rmt-train --recipe official --print-schedule", "rmt-train --help", "rmt-data --help"})
    expect_shell(str("\"$BIN\"/", command, " > /dev/full"), 1, "stdout: cannot write");
  expect_shell(train + "--experiment second > /dev/full", 1, "stdout: cannot write");
  EXPECT_TRUE(fs::exists(folder / "output/second/last.safetensors")) << "the run itself was saved";
}

TEST_F(Process, AReaderThatLeavesEndsNoRun) {
  // The pipe is closed before the run has printed anything: true reads nothing.
  expect_shell("(" + train + "--experiment run; echo status $? >&2) | true", 0, "status 0");
  EXPECT_TRUE(fs::exists(folder / "output/run/last.safetensors"));
}

// Descriptors 0 to 2 of a process that closed them are /dev/null then: no file gets one of them.
TEST(BeginProcess, ClosedStandardStreamsAreOpened) {
  const pid_t child = ::fork();
  if (child == 0) {
    for (int fd = 0; fd <= 2; ++fd) ::close(fd);
    begin_process();
    const int file = ::open("/proc/self/exe", O_RDONLY);
    ::_exit(file < 3 || ::write(1, "x", 1) != 1 || ::write(2, "x", 1) != 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(Process, AFileBeyondItsLimitIsAWarningAndNoSignal) {
  // A checkpoint has some megabytes; 64 blocks of 512 or 1024 bytes, as the shell counts them.
  expect_shell("ulimit -f 64; " + train + "--experiment run", 1, "File too large; make room");
  EXPECT_TRUE(fs::exists(folder / "output/run/log.jsonl"));
  EXPECT_FALSE(fs::exists(folder / "output/run/last.safetensors"));
}

TEST(StopSignals, ATerminalThatClosesAsksLikeSigterm) {
  using train::StopSignals;
  void (*before)(int) = std::signal(SIGHUP, SIG_DFL);  // the tests themselves may run under nohup
  {
    const StopSignals catch_signals;
    ::raise(SIGHUP);
    EXPECT_TRUE(StopSignals::requested());
    EXPECT_STREQ(StopSignals::name(), "SIGHUP");
    ::raise(SIGHUP);  // and its second one is not the end of the process
  }
  StopSignals::forget();
  std::signal(SIGHUP, SIG_IGN);  // as nohup does
  {
    const StopSignals catch_signals;
    ::raise(SIGHUP);
    EXPECT_FALSE(StopSignals::requested());
  }
  std::signal(SIGHUP, before);
}

}  // namespace rmt::test

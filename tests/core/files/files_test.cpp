// The write protocol with every one of its system calls failing, being interrupted or being the
// last one of the process.
#include "core/files/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <functional>

#include "core/files/file_calls.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "tests/train/training_state.h"

namespace rmt::test {
using namespace train;
namespace {

size_t open_files() {
  return size_t(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}
bool there(const std::string& path) { return std::filesystem::exists(path); }
std::string content(const std::string& path) {
  return there(path) ? read_file(path, 64 << 20) : "";
}

// A file as it was, and what an action makes of it.
struct Scene {
  std::string name, before, after;  // before: empty for no file
  std::function<void(const std::string& path)> act;

  void set(const std::string& path) const {
    if (before.empty())
      std::filesystem::remove(path);
    else
      write_file(path, before);
  }
};

Scene scene(const std::string& name, const std::string& before,
            const std::function<void(const std::string&)>& act) {
  TemporaryFolder folder(memory_folder());
  Scene s{name, before, "", act};
  s.set(folder / "file");
  act(folder / "file");
  s.after = content(folder / "file");
  return s;
}

// Every fifth tensor of a checkpoint: each is a call.
Archive checkpoint(uint64_t seed) {
  Archive a = training_state(seed), out;
  out.metadata = a.metadata;
  int i = 0;
  for (const auto& [name, x] : a.tensors)
    if (i++ % 5 == 0) out.tensors[name] = x;
  return out;
}

std::vector<Scene> scenes() {
  const Archive old = checkpoint(1), now = checkpoint(2);
  TemporaryFolder folder(memory_folder());
  write_safetensors(folder / "old", old);
  const std::vector<Bytes> parts{{"new ", 4}, {"text", 4}, {"", 0}, {" in parts", 9}};
  return {scene("a file that is replaced", "an old text",
                [parts](const std::string& path) { write_file(path, parts); }),
          scene("a file that is new", "",
                [parts](const std::string& path) { write_file(path, parts); }),
          scene("a checkpoint", content(folder / "old"),
                [now](const std::string& path) { write_safetensors(path, now); }),
          scene("a log", "one\ntwo\n",
                [](const std::string& path) { append_line(path, "a third line"); })};
}

// No fault; also at the end of a test that has armed one.
struct NoFault {
  NoFault() { set_file_fault({}); }
  ~NoFault() { set_file_fault({}); }
};

int64_t calls_of(const Scene& s, const std::string& path) {
  s.set(path);
  set_file_fault({});
  s.act(path);
  return file_calls();
}

// Does it in a process of its own; true when that was killed.
bool killed(const std::function<void()>& act) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      act();
    } catch (...) {
      ::_exit(2);
    }
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE((WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
              (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
      << status;
  return WIFSIGNALED(status);
}

}  // namespace

TEST(Files, TheProtocolIsTenCalls) {
  NoFault none;
  TemporaryFolder folder(memory_folder());
  const std::string path = folder / "file";
  write_file(path, {{"one", 3}, {"two", 3}, {"", 0}, {"three", 5}});
  EXPECT_EQ(file_calls(), 10)
      << "open, 3 writes, fsync, rename, close; open, fsync, close of the folder";
  set_file_fault({});
  append_line(path, "four");
  EXPECT_EQ(file_calls(), 5) << "open, read of the last byte, write, fsync, close";
  EXPECT_EQ(content(path), "onetwothree\nfour\n");
}

TEST(Files, AnotherProcessesTemporaryIsReplaced) {
  TemporaryFolder folder(memory_folder());
  write_file(folder / "file.tmp", std::string(1000, 'x'));
  write_file(folder / "file", "short");
  EXPECT_EQ(content(folder / "file"), "short");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
}

TEST(Files, OneWriterAtATime) {
  TemporaryFolder folder(memory_folder());
  {
    OutputFile first(folder / "file.tmp");
    first.append("first", 5);
    expect_error([&] { write_file(folder / "file", "second"); },
                 {folder / "file: another process is writing it"});
    first.publish(folder / "file");
  }
  EXPECT_EQ(content(folder / "file"), "first");
  write_file(folder / "file", "third");
  EXPECT_EQ(content(folder / "file"), "third");
  { OutputFile dropped(folder / "file.tmp"); }
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
}

TEST(Files, AResumedTemporaryStaysAndGoesOn) {
  TemporaryFolder folder(memory_folder());
  using Rest = OutputFile::Rest;
  {
    OutputFile first(folder / "file.tmp", "", Rest::resumed);
    EXPECT_EQ(first.size(), 0u);
    first.append("one two", 7);
  }
  EXPECT_EQ(content(folder / "file.tmp"), "one two");
  {
    OutputFile second(folder / "file.tmp", folder / "file", Rest::resumed);
    EXPECT_EQ(second.size(), 7u);
    expect_error([&] { OutputFile(folder / "file.tmp", folder / "file", Rest::resumed); },
                 {folder / "file: another process is writing it"});
    second.cut(100);
    EXPECT_EQ(second.size(), 7u);
    second.cut(4);
    second.append("three", 5);
    EXPECT_EQ(second.size(), 9u);
    second.publish(folder / "file");
  }
  EXPECT_EQ(content(folder / "file"), "one three");
  { OutputFile(folder / "file.tmp", "", Rest::resumed).append("rest", 4); }
  { OutputFile replaced(folder / "file.tmp"); }
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
}

TEST(Files, ALinkAtTheTemporaryNameIsRemovedAndItsTargetKept) {
  TemporaryFolder folder(memory_folder());
  write_file(folder / "victim", "precious");
  for (const bool hard : {false, true}) {
    if (hard)
      std::filesystem::create_hard_link(folder / "victim", folder / "file.tmp");
    else
      std::filesystem::create_symlink(folder / "victim", folder / "file.tmp");
    write_file(folder / "file", "new");
    EXPECT_EQ(content(folder / "file"), "new");
    EXPECT_EQ(content(folder / "victim"), "precious");
  }
  std::filesystem::create_symlink(folder / "victim", folder / "picture");
  write_file(folder / "picture", "new");
  EXPECT_EQ(content(folder / "victim"), "precious") << "a link at the name itself is replaced too";
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"file", "picture", "victim"}));
}

TEST(Files, APipeIsRefusedAndNotWaitedFor) {
  TemporaryFolder folder(memory_folder());
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  ASSERT_EQ(::mkfifo((folder / "file.tmp").c_str(), 0600), 0);
  expect_error([&] { read_file(folder / "pipe", 10); }, {folder / "pipe: is not a regular file"});
  expect_error([&] { read_file(folder.path(), 10); }, {"is a folder", "name a file in it"});
  expect_error([&] { write_file(folder / "pipe", "x"); }, {folder / "pipe: exists and is not"});
  expect_error([&] { write_file(folder / "file", "x"); }, {folder / "file: cannot write"});
}

TEST(Files, AreReadUpToTheirLimit) {
  TemporaryFolder folder(memory_folder());
  const std::string path = folder / "file";
  write_file(path, "one\r\n\ntwo");
  EXPECT_EQ(read_lines(path, 9), (std::vector<std::string>{"one", "", "two"}));
  EXPECT_EQ(read_bytes(path, 9).size(), 9u);
  expect_error([&] { read_file(path, 8); }, {path + ": 9 bytes, more than the 8"});
  const InputFile file(path);
  expect_error([&] { file.read(2, 8); }, {path + ": ends before byte 10"});
  write_unsynced(path, {{"x", 1}});
  char bytes[9];
  expect_error([&] { file.read(bytes, 9, 0); }, {path + ": ends at byte 1"});
}

TEST(Files, ThatCannotBeWrittenStayAsTheyWere) {
  NoFault none;
  for (const Scene& s : scenes()) {
    TemporaryFolder folder(memory_folder());
    const std::string path = folder / "file";
    const int64_t calls = calls_of(s, path);
    ASSERT_GE(calls, 4) << s.name;
    int64_t now = 0, refusals = 0;
    for (int error : {ENOSPC, EIO})
      for (int64_t n = 1; n <= calls; ++n) {
        SCOPED_TRACE(str(s.name, ", call ", n, " of ", calls, ", ", strerror(error)));
        s.set(path);
        const size_t files = open_files();
        set_file_fault({n, FileFault::fail, error});
        bool refused = false;
        try {
          s.act(path);
        } catch (const Error& e) {
          refused = true;
          EXPECT_TRUE(std::string(e.what()).starts_with(path + ": cannot ")) << e.what();
          EXPECT_NE(std::string(e.what()).find(strerror(error)), std::string::npos) << e.what();
        }
        set_file_fault({});
        EXPECT_EQ(open_files(), files);
        EXPECT_FALSE(there(path + ".tmp"));
        const std::string text = content(path);
        ASSERT_TRUE(text == s.before || text == s.after)
            << "a torn file of " << text.size() << " bytes";
        ASSERT_TRUE(refused || text == s.after) << "said to be written, and was not";
        now += text == s.after, refusals += refused;
      }
    // What may fail with the new bytes in their place: what comes after the rename, which is the
    // close of the file, and open, sync and close of the folder; of a log its sync and close. So
    // all else, the sync of the file among it, comes before. Only a close after a sync may fail
    // unsaid.
    const bool log = s.name == "a log";
    EXPECT_EQ(now, 2 * (log ? 2 : 4)) << s.name;
    EXPECT_EQ(refusals, 2 * (log ? calls : calls - 2)) << s.name;
  }
}

TEST(Files, OnADiskThatFailsForGoodStayAsTheyWere) {
  NoFault none;
  for (const Scene& s : scenes()) {
    TemporaryFolder folder(memory_folder());
    const std::string path = folder / "file";
    const int64_t calls = calls_of(s, path);
    for (int64_t n = 1; n <= calls; ++n) {
      SCOPED_TRACE(str(s.name, ", call ", n, " of ", calls));
      s.set(path);
      set_file_fault({n, FileFault::fail, EROFS, true});
      try {
        s.act(path);
      } catch (const Error&) {
      }
      set_file_fault({});
      const std::string text = content(path);
      // What a log has of a line can then not be taken back; whole files are the old or the new.
      EXPECT_TRUE(text == s.before || text == s.after || s.name == "a log") << text.size();
    }
  }
}

TEST(Files, OfAProcessThatIsKilledAreTheOldOrTheNewOnes) {
  NoFault none;
  for (const Scene& s : scenes()) {
    if (s.name == "a log") continue;  // below
    TemporaryFolder folder(memory_folder());
    const std::string path = folder / "file";
    const int64_t calls = calls_of(s, path);
    int old = 0, now = 0;
    for (FileFault::Kind kind : {FileFault::kill, FileFault::killed})
      for (int64_t n = 1; n <= calls; ++n) {
        SCOPED_TRACE(str(s.name, ", killed ", kind == FileFault::kill ? "in" : "after", " call ", n,
                         " of ", calls));
        s.set(path);
        ASSERT_TRUE(killed([&] {
          set_file_fault({n, kind});
          s.act(path);
        }));
        const std::string text = content(path);
        ASSERT_TRUE(text == s.before || text == s.after)
            << "a torn file of " << text.size() << " bytes";
        ++(text == s.before ? old : now);
        s.act(path);  // whatever the killed one has left
        ASSERT_EQ(content(path), s.after);
        EXPECT_FALSE(there(path + ".tmp"));
      }
    EXPECT_GT(old, 0) << s.name;
    EXPECT_GT(now, 0) << s.name;
    EXPECT_FALSE(killed([&] {
      set_file_fault({calls + 1, FileFault::kill});
      s.act(path);
    })) << "a call that is not there";
  }
}

TEST(Files, ALogOfAProcessThatIsKilledKeepsItsLines) {
  NoFault none;
  const Scene s = scenes().back();
  TemporaryFolder folder(memory_folder());
  const std::string path = folder / "file";
  const int64_t calls = calls_of(s, path);
  bool torn = false;
  for (FileFault::Kind kind : {FileFault::kill, FileFault::killed})
    for (int64_t n = 1; n <= calls; ++n) {
      s.set(path);
      ASSERT_TRUE(killed([&] {
        set_file_fault({n, kind});
        s.act(path);
      }));
      std::string text = content(path);
      EXPECT_TRUE(text.starts_with(s.before) && s.after.starts_with(text)) << text;
      torn |= text.back() != '\n';
      if (text.back() != '\n') text += '\n';  // a line that was cut short stays alone
      append_line(path, "next");
      EXPECT_EQ(content(path), text + "next\n");
    }
  EXPECT_TRUE(torn) << "no kill came in the middle of a line";
}

TEST(Files, InterruptionsAndShortWritesAreCarriedThrough) {
  NoFault none;
  for (const Scene& s : scenes()) {
    TemporaryFolder folder(memory_folder());
    const std::string path = folder / "file";
    const int64_t calls = calls_of(s, path);
    int whole = 0;
    for (int64_t n = 1; n <= calls; ++n) {
      SCOPED_TRACE(str(s.name, ", call ", n, " of ", calls));
      s.set(path);
      set_file_fault({n, FileFault::shorten});
      s.act(path);
      ASSERT_EQ(content(path), s.after);
      s.set(path);
      set_file_fault({n, FileFault::fail, EINTR});
      try {
        s.act(path);
        ASSERT_EQ(content(path), s.after);
        ++whole;
      } catch (const Error&) {
        ASSERT_EQ(content(path), s.before);
      }
    }
    set_file_fault({});
    EXPECT_GE(whole, calls - 1) << "only rename, which no signal interrupts, may give up";
  }
}

TEST(Files, AFullDiskIsNamedWithItsRemedy) {
  expect_error([] { append_line("/dev/full", "x"); },
               {"/dev/full: cannot append to: No space left on device; make room"});
  append_line("/dev/null", "a device has nothing to sync");
}

TEST(FileCalls, TheEnvironmentIsReadStrictly) {
  const FileFault full = file_fault("17:ENOSPC");
  EXPECT_EQ(full.call, 17);
  EXPECT_EQ(full.kind, FileFault::fail);
  EXPECT_EQ(full.error, ENOSPC);
  EXPECT_EQ(file_fault("1:kill").kind, FileFault::kill);
  EXPECT_EQ(file_fault("1:killed").kind, FileFault::killed);
  EXPECT_EQ(file_fault("9000000000:short").call, 9000000000);
  EXPECT_FALSE(full.for_good);
  EXPECT_TRUE(file_fault("17+:EROFS").for_good);
  for (const char* text : {"1+:kill", "1+:EINTR", "1+", "+:EIO", "1++:EIO", "", "1", "1:", ":kill",
                           "0:kill", "-1:kill", "1:kil", "1:kill ", " 1:kill", "x:kill", "1:28",
                           "99999999999999999999:kill", "1:2:kill"})
    expect_error([&] { file_fault(text); }, {str("RMT_FAULT=", text, ": expected"), "17:ENOSPC"});
}

}  // namespace rmt::test

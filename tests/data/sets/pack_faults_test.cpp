// Packing with every one of its system calls failing, being interrupted or being the last one of
// the process: what then lies under a final name is whole, and what is no whole pack is refused.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/files/file_calls.h"
#include "core/files/files.h"
#include "core/parallel.h"
#include "data/sets/image_folder.h"
#include "data/sets/pack.h"
#include "data/sets/records.h"
#include "tests/data/folder_maker.h"

namespace rmt::data::test {
namespace {

namespace fs = std::filesystem;
using Contents = std::map<std::string, std::vector<uint8_t>>;  // by name

// The files of a folder that have their final names.
Contents published(const std::string& folder) {
  Contents files;
  if (!fs::exists(folder)) return files;
  for (const std::string& name : names_in(folder, false))
    if (!name.ends_with(".tmp")) files[name] = read_bytes(folder + "/" + name, 1 << 20);
  return files;
}

// The message of the Error that f throws, or "".
template <class F>
std::string refusal(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// An earlier pack in two shards is replaced by another one in three.
struct PackFaults : testing::Test {
  TemporaryFolder folder;
  std::unique_ptr<ImageFolder> before, after;
  Contents old_pack, new_pack;
  int64_t calls = 0;
  const int threads = rmt::threads();

  PackFaults() {
    set_threads(1);  // the children of fork() have no other
    for (int i = 0; i < 5; ++i) {
      const std::vector<uint8_t> jpeg = encode_jpeg(test_image(24, 20, i), 70);
      if (i < 2) folder.write(str("old/train/c/", i, ".jpg"), jpeg);
      if (i > 1) folder.write(str("new/train/c/", i, ".jpg"), jpeg);
    }
    before = std::make_unique<ImageFolder>(folder / "old", "train");
    after = std::make_unique<ImageFolder>(folder / "new", "train");
    set_file_fault({});
    old_pack = restore();
    set_file_fault({});
    replace();
    calls = file_calls();
    new_pack = published(folder / "packed");
  }
  ~PackFaults() override {
    set_file_fault({});
    set_threads(threads);
  }

  Contents restore() {
    fs::remove_all(folder / "packed");
    pack_dataset(*before, folder / "packed", "train", {.size = 0, .shard_bytes = 1});
    return published(folder / "packed");
  }
  void replace() {
    pack_dataset(*after, folder / "packed", "train", {.size = 0, .shard_bytes = 1, .force = true});
  }

  // What is there is the old pack or the new one, or parts of them that the reader refuses. True
  // when it is the new one.
  bool is_new_pack() {
    const Contents now = published(folder / "packed");
    if (now == old_pack || now == new_pack) {
      Records data(folder / "packed", "train");
      for (int64_t i = 0; i < data.size(); ++i) data.image(i);
      return now == new_pack;
    }
    for (const auto& [name, bytes] : now) {
      const bool whole = (old_pack.contains(name) && bytes == old_pack.at(name)) ||
                         (new_pack.contains(name) && bytes == new_pack.at(name));
      EXPECT_TRUE(whole) << name << " is half-written";
    }
    const std::string refused = refusal([&] { Records(folder / "packed", "train"); });
    EXPECT_NE(refused.find(".rmtrec"), std::string::npos) << "not refused: " << refused;
    return false;
  }
};

}  // namespace

TEST_F(PackFaults, ACallThatFailsIsAClearErrorOrWasNotNeeded) {
  ASSERT_EQ(old_pack.size(), 2u);
  ASSERT_EQ(new_pack.size(), 3u);
  // A shard: open, header, classes, record, index, header again, fsync; fsync, rename, close. Then
  // two old shards are removed, and the folder is opened, synced and closed.
  EXPECT_EQ(calls, 3 * 10 + 2 + 3);
  int64_t silent = 0;
  for (int error : {ENOSPC, EIO})
    for (int64_t n = 1; n <= calls; ++n) {
      SCOPED_TRACE(str("call ", n, " of ", calls, ", ", std::strerror(error)));
      restore();
      set_file_fault({n, FileFault::fail, error});
      const std::string refused = refusal([&] { replace(); });
      set_file_fault({});
      if (refused.empty()) {
        ++silent;
      } else {
        EXPECT_NE(refused.find(std::strerror(error)), std::string::npos) << refused;
        EXPECT_TRUE(refused.starts_with(folder / "packed")) << refused;
      }
      is_new_pack();
      for (const std::string& name : names_in(folder / "packed", false))
        EXPECT_FALSE(name.ends_with(".tmp")) << name << " is left";
    }
  EXPECT_EQ(silent, 2 * (3 + 2 + 1)) << "the closes after a sync, and the removals of old shards";
}

TEST_F(PackFaults, AKillLeavesAPackOrARefusal) {
  int64_t old = 0, now = 0;
  for (FileFault::Kind kind : {FileFault::kill, FileFault::killed})
    for (int64_t n = 1; n <= calls; ++n) {
      SCOPED_TRACE(str(kind == FileFault::kill ? "in" : "after", " call ", n, " of ", calls));
      restore();
      const pid_t child = ::fork();
      if (child == 0) {
        set_file_fault({n, kind});
        replace();
        ::_exit(0);
      }
      int status = -1;
      ::waitpid(child, &status, 0);
      ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
      old += published(folder / "packed") == old_pack;
      now += is_new_pack();
      replace();  // whatever the killed one has left
      EXPECT_TRUE(is_new_pack());
      EXPECT_EQ(names_in(folder / "packed", false).size(), new_pack.size())
          << "a temporary is left";
    }
  EXPECT_GT(old, 0);
  EXPECT_GT(now, 0);
}

TEST_F(PackFaults, InterruptionsAndShortWritesAreCarriedThrough) {
  for (int64_t n = 1; n <= calls; ++n)
    for (const FileFault& fault :
         {FileFault{n, FileFault::shorten}, FileFault{n, FileFault::fail, EINTR}}) {
      SCOPED_TRACE(str("call ", n, " of ", calls));
      restore();
      set_file_fault(fault);
      replace();
      set_file_fault({});
      EXPECT_TRUE(is_new_pack());
    }
}

}  // namespace rmt::data::test

#include "data/sets/drawn_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "core/error.h"
#include "core/files/file_calls.h"
#include "core/files/files.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMark = "/drawings.txt";

// The lock ends with the process, however that ends.
class Lock {
 public:
  explicit Lock(const std::string& path)
      : fd_(sys::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    if (fd_ < 0) file_error("create", "drawings: " + path, errno);
    while (::flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~Lock() { ::close(fd_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int fd_;
};

}  // namespace

bool fill_drawn_folder(const std::string& given_root, const std::string& mark,
                       const std::function<void(const std::string& folder)>& fill) {
  std::string root = fs::path(given_root).lexically_normal().string();
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  CHECK(!root.empty() && root != "/" && root != ".", "drawings: \"", given_root,
        "\" is no name for a new folder");
  const std::string temporary = root + ".tmp";
  try {
    if (fs::path(root).has_parent_path()) fs::create_directories(fs::path(root).parent_path());
    Lock lock(root + ".lock");
    if (fs::exists(root)) {
      CHECK(fs::exists(root + kMark), "drawings: ", root,
            " exists and was not drawn by this program; choose another folder or remove it");
      if (read_file(root + kMark, 1 << 20) == mark) return false;
    }
    fs::remove_all(temporary);
    fill(temporary);
    write_unsynced(temporary + kMark, {{mark.data(), mark.size()}});
    fs::remove_all(root);
    if (sys::rename(temporary.c_str(), root.c_str()) != 0)
      file_error("draw", "drawings: " + root, errno);
  } catch (const fs::filesystem_error& e) {
    throw Error(str("drawings: ", e.what()));
  }
  return true;
}

}  // namespace rmt::data

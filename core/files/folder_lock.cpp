#include "core/files/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "core/error.h"
#include "core/files/file_calls.h"

namespace rmt {
namespace {

// What the holder wrote: one line of plain text, since anybody may have written the file.
std::string owner_of(int file) {
  char text[200];
  const ssize_t n = ::pread(file, text, sizeof text, 0);
  std::string owner(text, size_t(std::max<ssize_t>(n, 0)));
  owner = owner.substr(0, owner.find('\n'));
  const bool plain = std::all_of(owner.begin(), owner.end(), [](char c) { return c >= ' '; });
  return owner.empty() || !plain ? "another process" : owner;
}

void write_owner(int file) {
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  const std::string text = str("pid ", ::getpid(), " on ", host, "\n");
  // The lock holds without these words too: on a full disk they are missing.
  if (sys::ftruncate(file, 0) == 0) (void)!sys::pwrite(file, text.data(), text.size(), 0);
}

}  // namespace

std::shared_ptr<FolderLock> FolderLock::take(const std::string& folder, const std::string& name,
                                             std::string& owner) {
  const std::string path = folder + "/" + name;
  const int place = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (place < 0) file_error("open", folder, errno);
  const int file = sys::open_own(path.c_str(), O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0666);
  const int error = errno;
  std::shared_ptr<FolderLock> lock(new FolderLock(place, file));
  if (file < 0) file_error("write", path, error);
  if (::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    owner = owner_of(file);
    return nullptr;
  }
  write_owner(file);
  return lock;
}

FolderLock::~FolderLock() {
  if (file_ >= 0) ::close(file_);
  ::close(folder_);
}

std::string FolderLock::find(const std::string& path) const {
  struct stat ours, there;
  if (::fstat(folder_, &ours) != 0) return "";
  auto is_ours = [&](const std::string& at) {
    return ::stat(at.c_str(), &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
  };
  if (is_ours(path)) return path;
  std::error_code none;
  const std::string moved =
      std::filesystem::read_symlink(str("/proc/self/fd/", folder_), none).string();
  return is_ours(moved) ? moved : "";
}

}  // namespace rmt

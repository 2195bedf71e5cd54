#include "core/files/output_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "core/error.h"
#include "core/files/file_calls.h"

namespace rmt {

OutputFile::OutputFile(const std::string& temporary, const std::string& called, Rest rest)
    : temporary_(temporary), called_(called.empty() ? temporary : called), rest_(rest) {
  // No O_TRUNC: another writer's file may be emptied only under the lock, by take(). O_NONBLOCK: a
  // pipe of that name, which nobody reads, is an error and not a wait without end.
  constexpr int kFlags = O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC;
  fd_ = sys::open_own(temporary.c_str(), kFlags, 0666);
  if (fd_ < 0) file_error("write", called_, errno);
  try {
    take();
  } catch (...) {
    sys::close(fd_);
    throw;
  }
}

// The one who had the lock may have published the file in the meantime: then what we have locked is
// no longer what lies under the temporary name. A file system without locks does not stop us.
void OutputFile::take() {
  struct stat ours, named;
  const bool locked = ::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
  if (::fstat(fd_, &ours) != 0) file_error("write", called_, errno);
  CHECK(locked && ::stat(temporary_.c_str(), &named) == 0 && ours.st_ino == named.st_ino, called_,
        ": another process is writing it; wait for its end");
  size_ = uint64_t(ours.st_size);
  if (rest_ == Rest::replaced) cut(0);
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  if (rest_ == Rest::replaced) sys::unlink(temporary_.c_str());
  sys::close(fd_);
}

void OutputFile::append(const void* data, size_t bytes) {
  overwrite(data, bytes, size_);
  size_ += bytes;
}

void OutputFile::overwrite(const void* data, size_t bytes, uint64_t offset) {
  auto* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = sys::pwrite(fd_, p, std::min(bytes, size_t(1) << 30), off_t(offset));
    if (n <= 0) file_error("write", called_, n < 0 ? errno : ENOSPC);
    p += n;
    bytes -= size_t(n);
    offset += uint64_t(n);
  }
}

void OutputFile::cut(uint64_t size) {
  if (size_ > size && sys::ftruncate(fd_, off_t(size)) != 0) file_error("write", called_, errno);
  size_ = std::min(size_, size);
}

void OutputFile::sync() {
  if (sys::fsync(fd_) != 0) file_error("write", called_, errno);
}

void OutputFile::publish(const std::string& path) {
  sync();
  if (sys::rename(temporary_.c_str(), path.c_str()) != 0) file_error("write", path, errno);
  sys::close(std::exchange(fd_, -1));  // nothing is left that could fail: all is on disk
}

void OutputFile::keep() {
  if (sys::close(std::exchange(fd_, -1)) == 0) return;
  const int error = errno;
  sys::unlink(temporary_.c_str());
  file_error("write", called_, error);
}

void sync_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int fd =
      sys::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) file_error("sync the folder of", path, errno);
  const int error = sys::fsync(fd) == 0 ? 0 : errno;
  sys::close(fd);
  if (error && error != EINVAL)  // EINVAL: a file system that cannot sync folders
    file_error("sync the folder of", path, error);
}

}  // namespace rmt

#include "data/sets/disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/error.h"

namespace rmt::data {
namespace {

// Throws with the system's own reason, and the remedy where there is a usual one.
[[noreturn]] void fail(const std::string& what, const std::string& path, int error) {
  const char* remedy =
      error == ENOSPC || error == EDQUOT || error == EFBIG
          ? "; make room there or choose another folder"
      : error == EACCES || error == EPERM || error == EROFS ? "; check the permissions"
      : error == EMFILE ? "; raise the limit (ulimit -n), or use fewer and larger files"
                        : "";
  throw Error(str(path, ": cannot be ", what, ": ", std::strerror(error), remedy));
}

}  // namespace

FileReader::FileReader(const std::string& path)
    : path_(path),
      fd_(::open(path.c_str(),
                 O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {  // a pipe must not make us wait
  if (fd_ < 0) fail("opened", path, errno);
  struct stat about;
  if (::fstat(fd_, &about) != 0 || !S_ISREG(about.st_mode)) {
    ::close(fd_);
    throw Error(path + ": is not a regular file; remove it");
  }
  size_ = uint64_t(about.st_size);
}

FileReader::~FileReader() { ::close(fd_); }

void FileReader::read(void* to, size_t bytes, uint64_t offset) const {
  auto* p = static_cast<char*>(to);
  while (bytes > 0) {
    ssize_t n = ::pread(fd_, p, std::min(bytes, size_t(1) << 30), off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("read", path_, errno);
    CHECK(n > 0, path_, ": ends at byte ", offset,
          ", before what it should hold; it was cut short, copy or make it again");
    p += n, bytes -= size_t(n), offset += uint64_t(n);
  }
}

std::vector<uint8_t> FileReader::read(size_t bytes, uint64_t offset) const {
  CHECK(offset <= size_ && bytes <= size_ - offset, path_, ": ends before byte ", offset + bytes,
        "; it was cut short, copy or make it again");
  std::vector<uint8_t> all(bytes);
  read(all.data(), bytes, offset);
  return all;
}

std::vector<uint8_t> read_bytes(const std::string& path, size_t most) {
  FileReader file(path);
  CHECK(file.size() <= most, path, ": ", file.size(), " bytes, more than the ", most,
        " that such a file may have");
  return file.read(size_t(file.size()), 0);
}

std::vector<std::string> read_lines(const std::string& path, size_t most) {
  const std::vector<uint8_t> bytes = read_bytes(path, most);
  std::vector<std::string> lines;
  for (auto at = bytes.begin(); at != bytes.end();) {
    auto end = std::find(at, bytes.end(), '\n');
    std::string line(at, end);
    if (line.ends_with('\r')) line.pop_back();
    lines.push_back(std::move(line));
    at = end == bytes.end() ? end : end + 1;
  }
  return lines;
}

FileWriter::FileWriter(const std::string& temporary)
    : temporary_(temporary),
      fd_(::open(temporary.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666)) {
  if (fd_ < 0) fail("written", temporary, errno);
  const bool ours = ::flock(fd_, LOCK_EX | LOCK_NB) == 0 ||
                    errno != EWOULDBLOCK;  // file systems without locks do not stop us
  if (!ours || ::ftruncate(fd_, 0) != 0) {
    const int error = errno;
    ::close(fd_);
    CHECK(ours, temporary, ": another process is writing it; wait for its end");
    fail("written", temporary, error);
  }
}

FileWriter::~FileWriter() {
  if (fd_ < 0) return;
  ::unlink(temporary_.c_str());
  ::close(fd_);
}

void FileWriter::append(const void* data, size_t bytes) {
  overwrite(data, bytes, size_);
  size_ += bytes;
}

void FileWriter::overwrite(const void* data, size_t bytes, uint64_t offset) {
  auto* p = static_cast<const char*>(data);
  while (bytes > 0) {
    ssize_t n = ::pwrite(fd_, p, std::min(bytes, size_t(1) << 30), off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("written", temporary_, n < 0 ? errno : ENOSPC);
    p += n, bytes -= size_t(n), offset += uint64_t(n);
  }
}

void FileWriter::sync() {
  while (::fsync(fd_) != 0)
    if (errno != EINTR) fail("written", temporary_, errno);
}

void FileWriter::publish(const std::string& path) {
  sync();
  if (std::rename(temporary_.c_str(), path.c_str()) != 0)
    fail("renamed to " + path, temporary_, errno);
  ::close(fd_);
  fd_ = -1;
}

void sync_folder(const std::string& folder) {
  int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail("opened", folder, errno);
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  if (error && error != EINVAL) fail("synced", folder, error);  // EINVAL: a file system that cannot
}

}  // namespace rmt::data

#include "core/files/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/error.h"
#include "core/files/file_calls.h"

namespace rmt {
namespace {

// Throws with the system's own reason. A full disk is the common one, so it gets its remedy.
[[noreturn]] void fail(const std::string& what, const std::string& path, int error) {
  const char* remedy = error == ENOSPC || error == EDQUOT || error == EFBIG
                           ? "; make room there or choose another folder"
                       : error == EACCES || error == EPERM || error == EROFS
                           ? "; check the permissions of its folder"
                       : error == ENOENT ? "; check the path"
                                         : "";
  throw Error(str(path, ": cannot ", what, ": ", std::strerror(error), remedy));
}

// A call that a signal interrupts is made again.
template <class Call>
auto insist(const Call& call) {
  for (;;)
    if (auto result = call(); result != -1 || errno != EINTR) return result;
}

int open_for_writing(const std::string& path, int flags) {
  return insist([&] { return sys::open(path.c_str(), flags | O_CREAT | O_CLOEXEC, 0666); });
}

// These three: 0 or errno.
int write_all(int fd, Bytes part) {
  const char* p = static_cast<const char*>(part.data);
  for (size_t left = part.size; left > 0;) {
    ssize_t n = insist([&] { return sys::write(fd, p, std::min(left, size_t(1) << 30)); });
    if (n <= 0) return n < 0 ? errno : ENOSPC;
    p += n, left -= size_t(n);
  }
  return 0;
}

int sync(int fd) {
  return insist([&] { return sys::fsync(fd); }) == 0 ? 0 : errno;
}

int close(int fd, int error) {  // the earlier error counts; an interrupted close has closed
  return sys::close(fd) != 0 && !error && errno != EINTR ? errno : error;
}

// Makes the rename itself durable. Some file systems cannot sync a folder (EINVAL): there the
// rename is as safe as it gets.
int sync_folder(const std::string& folder) {
  int fd = insist([&] { return sys::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return errno;
  int error = sync(fd);
  sys::close(fd);
  return error == EINVAL ? 0 : error;
}

// At the end of the file, or on a line of its own there.
void add(const std::string& path, std::string text, bool on_line) {
  int fd = open_for_writing(path, O_RDWR | O_APPEND);
  if (fd < 0) fail("append to", path, errno);
  struct stat before;
  int error = ::fstat(fd, &before) != 0 ? errno : 0;
  char last = '\n';
  if (!error && on_line && S_ISREG(before.st_mode) && before.st_size > 0 &&
      ::pread(fd, &last, 1, before.st_size - 1) != 1)
    error = errno;
  if (last != '\n') text = '\n' + text;
  if (!error) {
    error = write_all(fd, {text.data(), text.size()});
    if (error)
      insist([&] {
        return sys::ftruncate(fd, before.st_size);
      });  // and if that fails, the first reason is still the one to tell
  }
  if (!error && (error = sync(fd)) == EINVAL)
    error = 0;  // a pipe or device, which has nothing to sync
  error = close(fd, error);
  if (error) fail("append to", path, error);
}

}  // namespace

void write_file(const std::string& path, const std::vector<Bytes>& parts) {
  struct stat old;
  CHECK(::stat(path.c_str(), &old) != 0 || S_ISREG(old.st_mode), path,
        ": exists and is not a regular file; give the name of a file");
  std::string temporary = path + ".tmp",
              folder = std::filesystem::path(path).parent_path().string();
  int fd = open_for_writing(temporary, O_WRONLY | O_TRUNC | O_NOFOLLOW), error = 0;
  if (fd < 0) fail("write", path, errno);
  for (const Bytes& part : parts)
    if (!error) error = write_all(fd, part);
  if (!error) error = sync(fd);
  error = close(fd, error);
  if (!error && sys::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error) {
    sys::unlink(temporary.c_str());
    fail("write", path, error);
  }
  error = sync_folder(folder.empty() ? "." : folder);
  if (error) fail("sync the folder of", path, error);
}

void write_file(const std::string& path, const std::string& text) {
  write_file(path, {Bytes{text.data(), text.size()}});
}

void append_line(const std::string& path, const std::string& text) { add(path, text + '\n', true); }
void append(const std::string& path, const std::string& text) { add(path, text, false); }

std::string read_file(const std::string& path, size_t most_bytes) {
  InputFile file(path);
  CHECK(file.size() <= most_bytes, path, ": ", file.size(), " bytes, more than the ", most_bytes,
        " expected of such a file");
  std::string text(file.size(), '\0');
  file.read(text.data(), text.size(), 0);
  return text;
}

InputFile::InputFile(const std::string& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (fd_ < 0) fail("open", path, errno);
  struct stat s;
  if (::fstat(fd_, &s) != 0 || !S_ISREG(s.st_mode)) {
    ::close(fd_);
    throw Error(path + ": is not a regular file");
  }
  size_ = size_t(s.st_size);
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read(void* to, size_t bytes, size_t offset) const {
  char* p = static_cast<char*>(to);
  while (bytes > 0) {
    ssize_t n = ::pread(fd_, p, std::min(bytes, size_t(1) << 30), off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("read", path_, errno);
    CHECK(n > 0, path_, ": ended while it was read; another program may be writing it, try again");
    p += n, bytes -= size_t(n), offset += size_t(n);
  }
}

}  // namespace rmt

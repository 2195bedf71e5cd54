#include "core/files/file_calls.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace rmt {
namespace {

struct Reason {
  const char* name;
  int error;
};
constexpr Reason kReasons[] = {{"EACCES", EACCES}, {"EDQUOT", EDQUOT}, {"EINTR", EINTR},
                               {"EIO", EIO},       {"EMFILE", EMFILE}, {"ENOSPC", ENOSPC},
                               {"EROFS", EROFS}};

std::atomic<int64_t> calls = 0;

FileFault& armed() {
  static FileFault fault = [] {
    const char* text = std::getenv("RMT_FAULT");
    return text ? file_fault(text) : FileFault{};
  }();
  return fault;
}

// What is to happen at this call.
FileFault::Kind next_call() {
  const FileFault& fault = armed();
  const int64_t call = ++calls;
  if (call != fault.call && !(fault.for_good && call > fault.call)) return FileFault::none;
  if (fault.kind == FileFault::fail) errno = fault.error;
  return fault.kind;
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

// Makes a call that is done as a whole or not at all.
template <class Call>
auto make(const Call& call) {
  for (;;) {
    const FileFault::Kind fault = next_call();
    if (fault == FileFault::kill) die();
    const auto result = fault == FileFault::fail ? decltype(call())(-1) : call();
    if (fault == FileFault::killed) die();
    if (result != -1 || errno != EINTR) return result;
  }
}

// Makes a call that writes up to so many bytes.
template <class Call>
ssize_t make_write(size_t bytes, const Call& call) {
  for (;;) {
    const FileFault::Kind fault = next_call();
    const bool half = fault == FileFault::shorten || fault == FileFault::kill;
    const ssize_t written = fault == FileFault::fail ? -1 : call(half ? (bytes + 1) / 2 : bytes);
    if (fault == FileFault::kill || fault == FileFault::killed) die();
    if (written != -1 || errno != EINTR) return written;
  }
}

}  // namespace

FileFault file_fault(const std::string& text) {
  FileFault fault;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, fault.call);
  if (error == std::errc{} && rest != end && *rest == '+') {
    fault.for_good = true;
    ++rest;
  }
  const std::string what = error == std::errc{} && rest != end && *rest == ':' && fault.call > 0
                               ? std::string(rest + 1, end)
                               : "";
  if (what == "short") fault.kind = FileFault::shorten;
  if (what == "kill") fault.kind = FileFault::kill;
  if (what == "killed") fault.kind = FileFault::killed;
  for (const Reason& r : kReasons)
    if (what == r.name) {
      fault.kind = FileFault::fail;
      fault.error = r.error;
    }
  const bool once = fault.kind != FileFault::fail || fault.error == EINTR;  // tried without end
  if (fault.for_good && once) fault.kind = FileFault::none;
  CHECK(fault.kind != FileFault::none, "RMT_FAULT=", text,
        ": expected the number of a call and what happens to it, as in 17:ENOSPC, 17+:EROFS, "
        "17:short, 17:kill or 17:killed");
  return fault;
}

void set_file_fault(FileFault fault) {
  armed() = fault;
  calls = 0;
}
int64_t file_calls() { return calls; }

namespace sys {

int open(const char* path, int flags, mode_t mode) {
  return make([&] { return ::open(path, flags, mode); });
}
int open_own(const char* path, int flags, mode_t mode) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    const int fd = open(path, flags | O_NOFOLLOW, mode);
    struct stat about;
    const bool link = fd < 0 ? errno == ELOOP : ::fstat(fd, &about) == 0 && about.st_nlink > 1;
    if (!link) return fd;
    if (fd >= 0) ::close(fd);
    if (unlink(path) != 0) return -1;
  }
  errno = ELOOP;  // somebody plants them faster
  return -1;
}
ssize_t pread(int fd, void* to, size_t bytes, off_t offset) {
  return make([&] { return ::pread(fd, to, bytes, offset); });
}
ssize_t write(int fd, const void* data, size_t bytes) {
  return make_write(bytes, [&](size_t n) { return ::write(fd, data, n); });
}
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset) {
  return make_write(bytes, [&](size_t n) { return ::pwrite(fd, data, n, offset); });
}
int fsync(int fd) {
  return make([&] { return ::fsync(fd); });
}
int ftruncate(int fd, off_t size) {
  return make([&] { return ::ftruncate(fd, size); });
}
int rename(const char* from, const char* to) {
  return make([&] { return std::rename(from, to); });
}
int unlink(const char* path) {
  return make([&] { return ::unlink(path); });
}

int close(int fd) {
  const FileFault::Kind fault = next_call();
  const int reason = errno;
  if (fault == FileFault::kill) die();
  int result = ::close(fd);
  if (fault == FileFault::killed) die();
  if (fault == FileFault::fail) {
    errno = reason;
    result = -1;
  }
  return result == -1 && errno == EINTR ? 0 : result;
}

}  // namespace sys

void file_error(const std::string& do_what, const std::string& path, int error) {
  const char* remedy = "";
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    remedy = "; make room there or choose another folder";
  if (error == EACCES || error == EPERM || error == EROFS)
    remedy = "; check the permissions of its folder";
  if (error == ENOENT) remedy = "; check the path";
  if (error == EMFILE) remedy = "; raise the limit (ulimit -n), or use fewer and larger files";
  if (error == ENFILE) remedy = "; all programs together have too many files open: close some";
  if (error == ENOMEM) remedy = "; close other programs or use fewer workers";
  const std::string message =
      str(printable(path), ": cannot ", do_what, ": ", std::strerror(error), remedy);
  if (error == EMFILE || error == ENFILE || error == ENOMEM) throw SystemError(message);
  throw Error(message);
}

}  // namespace rmt

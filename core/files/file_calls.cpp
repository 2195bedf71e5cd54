#include "core/files/file_calls.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstdlib>

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
FileFault next() {
  const FileFault& fault = armed();
  return ++calls == fault.call ? fault : FileFault{};
}

[[noreturn]] void die() {
  ::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

// Any call but write and close.
template <class Call>
int make(const Call& call) {
  const FileFault fault = next();
  if (fault.kind == FileFault::kill) die();
  if (fault.kind == FileFault::fail) return errno = fault.error, -1;
  const int result = call();
  if (fault.kind == FileFault::killed) die();
  return result;
}

}  // namespace

FileFault file_fault(const std::string& text) {
  FileFault fault;
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, fault.call);
  const std::string what = error == std::errc{} && rest != end && *rest == ':' && fault.call > 0
                               ? std::string(rest + 1, end)
                               : "";
  if (what == "short") fault.kind = FileFault::shorten;
  if (what == "kill") fault.kind = FileFault::kill;
  if (what == "killed") fault.kind = FileFault::killed;
  for (const Reason& r : kReasons)
    if (what == r.name) fault.kind = FileFault::fail, fault.error = r.error;
  CHECK(fault.kind != FileFault::none, "RMT_FAULT=", text,
        ": expected the number of a call and what happens to it, as in 17:ENOSPC, 17:short, "
        "17:kill or 17:killed");
  return fault;
}

void set_file_fault(FileFault fault) { armed() = fault, calls = 0; }
int64_t file_calls() { return calls; }

namespace sys {

int open(const char* path, int flags, mode_t mode) {
  return make([&] { return ::open(path, flags, mode); });
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

ssize_t write(int fd, const void* data, size_t bytes) {
  const FileFault fault = next();
  if (fault.kind == FileFault::fail) return errno = fault.error, -1;
  const bool half = fault.kind == FileFault::shorten || fault.kind == FileFault::kill;
  const ssize_t written = ::write(fd, data, half ? (bytes + 1) / 2 : bytes);
  if (fault.kind == FileFault::kill || fault.kind == FileFault::killed) die();
  return written;
}

int close(int fd) {
  const FileFault fault = next();
  if (fault.kind == FileFault::kill) die();
  const int result = ::close(fd);
  if (fault.kind == FileFault::killed) die();
  return fault.kind == FileFault::fail ? (errno = fault.error, -1) : result;
}

}  // namespace sys
}  // namespace rmt

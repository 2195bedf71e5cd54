// The system calls that change what is on disk, and the one read among them. All of them go through
// here, so that they can go wrong on purpose: the process numbers them 1, 2, 3, ..., and one of
// them can be told to fail, by a test (set_file_fault) or by the environment of any program:
//
//   RMT_FAULT=17:ENOSPC   Call 17 does nothing and fails for that reason (or EACCES EDQUOT EINTR
//                         EIO EMFILE EROFS); a file is closed all the same.
//   RMT_FAULT=17+:EROFS   Call 17 and all that follow, as on a disk that fails for good.
//   RMT_FAULT=17:short    Call 17, when it is a write, writes half of its bytes and says so.
//   RMT_FAULT=17:kill     SIGKILL in call 17: a write has written half of its bytes, another call
//                         has done nothing.
//   RMT_FAULT=17:killed   SIGKILL right after call 17.
//
// Another value is an Error at the first call. A number beyond the last call does nothing: who
// tries 1, 2, 3, ... has tried all when a run ends well.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace rmt {

struct FileFault {
  enum Kind { none, fail, shorten, kill, killed };
  int64_t call = 0;
  Kind kind = none;
  int error = 0;          // errno, of fail
  bool for_good = false;  // and all calls after it
};

FileFault file_fault(const std::string& text);  // what stands in RMT_FAULT; Error for anything else
void set_file_fault(FileFault fault);  // in place of RMT_FAULT; the next call is number 1 again
int64_t file_calls();                  // since the start or the last set_file_fault

// As in POSIX, but a call that a signal interrupts is made again, and close() never says EINTR: the
// file is closed.
namespace sys {
int open(const char* path, int flags, mode_t mode = 0);
// As open(), for a file that is the caller's alone: a link of that name, symbolic or hard, is
// removed first, and what it leads to stays as it is.
int open_own(const char* path, int flags, mode_t mode);
ssize_t pread(int fd, void* to, size_t bytes, off_t offset);
ssize_t write(int fd, const void* data, size_t bytes);
ssize_t pwrite(int fd, const void* data, size_t bytes, off_t offset);
int fsync(int fd);
int ftruncate(int fd, off_t size);
int close(int fd);
int rename(const char* from, const char* to);
int unlink(const char* path);
}  // namespace sys

// Throws Error: "<path>: cannot <do what>: <the system's reason>; <the remedy where there is a
// usual one>". SystemError, when the system has no descriptor or memory left for any file.
[[noreturn]] void file_error(const std::string& do_what, const std::string& path, int error);

}  // namespace rmt

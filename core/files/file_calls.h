// The system calls by which core/files/files.cpp changes what is on disk. They go through here so
// that they can go wrong on purpose: the process numbers them 1, 2, 3, ..., and one of them can be
// told to fail, by a test or by the environment of any program:
//   RMT_FAULT=17:ENOSPC   call 17 does nothing and fails for that reason (or EACCES EDQUOT EINTR
//   EIO EMFILE EROFS); a file is closed all the same RMT_FAULT=17:short    call 17, when it is a
//   write, writes half of its bytes and says so RMT_FAULT=17:kill     SIGKILL in call 17: a write
//   has written half of its bytes, another call has done nothing RMT_FAULT=17:killed   SIGKILL
//   right after call 17
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
  int error = 0;  // errno, of fail
};

FileFault file_fault(const std::string& text);  // what stands in RMT_FAULT; Error for anything else
void set_file_fault(FileFault fault);  // in place of RMT_FAULT; the next call is number 1 again
int64_t file_calls();                  // since the start or the last set_file_fault

// As in POSIX.
namespace sys {
int open(const char* path, int flags, mode_t mode = 0);
ssize_t write(int fd, const void* data, size_t bytes);
int fsync(int fd);
int ftruncate(int fd, off_t size);
int close(int fd);
int rename(const char* from, const char* to);
int unlink(const char* path);
}  // namespace sys

}  // namespace rmt

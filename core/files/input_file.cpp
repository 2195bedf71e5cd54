#include "core/files/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/error.h"
#include "core/files/file_calls.h"

namespace rmt {

InputFile::InputFile(const std::string& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (fd_ < 0) file_error("open", path, errno);
  struct stat about {};
  if (::fstat(fd_, &about) != 0 || !S_ISREG(about.st_mode)) {
    const bool folder = S_ISDIR(about.st_mode);
    ::close(fd_);
    throw Error(printable(path) + (folder
                                       ? ": is a folder, not a regular file; name a file in it"
                                       : ": is not a regular file; choose another, or remove it"));
  }
  size_ = uint64_t(about.st_size);
}

InputFile::~InputFile() { ::close(fd_); }

void InputFile::read(void* to, size_t bytes, uint64_t offset) const {
  auto* p = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t n = ::pread(fd_, p, std::min(bytes, size_t(1) << 30), off_t(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) file_error("read", path_, errno);
    CHECK(n > 0, printable(path_), ": ends at byte ", offset,
          ", before what it should hold; it was cut short or is still written, copy or make it "
          "again");
    p += n;
    bytes -= size_t(n);
    offset += uint64_t(n);
  }
}

std::vector<uint8_t> InputFile::read(size_t bytes, uint64_t offset) const {
  CHECK(offset <= size_ && bytes <= size_ - offset, printable(path_), ": ends before byte ",
        offset + bytes, "; it was cut short, copy or make it again");
  std::vector<uint8_t> all(bytes);
  read(all.data(), bytes, offset);
  return all;
}

}  // namespace rmt

#include "core/files/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/error.h"
#include "core/files/file_calls.h"

namespace rmt {
namespace {

void check_size(const InputFile& file, size_t most_bytes) {
  CHECK(file.size() <= most_bytes, file.path(), ": ", file.size(), " bytes, more than the ",
        most_bytes, " that such a file may have");
}

// 0 or errno.
int write_all(int fd, const std::string& text) {
  const char* p = text.data();
  for (size_t left = text.size(); left > 0;) {
    const ssize_t n = sys::write(fd, p, std::min(left, size_t(1) << 30));
    if (n <= 0) return n < 0 ? errno : ENOSPC;
    p += n;
    left -= size_t(n);
  }
  return 0;
}

// At the end of the file, or on a line of its own there. Returns 0 or errno.
int append_to(int fd, std::string text, bool on_line) {
  struct stat before;
  if (::fstat(fd, &before) != 0) return errno;
  char last = '\n';
  if (on_line && S_ISREG(before.st_mode) && before.st_size > 0) {
    const ssize_t n = sys::pread(fd, &last, 1, before.st_size - 1);
    if (n != 1) return n < 0 ? errno : EIO;  // EIO: somebody cuts it as we look
  }
  if (last != '\n') text = '\n' + text;
  if (int error = write_all(fd, text)) {
    sys::ftruncate(fd, before.st_size);  // and if that fails, the first reason is the one to tell
    return error;
  }
  if (sys::fsync(fd) == 0 || errno == EINVAL) return 0;  // EINVAL: a pipe has nothing to sync
  return errno;
}

void append(const std::string& path, const std::string& text, bool on_line) {
  const int fd = sys::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) file_error("append to", path, errno);
  int error = append_to(fd, text, on_line);
  if (sys::close(fd) != 0 && !error) error = errno;
  if (error) file_error("append to", path, error);
}

}  // namespace

std::string read_file(const std::string& path, size_t most_bytes) {
  const InputFile file(path);
  check_size(file, most_bytes);
  std::string text(file.size(), '\0');
  file.read(text.data(), text.size(), 0);
  return text;
}

std::vector<uint8_t> read_bytes(const std::string& path, size_t most_bytes) {
  const InputFile file(path);
  check_size(file, most_bytes);
  return file.read(size_t(file.size()), 0);
}

std::vector<std::string> read_lines(const std::string& path, size_t most_bytes) {
  const std::string text = read_file(path, most_bytes);
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    if (lines.back().ends_with('\r')) lines.back().pop_back();
    begin = end + 1;
  }
  return lines;
}

void write_file(const std::string& path, const std::vector<Bytes>& parts) {
  struct stat old;
  CHECK(::stat(path.c_str(), &old) != 0 || S_ISREG(old.st_mode), path,
        ": exists and is not a regular file; give the name of a file");
  OutputFile file(path + ".tmp", path);
  for (const Bytes& part : parts) file.append(part.data, part.size);
  file.publish(path);
  sync_folder_of(path);
}

void write_file(const std::string& path, const std::string& text) {
  write_file(path, {Bytes{text.data(), text.size()}});
}

void write_unsynced(const std::string& path, const std::vector<Bytes>& parts) {
  OutputFile file(path);
  for (const Bytes& part : parts) file.append(part.data, part.size);
  file.keep();
}

void append(const std::string& path, const std::string& text) { append(path, text, false); }
void append_line(const std::string& path, const std::string& text) {
  append(path, text + '\n', true);
}

}  // namespace rmt

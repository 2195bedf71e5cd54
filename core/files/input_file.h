// Reading a file at any place, from any number of threads. By pread and not by a mapping, so that a
// file which shrinks meanwhile is an error and not a signal.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rmt {

// A regular file, open for reading; anything else, such as a pipe that would make us wait, is an
// Error. All its errors begin with the path.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }                    // bytes, when it was opened
  void read(void* to, size_t bytes, uint64_t offset) const;  // all of them, or Error
  std::vector<uint8_t> read(size_t bytes, uint64_t offset) const;

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

}  // namespace rmt

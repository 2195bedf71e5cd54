// Reading and writing of the files that hold many images. Reading is by pread, from any number of
// threads: no mapping, so a file that shrinks meanwhile is an error and not a signal. Writing goes
// to a temporary name that becomes the real one when all is on disk.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rmt::data {

constexpr size_t kMaxImageFile =
    size_t(64) << 20;  // bytes of one image; what data/images/image.h decodes at most

// A regular file. Errors begin with its path.
class FileReader {
 public:
  explicit FileReader(const std::string& path);
  ~FileReader();
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;
  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  void read(void* to, size_t bytes, uint64_t offset) const;  // all of them, or Error
  std::vector<uint8_t> read(size_t bytes, uint64_t offset) const;

 private:
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

std::vector<uint8_t> read_bytes(const std::string& path,
                                size_t most);  // the whole file, Error when it has more
std::vector<std::string> read_lines(
    const std::string& path, size_t most);  // the same as lines, without their ends (\n or \r\n)

// A new file under a temporary name, removed at the end unless it was published. One writer at a
// time: a second one of the same name is an Error.
class FileWriter {
 public:
  explicit FileWriter(const std::string& temporary);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  uint64_t size() const { return size_; }
  void append(const void* data, size_t bytes);
  void overwrite(const void* data, size_t bytes, uint64_t offset);  // of what was appended
  void sync();
  void publish(const std::string& path);  // fsync, rename to `path`, replacing what is there

 private:
  std::string temporary_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

void sync_folder(const std::string& folder);  // makes renames in it durable

}  // namespace rmt::data

// Files that are whole or not there at all: what a run leaves on disk survives a full disk and a
// kill at any moment.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace rmt {

struct Bytes {
  const void* data;
  size_t size;
};

// Replaces `path` by the parts, one after the other: written to path.tmp in the same folder,
// fsynced, renamed. On any failure the temporary is removed, the previous file stays as it was, and
// Error names the path and the system's reason.
void write_file(const std::string& path, const std::vector<Bytes>& parts);
void write_file(const std::string& path, const std::string& text);

// Adds text to the end; what cannot be written whole is taken back.
void append(const std::string& path, const std::string& text);
// The same with text + '\n'; after a line that a kill has cut short the new one begins on its own.
void append_line(const std::string& path, const std::string& text);

std::string read_file(const std::string& path, size_t most_bytes);

// A regular file, open for reading at any place (pread: no mapping, so a file that shrinks
// meanwhile is an error and not a signal).
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  size_t size() const { return size_; }
  void read(void* to, size_t bytes, size_t offset) const;

 private:
  std::string path_;
  int fd_ = -1;
  size_t size_ = 0;
};

}  // namespace rmt

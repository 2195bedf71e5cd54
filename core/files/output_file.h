// Writing a file that nobody meets half-written: it grows under a temporary name and takes its real
// one when all of it is on disk.
//
//   open name.tmp, lock it | write | fsync | rename name.tmp -> name | close | fsync of the folder
//
// A kill at any moment leaves the file that was there before, or the new one. The fsync stands
// before the rename: a power failure could otherwise leave the new name with no content.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace rmt {

// A new file under a temporary name, removed at the end unless it was published or kept. One writer
// at a time: a second one of the same name is an Error. What an earlier one has left there is
// replaced; a link that lies there is removed, and what it leads to is not touched.
class OutputFile {
 public:
  // resumed: what an earlier writer has left there stays, and this one goes on behind it. Whatever
  // happens, the temporary is not removed, so that a next one can go on, too.
  enum class Rest { replaced, resumed };

  // Errors begin with `called`, the name that the user knows; by default that is `temporary`.
  explicit OutputFile(const std::string& temporary, const std::string& called = "",
                      Rest rest = Rest::replaced);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  uint64_t size() const { return size_; }
  void append(const void* data, size_t bytes);
  void overwrite(const void* data, size_t bytes, uint64_t offset);  // of what was appended
  void cut(uint64_t size);  // to that many bytes, of those that were appended or have stayed
  void sync();              // until it is on disk
  void publish(const std::string& path);  // sync, rename to `path`, which is replaced, close
  void keep();                            // close, under the name that it has, without a sync

 private:
  void take();  // the lock, and the file's size, which is 0 unless it is resumed

  std::string temporary_, called_;
  Rest rest_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Makes a rename to `path` durable: fsync of the folder that it lies in.
void sync_folder_of(const std::string& path);

}  // namespace rmt

// Zip files, as far as PyTorch writes them: entries stored without compression, with ZIP64 records
// where sizes or counts need them. Format: PKWARE APPNOTE.TXT, sections 4.3 and 4.4. The reader
// trusts nothing: the central directory is checked against the file's size and against the header
// of every entry that is read, and an entry's bytes against its CRC-32.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/files/files.h"

namespace rmt::train {

// CRC-32 of IEEE 802.3: reflected polynomial 0xedb88320, all ones before and inverted after.
// crc32("123456789") = 0xcbf43926.
uint32_t crc32(const void* data, size_t bytes);

// Text of a file in a message: printable ASCII, in quotes, not too long.
std::string quoted(const std::string& text);

class ZipFile {
 public:
  // Reads the directory. Throws Error, which names the file and the reason, for anything that is
  // not a whole zip file.
  explicit ZipFile(const std::string& path);

  const std::string& path() const { return path_; }
  size_t file_size() const { return file_.size(); }
  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return entries_.count(name) > 0; }
  size_t size(const std::string& name) const { return size_t(entry(name).size); }
  // The entry's bytes, all of them. Error when it is compressed or encrypted, when it does not lie
  // in the file, or when its CRC-32 differs.
  std::string read(const std::string& name) const;

 private:
  struct Entry {
    uint16_t flags, method;
    uint32_t crc;
    uint64_t size, stored, header;  // bytes; bytes in the file; place of its local header
  };
  struct Directory {
    uint64_t begin, bytes, entries;
  };
  const Entry& entry(const std::string& name) const;
  Directory find_directory() const;
  void read_directory(const Directory& d);
  std::string bytes(uint64_t offset, uint64_t count, const char* what) const;
  [[noreturn]] void refuse(const std::string& reason) const;

  std::string path_;
  InputFile file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace rmt::train

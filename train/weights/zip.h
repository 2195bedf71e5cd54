// Zip files, as far as PyTorch writes them: entries stored without compression, with ZIP64 records
// where sizes or counts need more than 32 or 16 bits. Format: PKWARE APPNOTE.TXT, 4.3 and 4.4.
//
//   header, bytes of entry 1 | header, bytes of entry 2 | ... | directory | [ZIP64 end] | end
//
// A zip file is read from its end: the end record says where the directory lies, and the directory
// where each entry lies. The reader trusts nothing: it checks the directory against the file's size
// and against the header of every entry that it reads, and an entry's bytes against their CRC-32.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/files/files.h"

namespace rmt::train {

// A name that a file gives to something, for a message: in quotes, its first 100 bytes, with '?'
// for those that are not printable ASCII.
std::string quoted_name(const std::string& name);

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
    uint64_t size;    // bytes
    uint64_t stored;  // bytes that it takes in the file; the same unless it is compressed
    uint64_t header;  // where its header begins in the file
  };
  struct Directory {
    uint64_t begin, bytes;
    uint64_t entries;
  };
  const Entry& entry(const std::string& name) const;
  Directory find_directory() const;
  uint64_t widen(Directory& d, uint64_t end) const;
  void widen(Entry& e, const std::string& name, const std::string& extra) const;
  void read_directory(const Directory& d);
  std::string bytes(uint64_t offset, uint64_t count, const char* what) const;
  [[noreturn]] void refuse(const std::string& reason) const;

  std::string path_;
  InputFile file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace rmt::train

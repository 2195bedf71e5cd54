#include "train/weights/zip.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/error.h"
#include "core/files/crc32.h"

namespace rmt::train {
namespace {

static_assert(std::endian::native == std::endian::little, "zip files hold little-endian numbers");

// The signatures with which the records begin, and the bytes that each has before its names and
// other parts of variable length (APPNOTE 4.3.7, 4.3.12, 4.3.14 to 4.3.16).
constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50,
                   kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56,
                 kLocator64Bytes = 20;
constexpr size_t kMaxComment = 65535;       // the end record gives its length in 16 bits
constexpr size_t kMaxDirectory = 64 << 20;  // a cap of ours: half a million entries

// The number at that place of a record.
template <class T>
T number(const std::string& record, size_t offset) {
  T value;
  std::memcpy(&value, record.data() + offset, sizeof value);
  return value;
}

}  // namespace

std::string quoted_name(const std::string& name) {
  std::string out = "\"";
  for (char c : name.substr(0, 100)) out += c >= 32 && c < 127 ? c : '?';
  return out + (name.size() > 100 ? "...\"" : "\"");
}

ZipFile::ZipFile(const std::string& path) : path_(path), file_(path) {
  read_directory(find_directory());
}

void ZipFile::refuse(const std::string& reason) const {
  throw Error(path_ + ": not a usable zip file: " + reason +
              "; the file is damaged or was cut short, get it or write it again");
}

std::string ZipFile::bytes(uint64_t offset, uint64_t count, const char* what) const {
  if (offset > file_.size() || count > file_.size() - offset)
    refuse(str(what, " does not lie in its ", file_.size(), " bytes"));
  std::string out(count, '\0');
  file_.read(out.data(), count, offset);
  return out;
}

// The end record is the last 22 bytes, or stands before a comment whose length it gives.
ZipFile::Directory ZipFile::find_directory() const {
  if (file_.size() < kEndBytes)
    refuse(str("it has ", file_.size(), " bytes, the least is ", kEndBytes));
  const size_t searched = std::min(file_.size(), kEndBytes + kMaxComment);
  const size_t start = file_.size() - searched;
  const std::string tail = bytes(start, searched, "its end");
  size_t at = tail.size() - kEndBytes;
  while (number<uint32_t>(tail, at) != kEnd ||
         number<uint16_t>(tail, at + 20) != tail.size() - at - kEndBytes)
    if (at-- == 0) refuse("it has no end record");
  const std::string end = tail.substr(at, kEndBytes);
  Directory d{number<uint32_t>(end, 16), number<uint32_t>(end, 12), number<uint16_t>(end, 10)};
  if (number<uint16_t>(end, 4) != 0 || number<uint16_t>(end, 6) != 0 ||
      number<uint16_t>(end, 8) != d.entries)
    refuse("it is one of several volumes");
  const uint64_t last = widen(d, start + at);
  if (d.bytes > kMaxDirectory)
    refuse(str("it announces a directory of ", d.bytes, " bytes, the most is ", kMaxDirectory));
  if (d.begin > last || d.bytes != last - d.begin)
    refuse("its directory does not end where its end record begins");
  return d;
}

// A large file has a second, ZIP64 end record with 64 bits for each number, and a locator, which
// says where that record is, right before the end record. Returns where the directory must have
// ended: at the ZIP64 record, or at the end record.
uint64_t ZipFile::widen(Directory& d, uint64_t end) const {
  if (end < kLocator64Bytes) return end;
  const std::string locator = bytes(end - kLocator64Bytes, kLocator64Bytes, "its ZIP64 locator");
  if (number<uint32_t>(locator, 0) != kLocator64) return end;
  const uint64_t place = number<uint64_t>(locator, 8);
  const std::string end64 = bytes(place, kEnd64Bytes, "its ZIP64 end record");
  if (number<uint32_t>(end64, 0) != kEnd64)
    refuse("its ZIP64 end record is not where its locator says");
  const Directory wide{number<uint64_t>(end64, 48), number<uint64_t>(end64, 40),
                       number<uint64_t>(end64, 32)};
  // A number that does not fit the end record stands there as all ones.
  auto agrees = [](uint64_t narrow, uint64_t value, uint64_t all_ones) {
    return narrow == all_ones || narrow == value;
  };
  if (!agrees(d.begin, wide.begin, 0xffffffff) || !agrees(d.bytes, wide.bytes, 0xffffffff) ||
      !agrees(d.entries, wide.entries, 0xffff))
    refuse("its end records contradict each other");
  d = wide;
  return place;
}

void ZipFile::read_directory(const Directory& d) {
  const std::string text = bytes(d.begin, d.bytes, "its directory");
  size_t at = 0;
  for (uint64_t i = 0; i < d.entries; ++i) {
    if (text.size() - at < kCentralBytes || number<uint32_t>(text, at) != kCentral)
      refuse(str("entry ", i, " of its directory is no entry"));
    Entry e{number<uint16_t>(text, at + 8),  number<uint16_t>(text, at + 10),
            number<uint32_t>(text, at + 16), number<uint32_t>(text, at + 24),
            number<uint32_t>(text, at + 20), number<uint32_t>(text, at + 42)};
    const size_t name_bytes = number<uint16_t>(text, at + 28),
                 extra_bytes = number<uint16_t>(text, at + 30),
                 note_bytes = number<uint16_t>(text, at + 32);
    at += kCentralBytes;
    if (text.size() - at < name_bytes + extra_bytes + note_bytes)
      refuse(str("entry ", i, " of its directory is cut short"));
    const std::string name = text.substr(at, name_bytes),
                      extra = text.substr(at + name_bytes, extra_bytes);
    at += name_bytes + extra_bytes + note_bytes;
    widen(e, name, extra);
    if (!entries_.emplace(name, e).second) refuse("it has two entries " + quoted_name(name));
  }
  if (at != text.size()) refuse("its directory holds more than its entries");
}

// Extra fields are tag, bytes, content. Tag 1 holds, in this order, those of the three numbers that
// are all ones in the entry itself (APPNOTE 4.5.3).
void ZipFile::widen(Entry& e, const std::string& name, const std::string& extra) const {
  for (size_t p = 0; p + 4 <= extra.size();) {
    const size_t tag = number<uint16_t>(extra, p), content = number<uint16_t>(extra, p + 2);
    if (extra.size() - p - 4 < content)
      refuse("an extra field of entry " + quoted_name(name) + " is cut short");
    size_t from = p + 4;
    for (uint64_t* value : {&e.size, &e.stored, &e.header}) {
      if (tag != 1 || *value != 0xffffffff) continue;
      if (from + 8 > p + 4 + content)
        refuse("the ZIP64 field of entry " + quoted_name(name) + " is cut short");
      *value = number<uint64_t>(extra, from);
      from += 8;
    }
    p += 4 + content;
  }
}

std::vector<std::string> ZipFile::names() const {
  std::vector<std::string> out;
  for (const auto& [name, e] : entries_) out.push_back(name);
  return out;
}

const ZipFile::Entry& ZipFile::entry(const std::string& name) const {
  auto it = entries_.find(name);
  if (it == entries_.end()) refuse("it has no entry " + quoted_name(name));
  return it->second;
}

std::string ZipFile::read(const std::string& name) const {
  const Entry& e = entry(name);
  CHECK(!(e.flags & 1), path_, ": its entry ", quoted_name(name),
        " is encrypted, which rmt does not read; write the file again without a password");
  CHECK(
      e.method == 0, path_, ": its entry ", quoted_name(name), " is compressed (method ", e.method,
      "), which torch.save never does; unpack it and zip it again without compression (zip -0 -r)");
  if (e.size != e.stored)
    refuse("entry " + quoted_name(name) + " is stored in another number of bytes than it has");
  const std::string local = bytes(e.header, kLocalBytes, "an entry's header");
  const uint64_t name_bytes = number<uint16_t>(local, 26),
                 extra_bytes = number<uint16_t>(local, 28);
  if (number<uint32_t>(local, 0) != kLocal || number<uint16_t>(local, 8) != e.method ||
      bytes(e.header + kLocalBytes, name_bytes, "an entry's name") != name)
    refuse("entry " + quoted_name(name) + " is not where the directory says");
  std::string content =
      bytes(e.header + kLocalBytes + name_bytes + extra_bytes, e.size, "an entry");
  if (crc32(content.data(), content.size()) != e.crc)
    refuse("the bytes of entry " + quoted_name(name) +
           " do not have the checksum that the directory gives");
  return content;
}

}  // namespace rmt::train

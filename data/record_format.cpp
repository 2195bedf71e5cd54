#include "data/record_format.h"

#include <cstdio>
#include <cstring>
#include <unordered_set>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "core/files/files.h"
#include "core/files/little_endian.h"
#include "data/dataset.h"

namespace rmt::data {
namespace {

// A copy in text mode would change the end.
constexpr char kMagic[] = {'R', 'M', 'T', 'R', 'E', 'C', '\r', '\n'};
constexpr uint32_t kVersion = 1, kMaxClasses = 1 << 20, kMaxSide = 16384;
constexpr const char* kDamaged = "; the file is damaged, copy it again or pack again";

}  // namespace

std::string record_file_name(const std::string& split, uint32_t shard, uint32_t shards) {
  char numbers[48];
  std::snprintf(numbers, sizeof numbers, "-%05u-of-%05u.rmtrec", shard, shards);
  return split + numbers;
}

std::array<uint8_t, kRecordHeaderBytes> to_bytes(const RecordHeader& h) {
  std::array<uint8_t, kRecordHeaderBytes> bytes;
  std::memcpy(bytes.data(), kMagic, sizeof kMagic);
  uint8_t* to = bytes.data() + sizeof kMagic;
  for (uint32_t value : {kVersion, h.shard, h.shards, h.classes}) put_number(to, value, 4);
  for (uint64_t value : {h.records, h.all, h.index_offset}) put_number(to, value, 8);
  for (uint32_t value : {h.class_bytes, h.pack, h.size, h.quality, h.class_crc, h.index_crc})
    put_number(to, value, 4);
  put_number(to, crc32c(bytes.data(), kRecordHeaderBytes - 4), 4);
  return bytes;
}

RecordHeader record_header(const std::array<uint8_t, kRecordHeaderBytes>& bytes,
                           const std::string& path) {
  CHECK(std::memcmp(bytes.data(), kMagic, sizeof kMagic) == 0, path,
        ": is no record file by its first bytes; pack again, or remove it");
  const uint8_t* from = bytes.data() + sizeof kMagic;
  const uint32_t version = take_u32(from);
  CHECK(version == kVersion, path, ": is a record file of version ", version,
        ", this program reads version ", kVersion, "; pack again");
  RecordHeader h;
  for (uint32_t* value : {&h.shard, &h.shards, &h.classes}) *value = take_u32(from);
  for (uint64_t* value : {&h.records, &h.all, &h.index_offset}) *value = take_number(from, 8);
  for (uint32_t* value : {&h.class_bytes, &h.pack, &h.size, &h.quality, &h.class_crc, &h.index_crc})
    *value = take_u32(from);
  CHECK(take_u32(from) == crc32c(bytes.data(), kRecordHeaderBytes - 4), path,
        ": the header's checksum is wrong", kDamaged);
  CHECK(h.shards >= 1 && h.shards <= kMaxRecordShards && h.shard < h.shards && h.classes >= 1 &&
            h.classes <= kMaxClasses && h.records >= 1 && h.records <= h.all,
        path, ": the header makes no sense: shard ", h.shard, " of ", h.shards, ", ", h.classes,
        " classes, ", h.records, " of ", h.all, " records; pack again");
  return h;
}

std::vector<uint8_t> to_bytes(const std::vector<std::string>& classes) {
  std::vector<uint8_t> bytes;
  CHECK(!classes.empty() && classes.size() <= kMaxClasses, "pack: ", classes.size(),
        " classes, expected 1 to ", kMaxClasses);
  for (const std::string& name : classes) {
    CHECK(is_plain_text(name) && name.size() <= kMaxRecordName,
          "pack: the name of a class is empty, longer than ", kMaxRecordName,
          " bytes or contains control characters; rename its folder");
    uint8_t length[2], *to = length;
    put_number(to, name.size(), 2);
    bytes.insert(bytes.end(), length, length + 2);
    bytes.insert(bytes.end(), name.begin(), name.end());
  }
  return bytes;
}

std::vector<std::string> record_classes(const std::vector<uint8_t>& bytes, uint32_t count,
                                        const std::string& path) {
  std::vector<std::string> classes;
  std::unordered_set<std::string> seen;
  const uint8_t *from = bytes.data(), *end = from + bytes.size();
  while (classes.size() < count && end - from >= 2) {
    const auto length = std::ptrdiff_t(take_number(from, 2));
    if (length > end - from) break;
    classes.emplace_back(from, from + length);
    from += length;
    CHECK(is_plain_text(classes.back()) && seen.insert(classes.back()).second, path, ": class ",
          classes.size() - 1, " has no name, one with control characters, or another's", kDamaged);
  }
  CHECK(classes.size() == count && from == end, path, ": the table of classes does not hold the ",
        count, " of the header", kDamaged);
  return classes;
}

std::vector<uint8_t> to_bytes(const std::vector<RecordEntry>& index) {
  std::vector<uint8_t> bytes(index.size() * kRecordEntryBytes);
  uint8_t* to = bytes.data();
  for (const RecordEntry& e : index) {
    put_number(to, e.offset, 8);
    for (uint32_t value : {e.bytes, e.crc, e.label, e.width, e.height, uint32_t(e.name.size())})
      put_number(to, value, 4);
  }
  for (const RecordEntry& e : index) bytes.insert(bytes.end(), e.name.begin(), e.name.end());
  return bytes;
}

std::vector<RecordEntry> record_index(const std::vector<uint8_t>& bytes, const RecordHeader& h,
                                      const std::string& path) {
  CHECK(h.records <= bytes.size() / kRecordEntryBytes, path, ": the index has ", bytes.size(),
        " bytes, too few for ", h.records, " records", kDamaged);
  std::vector<RecordEntry> index(h.records);
  const uint8_t *from = bytes.data(), *name = from + h.records * kRecordEntryBytes,
                *end = from + bytes.size();
  uint64_t expected = kRecordHeaderBytes + h.class_bytes;
  for (size_t i = 0; i < index.size(); ++i) {
    RecordEntry& e = index[i];
    e.offset = take_number(from, 8);
    for (uint32_t* value : {&e.bytes, &e.crc, &e.label, &e.width, &e.height})
      *value = take_u32(from);
    const uint32_t length = take_u32(from);
    CHECK(e.offset == expected && e.bytes >= 1 && e.bytes <= kMaxImageFile &&
              e.bytes <= h.index_offset - e.offset,
          path, ": record ", i, " at byte ", e.offset, " with ", e.bytes,
          " bytes does not lie behind the one before it and in front of the index", kDamaged);
    CHECK(e.label < h.classes, path, ": record ", i, " has label ", e.label, ", and there are ",
          h.classes, " classes", kDamaged);
    CHECK(e.width >= 1 && e.width <= kMaxSide && e.height >= 1 && e.height <= kMaxSide, path,
          ": record ", i, " claims ", e.width, " x ", e.height, " pixels", kDamaged);
    CHECK(length <= kMaxRecordName && std::ptrdiff_t(length) <= end - name, path,
          ": the name of record ", i, " has ", length, " bytes", kDamaged);
    e.name.assign(name, name + length);
    CHECK(is_plain_text(e.name), path, ": the name of record ", i,
          " is empty or contains control characters", kDamaged);
    name += length;
    expected += e.bytes;
  }
  CHECK(name == end && expected == h.index_offset, path,
        ": there are bytes that belong to no record", kDamaged);
  return index;
}

}  // namespace rmt::data

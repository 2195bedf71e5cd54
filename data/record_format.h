// The record file, version 1. A split is packed into shards train-00000-of-00012.rmtrec ...; every
// byte of one lies under a CRC-32C, which is checked before the byte is used. All numbers are
// little-endian.
//   header (76 bytes)   below; its own CRC last
//   classes             for each class: u16 bytes, the name
//   records             JPEG or PNG files, one behind the other
//   index               for each record: u64 offset, u32 bytes, u32 CRC, u32 label, u32 width,
//                       u32 height, u32 bytes of its name; then the names
// The records lie in the order of the index without gaps, and the index ends with the file.
#pragma once
#include <array>
#include <string>
#include <vector>

namespace rmt::data {

constexpr size_t kRecordHeaderBytes = 76, kRecordEntryBytes = 32, kMaxRecordName = 4096,
                 kMaxRecordShards = 800;

struct RecordHeader {
  uint32_t shard = 0, shards = 1;  // which one this is, of how many
  uint32_t classes = 0;            // in the table
  uint64_t records = 0, all = 0;   // in this shard, in all of them
  uint64_t index_offset = 0;       // where the index begins
  uint32_t class_bytes = 0;        // of the table of classes
  // CRC of every record's CRC and label: the same in all shards, so that those of two packs cannot
  // be mixed.
  uint32_t pack = 0;
  // How it was packed: the shorter side's pixels, 0 for original bytes; the JPEG quality.
  uint32_t size = 0, quality = 0;
  uint32_t class_crc = 0, index_crc = 0;
};

struct RecordEntry {
  uint64_t offset = 0;
  uint32_t bytes = 0, crc = 0, label = 0, width = 0, height = 0;
  std::string name;  // as the image was called where it came from: n01440764/a.JPEG
};

// "train-00000-of-00012.rmtrec"
std::string record_file_name(const std::string& split, uint32_t shard, uint32_t shards);

std::array<uint8_t, kRecordHeaderBytes> to_bytes(const RecordHeader& header);
// Error that begins with `path` for another kind of file, another version, or damage.
RecordHeader record_header(const std::array<uint8_t, kRecordHeaderBytes>& bytes,
                           const std::string& path);

std::vector<uint8_t> to_bytes(const std::vector<std::string>& classes);
std::vector<uint8_t> to_bytes(const std::vector<RecordEntry>& index);
std::vector<std::string> record_classes(const std::vector<uint8_t>& bytes, uint32_t count,
                                        const std::string& path);
std::vector<RecordEntry> record_index(const std::vector<uint8_t>& bytes, const RecordHeader& header,
                                      const std::string& path);

}  // namespace rmt::data

// The label file (.rmtlabels), version 1: the label maps of a data set, one record an image, in the
// order of the set. Every byte of it lies under a CRC-32C, which is checked before the byte is
// used. All numbers are little-endian.
//
//   header (48 bytes)
//     8 bytes   "RMTLBL\r\n"; a copy in text mode would change the end
//     u32       version, 1
//     u32 x 3   h, w, T: rows, columns and logits a cell of every map
//     u32       K: classes
//     u32       bytes of the texts
//     u64       N: images
//     u32       CRC of the texts and keys
//     u32       CRC of the 44 bytes before it
//   texts       1 + K lines, each ended by \n: what made the labels; the names of the classes
//   keys        N x u64: checksum_of(short name, 0) of each image (data/dataset.h)
//   records     N x
//     u32       CRC of the image's key and of the record's other bytes
//     f16       (h, w, T) logits
//     u16       (h, w, T) classes
//
// The file ends with its last record, so record i begins at byte
// 48 + texts + 8 N + i (4 + 4 h w T): 984 bytes apart for 7 x 7 cells of 5 logits. An image that
// could not be read when the labels were made has a record of bytes 0xff behind its CRC: no map.
#pragma once
#include <string>
#include <vector>

#include "core/files/input_file.h"
#include "data/labels/label_map.h"

namespace rmt::data {

constexpr size_t kLabelHeaderBytes = 48;

struct LabelFileInfo {
  int64_t height = 0, width = 0, top = 0;  // h, w, T of every map
  std::vector<std::string> classes;        // names, by label
  std::string teacher;  // what made the labels: one line, for people and to tell files apart
};

// What stands in front of the records.
struct LabelFileHead {
  LabelFileInfo info;
  std::vector<uint64_t> keys;  // of the images, in the order of the records

  uint64_t bytes() const;  // header, texts and keys: where the records begin
  size_t record_bytes() const { return 4 + 4 * size_t(info.height * info.width * info.top); }
};

// Error that begins with `path` for what the format cannot hold: sides beyond 1024, more than 2^20
// logits a map, more logits than classes, more than 65535 classes, a name that is empty or has
// control characters.
std::vector<uint8_t> to_bytes(const LabelFileHead& head, const std::string& path);
// Error that begins with the file's path for another kind of file, another version, or damage. The
// records may be missing.
LabelFileHead label_file_head(const InputFile& file);

// A record, without a map where there is none. The map has the shape of the head, and is checked
// (label_maps.h). Error that begins with `place` for a logit that no f16 can hold.
std::vector<uint8_t> to_bytes(const LabelFileHead& head, uint64_t key, const LabelMap* map,
                              const std::string& place);
// Does the record's CRC say that it is whole, and of this image?
bool is_sound(const std::vector<uint8_t>& record, uint64_t key);
// Of a sound record. False when the image has no map.
bool read_record(const std::vector<uint8_t>& record, const LabelFileHead& head, LabelMap& map);

}  // namespace rmt::data

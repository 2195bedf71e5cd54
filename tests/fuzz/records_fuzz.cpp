// A record file of any bytes, the only shard of its pack. Its checksums are made right first, so
// that what they guard is reached.
#include "core/files/crc32c.h"
#include "data/sets/records.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"

using namespace rmt;
using namespace rmt::data;

namespace {

using fuzz::number_at, fuzz::put;

// The places of the numbers in the header and in an entry of the index (data/record_format.h).
constexpr size_t kIndexOffset = 40, kClassBytes = 48, kClassCrc = 64, kIndexCrc = 68,
                 kHeaderCrc = 72;

void mend(std::string& bytes) {
  if (bytes.size() < kRecordHeaderBytes) return;
  const uint64_t index = number_at(bytes, kIndexOffset, 8),
                 classes = number_at(bytes, kClassBytes, 4);
  if (classes <= bytes.size() - kRecordHeaderBytes)
    put(bytes, kClassCrc, crc32c(bytes.data() + kRecordHeaderBytes, classes), 4);
  if (index <= bytes.size())
    put(bytes, kIndexCrc, crc32c(bytes.data() + index, bytes.size() - index), 4);
  put(bytes, kHeaderCrc, crc32c(bytes.data(), kHeaderCrc), 4);
}

// Header, classes, index, and each record that the index tells of.
fuzz::Parts split(const std::string& bytes) {
  if (bytes.size() < kRecordHeaderBytes) return {bytes};
  const uint64_t begin = kRecordHeaderBytes + number_at(bytes, kClassBytes, 4),
                 index = number_at(bytes, kIndexOffset, 8);
  if (begin > index || index > bytes.size()) return {bytes};
  fuzz::Parts parts{bytes.substr(0, kRecordHeaderBytes),
                    bytes.substr(kRecordHeaderBytes, begin - kRecordHeaderBytes),
                    bytes.substr(index)};
  uint64_t at = begin;
  for (size_t i = 0; at < index && (i + 1) * kRecordEntryBytes <= bytes.size() - index; ++i) {
    const uint64_t length =
        std::min(number_at(bytes, index + i * kRecordEntryBytes + 8, 4), index - at);
    parts.push_back(bytes.substr(at, length));
    at += length;
  }
  return parts;
}

// Lays the records one behind the other, and tells the index so.
std::string join(const fuzz::Parts& parts) {
  if (parts.size() < 4 || parts[0].size() < kRecordHeaderBytes) return fuzz::concatenated(parts);
  std::string out = parts[0].substr(0, kRecordHeaderBytes) + parts[1], index = parts[2];
  for (size_t i = 3; i < parts.size(); ++i) {
    const size_t entry = (i - 3) * kRecordEntryBytes;
    put(index, entry, out.size(), 8);
    put(index, entry + 8, parts[i].size(), 4);
    put(index, entry + 12, crc32c(parts[i].data(), parts[i].size()), 4);
    out += parts[i];
  }
  put(out, kIndexOffset, out.size(), 8);
  put(out, kClassBytes, parts[1].size(), 4);
  out += index;
  mend(out);
  return out;
}

}  // namespace

FORMAT(records, split, join)

FUZZ(records) {
  std::string bytes(data, data + size);
  mend(bytes);
  static const fuzz::Folder files("train-00000-of-00001.rmtrec");
  const std::string& folder = files.with(bytes);
  fuzz::result_or_error(folder, [&] {
    Records records(folder, "train");
    for (int64_t i = 0; i < records.size() && i < 4; ++i)
      fuzz::result_or_error(records.name(i), [&] { records.image(i); });
  });
}

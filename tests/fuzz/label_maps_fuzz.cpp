// Label maps of any bytes: a file of rmt-label, or, where they begin as a zip file does, the only
// file of a folder of PyTorch's (train/weights/label_folder.h). The checksums of the former are
// made right first, so that what they guard is reached.
#include "core/files/crc32c.h"
#include "data/labels/label_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "train/weights/label_folder.h"

using namespace rmt;
using namespace rmt::data;

namespace {

using fuzz::number_at, fuzz::put;

// The places of the numbers in the header (data/labels/label_format.h).
constexpr size_t kHeight = 12, kTextBytes = 28, kImages = 32, kTablesCrc = 40, kHeaderCrc = 44;

bool has_header(const std::string& bytes) {
  return bytes.size() >= kLabelHeaderBytes && !bytes.starts_with("PK");
}
// Where the keys and the records begin, if they lie in the file; else its end.
size_t keys_at(const std::string& bytes) {
  return std::min<size_t>(kLabelHeaderBytes + number_at(bytes, kTextBytes, 4), bytes.size());
}
size_t records_at(const std::string& bytes) {
  const size_t keys = keys_at(bytes), images = number_at(bytes, kImages, 8);
  return images <= (bytes.size() - keys) / 8 ? keys + 8 * images : bytes.size();
}
// Of one record, as far as the file goes.
size_t record_bytes(const std::string& bytes) {
  uint64_t logits = 1;
  for (size_t at : {kHeight, kHeight + 4, kHeight + 8})
    logits *= std::min<uint64_t>(number_at(bytes, at, 4), 1 << 16);
  return 4 + std::min<uint64_t>(4 * logits, bytes.size());
}

void mend(std::string& bytes) {
  if (!has_header(bytes)) return;
  const size_t keys = keys_at(bytes), records = records_at(bytes), size = record_bytes(bytes);
  put(bytes, kTablesCrc, crc32c(bytes.data() + kLabelHeaderBytes, records - kLabelHeaderBytes), 4);
  put(bytes, kHeaderCrc, crc32c(bytes.data(), kHeaderCrc), 4);
  for (size_t i = 0, at = records; keys + 8 * i < records && at + size <= bytes.size();
       ++i, at += size)
    put(bytes, at, crc32c(bytes.data() + at + 4, size - 4, crc32c(bytes.data() + keys + 8 * i, 8)),
        4);
}

// Header, texts, keys, and each record.
fuzz::Parts split(const std::string& bytes) {
  if (!has_header(bytes)) return {bytes};
  const size_t keys = keys_at(bytes), records = records_at(bytes), size = record_bytes(bytes);
  fuzz::Parts parts{bytes.substr(0, kLabelHeaderBytes),
                    bytes.substr(kLabelHeaderBytes, keys - kLabelHeaderBytes),
                    bytes.substr(keys, records - keys)};
  for (size_t at = records; at < bytes.size(); at += size) parts.push_back(bytes.substr(at, size));
  return parts;
}

std::string join(const fuzz::Parts& parts) {
  std::string out = fuzz::concatenated(parts);
  if (parts.size() < 3 || parts[0].size() != kLabelHeaderBytes || !has_header(out)) return out;
  put(out, kTextBytes, parts[1].size(), 4);
  put(out, kImages, parts[2].size() / 8, 8);
  mend(out);
  return out;
}

}  // namespace

FORMAT(label_maps, split, join)

FUZZ(label_maps) {
  std::string bytes(data, data + size);
  if (bytes.starts_with("PK")) {
    static const fuzz::Folder files("1.pt");
    const std::string& folder = files.with(bytes);
    fuzz::result_or_error(folder, [&] { train::LabelFolder(folder, 50).of("1.jpg"); });
    return;
  }
  mend(bytes);
  const fuzz::MemoryFile file(bytes);
  fuzz::result_or_error(file.path(), [&] {
    const LabelFile labels(file.path());
    for (int64_t i = 0; i < labels.size() && i < 4; ++i)
      fuzz::result_or_error(file.path(), [&] { labels.at(i); });
  });
}

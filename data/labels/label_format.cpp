#include "data/labels/label_format.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "core/files/little_endian.h"
#include "core/half.h"
#include "data/dataset.h"

namespace rmt::data {
namespace {

constexpr char kMagic[] = {'R', 'M', 'T', 'L', 'B', 'L', '\r', '\n'};
constexpr uint32_t kVersion = 1;
constexpr uint64_t kMaxSide = 1024, kMaxLogits = 1 << 20, kMaxClasses = 65535,
                   kMaxImages = uint64_t(1) << 40, kMaxTexts = uint64_t(1) << 28;
constexpr const char* kRemedy = "; copy it again, or remove it and run rmt-label again";

struct Header {
  uint64_t height = 0, width = 0, top = 0, classes = 0, text_bytes = 0, images = 0;
  uint32_t tables_crc = 0;

  uint64_t tables_bytes() const { return text_bytes + 8 * images; }
  bool makes_sense() const {
    return height >= 1 && height <= kMaxSide && width >= 1 && width <= kMaxSide && top >= 1 &&
           top <= classes && height * width * top <= kMaxLogits && classes <= kMaxClasses &&
           images >= 1 && images <= kMaxImages && text_bytes <= kMaxTexts;
  }
};

std::string described(const Header& h) {
  return str(h.height, " x ", h.width, " cells of ", h.top, " logits, ", h.classes, " classes, ",
             h.images, " images");
}

void put_header(uint8_t* bytes, const Header& h) {
  std::memcpy(bytes, kMagic, sizeof kMagic);
  uint8_t* to = bytes + sizeof kMagic;
  for (uint64_t value : {uint64_t(kVersion), h.height, h.width, h.top, h.classes, h.text_bytes})
    put_number(to, value, 4);
  put_number(to, h.images, 8);
  put_number(to, h.tables_crc, 4);
  put_number(to, crc32c(bytes, kLabelHeaderBytes - 4), 4);
}

Header read_header(const InputFile& file) {
  const std::string& path = file.path();
  uint8_t bytes[kLabelHeaderBytes] = {};
  file.read(bytes, size_t(std::min<uint64_t>(file.size(), sizeof bytes)), 0);
  CHECK(std::memcmp(bytes, kMagic, sizeof kMagic) == 0, path,
        ": is no label file by its first bytes; name a file that rmt-label has made");
  const uint8_t* from = bytes + sizeof kMagic;
  const uint32_t version = take_u32(from);
  CHECK(version == kVersion, path, ": is a label file of version ", version,
        ", this program reads version ", kVersion, "; run rmt-label again");
  Header h;
  for (uint64_t* value : {&h.height, &h.width, &h.top, &h.classes, &h.text_bytes})
    *value = take_u32(from);
  h.images = take_number(from, 8);
  h.tables_crc = take_u32(from);
  CHECK(file.size() >= sizeof bytes && take_u32(from) == crc32c(bytes, sizeof bytes - 4), path,
        ": the header's checksum is wrong", kRemedy);
  CHECK(h.makes_sense(), path, ": the header makes no sense: ", described(h), kRemedy);
  CHECK(h.tables_bytes() <= file.size() - kLabelHeaderBytes, path, ": ends within its tables",
        kRemedy);
  return h;
}

// Of the key's eight bytes and then the record's, without the CRC itself.
uint32_t record_crc(const std::vector<uint8_t>& record, uint64_t key) {
  uint8_t bytes[8], *to = bytes;
  put_number(to, key, 8);
  return crc32c(record.data() + 4, record.size() - 4, crc32c(bytes, 8));
}

}  // namespace

uint64_t LabelFileHead::bytes() const {
  uint64_t bytes = kLabelHeaderBytes + info.teacher.size() + 1 + 8 * keys.size();
  for (const std::string& name : info.classes) bytes += name.size() + 1;
  return bytes;
}

std::vector<uint8_t> to_bytes(const LabelFileHead& head, const std::string& path) {
  const LabelFileInfo& info = head.info;
  std::string texts = info.teacher + "\n";
  CHECK(is_plain_text(info.teacher), path,
        ": what made the labels is not said, or with control characters");
  for (const std::string& name : info.classes) {
    CHECK(is_plain_text(name), path,
          ": the name of a class is empty or contains control characters; rename its folder");
    texts += name + "\n";
  }
  Header h{uint64_t(info.height),         uint64_t(info.width),   uint64_t(info.top),
           uint64_t(info.classes.size()), uint64_t(texts.size()), uint64_t(head.keys.size())};
  CHECK(h.makes_sense(), path, ": no label file can hold ", described(h), "; at most ", kMaxSide,
        " cells a side, ", kMaxLogits,
        " logits a map, as many logits a cell as there are classes, ", kMaxClasses, " classes");
  std::vector<uint8_t> bytes(kLabelHeaderBytes + h.tables_bytes());
  uint8_t* to = std::copy(texts.begin(), texts.end(), bytes.data() + kLabelHeaderBytes);
  for (uint64_t key : head.keys) put_number(to, key, 8);
  h.tables_crc = crc32c(bytes.data() + kLabelHeaderBytes, h.tables_bytes());
  put_header(bytes.data(), h);
  return bytes;
}

LabelFileHead label_file_head(const InputFile& file) {
  const Header h = read_header(file);
  const std::vector<uint8_t> tables = file.read(size_t(h.tables_bytes()), kLabelHeaderBytes);
  CHECK(crc32c(tables.data(), tables.size()) == h.tables_crc, file.path(),
        ": the checksum of its tables is wrong", kRemedy);
  LabelFileHead head{{int64_t(h.height), int64_t(h.width), int64_t(h.top), {}, ""}, {}};
  const std::string texts(tables.begin(), tables.begin() + std::ptrdiff_t(h.text_bytes));
  std::vector<std::string> lines;
  for (size_t begin = 0, end; (end = texts.find('\n', begin)) != std::string::npos; begin = end + 1)
    lines.push_back(texts.substr(begin, end - begin));
  CHECK(lines.size() == h.classes + 1 && texts.back() == '\n' &&
            std::all_of(lines.begin(), lines.end(), is_plain_text),
        file.path(), ": its texts are not the names of ", h.classes, " classes", kRemedy);
  head.info.teacher = lines[0];
  head.info.classes.assign(lines.begin() + 1, lines.end());
  const uint8_t* from = tables.data() + h.text_bytes;
  for (uint64_t i = 0; i < h.images; ++i) head.keys.push_back(take_number(from, 8));
  return head;
}

std::vector<uint8_t> to_bytes(const LabelFileHead& head, uint64_t key, const LabelMap* map,
                              const std::string& place) {
  std::vector<uint8_t> record(head.record_bytes(), 0xff);
  if (map) {
    uint8_t* to = record.data() + 4;
    for (float value : map->values) {
      const uint16_t half = to_half(value);
      CHECK(std::isfinite(from_half(half)), place, ": the logit ", value,
            " is beyond the largest 16-bit float, 65504");
      put_number(to, half, 2);
    }
    for (int32_t label : map->classes) put_number(to, uint64_t(label), 2);
  }
  uint8_t* to = record.data();
  put_number(to, record_crc(record, key), 4);
  return record;
}

bool is_sound(const std::vector<uint8_t>& record, uint64_t key) {
  const uint8_t* from = record.data();
  return take_u32(from) == record_crc(record, key);
}

bool read_record(const std::vector<uint8_t>& record, const LabelFileHead& head, LabelMap& map) {
  if (std::all_of(record.begin() + 4, record.end(), [](uint8_t b) { return b == 0xff; }))
    return false;
  const size_t n = size_t(head.info.height * head.info.width * head.info.top);
  map = {head.info.height, head.info.width, head.info.top, std::vector<float>(n),
         std::vector<int32_t>(n)};
  const uint8_t* from = record.data() + 4;
  for (float& value : map.values) value = from_half(uint16_t(take_number(from, 2)));
  for (int32_t& label : map.classes) label = int32_t(take_number(from, 2));
  return true;
}

}  // namespace rmt::data

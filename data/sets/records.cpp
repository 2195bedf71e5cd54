#include "data/sets/records.h"

#include "core/error.h"
#include "core/files/crc32c.h"
#include "data/sets/splits.h"

namespace rmt::data {

constexpr uint64_t kMaxIndex = uint64_t(1) << 30;  // 16 million records

std::vector<std::string> record_files(const std::string& root, const std::string& split) {
  std::vector<std::string> files;
  for (const std::string& name : names_in(root, false))
    if (name.starts_with(split + "-") && name.ends_with(".rmtrec"))
      files.push_back(root + "/" + name);
  return files;
}

Records::Records(const std::string& root, const std::string& split,
                 const std::vector<std::string>& known_classes)
    : place_(root + "/" + split + "-*.rmtrec") {
  const std::vector<std::string> files = record_files(root, split);
  CHECK(!files.empty(), "data folder ", root, " holds no ", split, "-*.rmtrec", dataset_layouts());
  CHECK(files.size() <= kMaxRecordShards, place_, ": ", files.size(), " shards, more than ",
        kMaxRecordShards, "; pack again into larger ones (--shard-mb)");
  std::vector<std::string> own;
  RecordHeader first;
  for (size_t s = 0; s < files.size(); ++s) {
    const RecordHeader h = add_shard(files[s], own);
    if (s == 0) first = h;
    CHECK(h.shards == first.shards && h.all == first.all && h.pack == first.pack &&
              h.classes == first.classes && h.class_crc == first.class_crc,
          files[s], ": is of another pack than ", files[0],
          "; remove the old shards, or pack again with --force");
    const std::string name = root + "/" + record_file_name(split, uint32_t(s), first.shards);
    CHECK(files[s] == name && h.shard == s, name, ": is missing, or not what lies in its place (",
          files[s], " holds shard ", h.shard, " of ", h.shards,
          "); copy all shards, or pack again with --force");
  }
  CHECK(files.size() == first.shards && records_.size() == first.all, place_, ": ", files.size(),
        " shards with ", records_.size(), " records, expected ", first.shards, " with ", first.all,
        "; copy the missing ones, or pack again with --force");
  classes_ = known_classes.empty() ? own : known_classes;
  labels_ = known_labels(own, classes_, place_);
}

RecordHeader Records::add_shard(const std::string& path, std::vector<std::string>& own) {
  shards_.push_back(std::make_unique<InputFile>(path));
  const InputFile& file = *shards_.back();
  CHECK(file.size() >= kRecordHeaderBytes, path, ": ", file.size(),
        " bytes are too few for a record file; copy it again or pack again");
  std::array<uint8_t, kRecordHeaderBytes> head;
  file.read(head.data(), head.size(), 0);
  const RecordHeader h = record_header(head, path);
  CHECK(h.index_offset >= kRecordHeaderBytes + uint64_t(h.class_bytes) &&
            h.index_offset <= file.size(),
        path, ": is ", file.size(), " bytes long, and its index begins at byte ", h.index_offset,
        "; it was cut short, copy it again or pack again");
  CHECK(file.size() - h.index_offset <= kMaxIndex, path, ": an index of ",
        file.size() - h.index_offset, " bytes; pack again into smaller shards (--shard-mb)");
  const std::vector<uint8_t> classes = file.read(h.class_bytes, kRecordHeaderBytes);
  const std::vector<uint8_t> index =
      file.read(size_t(file.size() - h.index_offset), h.index_offset);
  CHECK(crc32c(classes.data(), classes.size()) == h.class_crc, path,
        ": the checksum of its classes is wrong; it is damaged, copy it again or pack again");
  CHECK(crc32c(index.data(), index.size()) == h.index_crc, path,
        ": the checksum of its index is wrong; it was cut short or is damaged, copy it again or "
        "pack again");
  if (own.empty()) own = record_classes(classes, h.classes, path);
  for (RecordEntry& entry : record_index(index, h, path))
    records_.push_back({std::move(entry), uint32_t(shards_.size() - 1)});
  return h;
}

std::vector<uint8_t> Records::bytes(int64_t i) const {
  const auto& [entry, shard] = records_[size_t(i)];
  std::vector<uint8_t> bytes(entry.bytes);
  try {
    shards_[shard]->read(bytes.data(), bytes.size(), entry.offset);
  } catch (const SystemError&) {
    throw;
  } catch (const Error& e) {
    throw Error(str(name(i), ": ", e.what()));
  }
  CHECK(crc32c(bytes.data(), bytes.size()) == entry.crc, name(i),
        ": the record's checksum is wrong; the file is damaged, copy it again or pack again");
  return bytes;
}

Image Records::image(int64_t i) const {
  const std::vector<uint8_t> all = bytes(i);
  const RecordEntry& entry = records_[size_t(i)].entry;
  Image image = decode_image(all.data(), all.size(), name(i));
  CHECK(image.width == entry.width && image.height == entry.height, name(i), ": is ", image.width,
        " x ", image.height, " pixels, and the index says ", entry.width, " x ", entry.height,
        "; pack again");
  return image;
}

uint64_t Records::checksum(int64_t i) const {
  const RecordEntry& entry = records_[size_t(i)].entry;
  return checksum_of(entry.name, uint64_t(entry.crc) << 32 | entry.bytes);
}

std::string Records::name(int64_t i) const {
  return shards_[records_[size_t(i)].shard]->path() + ":" + records_[size_t(i)].entry.name;
}

}  // namespace rmt::data

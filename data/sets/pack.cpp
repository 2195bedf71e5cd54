#include "data/sets/pack.h"

#include <algorithm>
#include <filesystem>
#include <future>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "core/files/file_calls.h"
#include "core/files/output_file.h"
#include "core/parallel.h"
#include "data/images/resize.h"
#include "data/sets/cifar.h"
#include "data/sets/records.h"
#include "data/sets/splits.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

struct Packed {
  std::vector<uint8_t> bytes;
  RecordEntry entry;
  std::string error;  // not empty: it cannot be packed
};

Packed pack_image(const Dataset& data, int64_t i, const PackOptions& o) {
  Packed p;
  try {
    p.bytes = data.bytes(i);
    p.entry.name = short_name(data, i);
    CHECK(is_plain_text(p.entry.name) && p.entry.name.size() <= kMaxRecordName, data.place(),
          ": image ", i, " has a name with control characters or of more than ", kMaxRecordName,
          " bytes; rename it");
    Image image = decode_image(p.bytes.data(), p.bytes.size(), data.name(i));
    const int64_t side = std::min(image.width, image.height);
    if (o.size > 0 && side > o.size) {
      image = resize(image, {0, 0, image.width, image.height}, image.width * o.size / side,
                     image.height * o.size / side);
      p.bytes = encode_jpeg(image, o.quality);
    }
    p.entry.bytes = uint32_t(p.bytes.size());
    p.entry.crc = crc32c(p.bytes.data(), p.bytes.size());
    p.entry.label = uint32_t(data.label(i));
    p.entry.width = uint32_t(image.width);
    p.entry.height = uint32_t(image.height);
  } catch (const SystemError&) {
    throw;
  } catch (const Error& e) {
    p.error = e.what();
  }
  return p;
}

// The shards in the making, under temporary names: a shard is begun, filled with records and ended
// with its index, one after the other; publish() then completes their headers, which say how many
// shards and records there are, and renames them.
class Shards {
 public:
  Shards(const std::string& folder, const std::string& split,
         const std::vector<std::string>& classes, const PackOptions& options)
      : folder_(folder), split_(split), classes_(to_bytes(classes)), options_(options) {
    header_.classes = uint32_t(classes.size());
    header_.class_bytes = uint32_t(classes_.size());
    header_.class_crc = crc32c(classes_.data(), classes_.size());
    header_.size = uint32_t(options.size);
    header_.quality = options.size > 0 ? uint32_t(options.quality) : 0;
  }

  void add(Packed& p) {
    if (files_.empty() || (!index_.empty() &&
                           files_.back()->size() + p.bytes.size() > uint64_t(options_.shard_bytes)))
      begin_shard();
    p.entry.offset = files_.back()->size();
    files_.back()->append(p.bytes.data(), p.bytes.size());
    const uint32_t sum[2] = {p.entry.crc, p.entry.label};
    header_.pack = crc32c(sum, sizeof sum, header_.pack);
    ++header_.all;
    index_.push_back(std::move(p.entry));
  }

  // Completes the headers, and gives the files their names. Returns their bytes.
  int64_t publish() {
    end_shard();
    int64_t bytes = 0;
    for (size_t s = 0; s < files_.size(); ++s) {
      RecordHeader& h = headers_[s];
      h.shards = uint32_t(files_.size());
      h.all = header_.all;
      h.pack = header_.pack;
      const auto head = to_bytes(h);
      files_[s]->overwrite(head.data(), head.size(), 0);
      files_[s]->sync();
      bytes += int64_t(files_[s]->size());
    }
    std::vector<std::string> old = record_files(folder_, split_);
    for (size_t s = 0; s < files_.size(); ++s) {
      const std::string path =
          folder_ + "/" + record_file_name(split_, uint32_t(s), uint32_t(files_.size()));
      files_[s]->publish(path);
      old.erase(std::remove(old.begin(), old.end(), path), old.end());
    }
    for (const std::string& path : old) sys::unlink(path.c_str());  // what stays stops the reader
    sync_folder_of(folder_ + "/" + split_);
    return bytes;
  }
  uint32_t count() const { return uint32_t(files_.size()); }
  int64_t records() const { return int64_t(header_.all); }

 private:
  void begin_shard() {
    if (!files_.empty()) end_shard();
    CHECK(files_.size() < kMaxRecordShards, "pack: more than ", kMaxRecordShards,
          " shards; make them larger (--shard-mb)");
    char number[24];
    std::snprintf(number, sizeof number, "-%05zu.rmtrec.tmp", files_.size());
    files_.push_back(std::make_unique<OutputFile>(folder_ + "/" + split_ + number));
    const std::array<uint8_t, kRecordHeaderBytes> room{};
    files_.back()->append(room.data(), room.size());
    files_.back()->append(classes_.data(), classes_.size());
  }
  void end_shard() {
    const std::vector<uint8_t> index = to_bytes(index_);
    RecordHeader h = header_;
    h.shard = uint32_t(headers_.size());
    h.records = index_.size();
    h.index_offset = files_.back()->size();
    h.index_crc = crc32c(index.data(), index.size());
    files_.back()->append(index.data(), index.size());
    headers_.push_back(h);
    index_.clear();
  }

  std::string folder_, split_;
  std::vector<uint8_t> classes_;
  PackOptions options_;
  RecordHeader header_;  // what all shards share, and sums so far
  std::vector<RecordHeader> headers_;
  std::vector<RecordEntry> index_;  // of the last shard
  std::vector<std::unique_ptr<OutputFile>> files_;
};

void check_request(const Dataset& data, const std::string& folder, const std::string& split,
                   const PackOptions& o) {
  CHECK(o.size >= 0 && o.size <= 16384, "pack: size ", o.size,
        " is not in [0, 16384]; 0 keeps the original bytes");
  CHECK(o.quality >= 1 && o.quality <= 100, "pack: quality ", o.quality, " is not in [1, 100]");
  CHECK(o.shard_bytes >= 1, "pack: shards of ", o.shard_bytes, " bytes");
  CHECK(!dynamic_cast<const Cifar*>(&data), data.place(),
        ": CIFAR is packed already; train on it as it is");
  CHECK(split_folder(folder, split).empty(), "pack: ", folder, " has a folder ",
        split_folder(folder, split),
        ", which would be read instead of the pack; choose another folder");
  const std::vector<std::string> old = record_files(folder, split);
  CHECK(old.empty() || o.force, "pack: ", old[0],
        " is there already; choose another folder, or replace it with --force");
}

}  // namespace

PackReport pack_dataset(const Dataset& data, const std::string& folder, const std::string& split,
                        const PackOptions& o, const std::function<void(int64_t done)>& progress) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  CHECK(!failed, "pack: folder ", folder, " cannot be made: ", failed.message());
  check_request(data, folder, split, o);
  PackReport report;
  Shards shards(folder, split, data.classes(), o);
  // One part of the images is made by all threads while the part before it is written.
  const int64_t n = data.size(), part = o.size > 0 ? 256 : 64;
  std::future<void> writing;
  for (int64_t begin = 0; begin < n; begin += part) {
    auto made = std::make_shared<std::vector<Packed>>(size_t(std::min(part, n - begin)));
    parallel_for(int64_t(made->size()), 1,
                 [&](int64_t i, int64_t) { (*made)[size_t(i)] = pack_image(data, begin + i, o); });
    if (writing.valid()) writing.get();
    // By a thread of its own; where there is none to be had, when it is waited for.
    const auto how = std::launch::async | std::launch::deferred;
    writing = std::async(how, [&shards, &report, made] {
      for (Packed& p : *made) p.error.empty() ? shards.add(p) : report.skipped.push_back(p.error);
    });
    if (progress) progress(std::min(n, begin + part));
  }
  if (writing.valid()) writing.get();
  CHECK(shards.records() > 0, "pack: none of the ", n, " images of ", data.place(),
        " can be read; the first: ", report.skipped.empty() ? "" : report.skipped[0]);
  report.bytes = shards.publish();
  report.images = shards.records();
  report.shards = shards.count();
  return report;
}

}  // namespace rmt::data

// Packed images: root/train-00000-of-00012.rmtrec ..., written by data/sets/pack.h in the form of
// data/record_format.h. They train as the folder does that they were packed from: same order, same
// classes, and with --size 0 the same bytes.
#pragma once
#include "core/files/files.h"
#include "data/dataset.h"
#include "data/record_format.h"

namespace rmt::data {

// root/<split>-*.rmtrec, in natural order.
std::vector<std::string> record_files(const std::string& root, const std::string& split);

class Records : public Dataset {
 public:
  // Reads and checks headers, classes and indices of all shards; the records are checked when they
  // are read. Errors name the file and what is wrong with it.
  Records(const std::string& root, const std::string& split,
          const std::vector<std::string>& known_classes = {});

  int64_t size() const override { return int64_t(records_.size()); }
  int64_t label(int64_t i) const override { return labels_[records_[size_t(i)].entry.label]; }
  Image image(int64_t i) const override;
  std::vector<uint8_t> bytes(int64_t i) const override;
  std::string name(int64_t i) const override;   // shard:original name
  uint64_t checksum(int64_t i) const override;  // its name in the index, its size and CRC
  const std::vector<std::string>& classes() const override { return classes_; }
  const std::string& place() const override { return place_; }  // root/train-*.rmtrec

 private:
  struct Record {
    RecordEntry entry;
    uint32_t shard;
  };
  RecordHeader add_shard(const std::string& path, std::vector<std::string>& own);

  std::string place_;
  std::vector<std::string> classes_;
  std::vector<int64_t> labels_;  // by a shard's label
  std::vector<std::unique_ptr<InputFile>> shards_;
  std::vector<Record> records_;
};

}  // namespace rmt::data

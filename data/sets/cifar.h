// CIFAR-10 and CIFAR-100 (Krizhevsky, 2009) in their binary version: records of a label and a
// 32 x 32 image, 3 x 1024 bytes, red, green, blue, each by rows.
//   CIFAR-10    data_batch_1.bin ... data_batch_5.bin, test_batch.bin   1 byte: the label
//   CIFAR-100   train.bin, test.bin                                     2 bytes: coarse, fine label
// The fine label is taken. Names of the classes: batches.meta.txt or fine_label_names.txt, a line
// each. "val" and "test" are the test set.
#pragma once
#include "core/files/files.h"
#include "data/dataset.h"

namespace rmt::data {

class Cifar : public Dataset {
 public:
  Cifar(const std::string& root, const std::string& split,
        const std::vector<std::string>& known_classes = {});
  // root, or the folder in it that the archives unpack to, when it holds either set; else "".
  static std::string find(const std::string& root);

  int64_t size() const override { return int64_t(records_.size()); }
  int64_t label(int64_t i) const override { return records_[size_t(i)].label; }
  Image image(int64_t i) const override;
  std::vector<uint8_t> bytes(int64_t i) const override;  // 3 x 1024, red, green, blue
  std::string name(int64_t i) const override;   // the file and the record's number in it, from 0
  uint64_t checksum(int64_t i) const override;  // of its pixels: here nothing has a name
  const std::vector<std::string>& classes() const override { return classes_; }
  const std::string& place() const override { return directory_; }

 private:
  struct Record {
    uint32_t file, number;
    int64_t label;
  };
  void add_file(const std::string& name, const std::vector<int64_t>& labels);

  std::string directory_;
  bool fine_ = false;  // CIFAR-100
  std::vector<std::string> classes_;
  std::vector<std::unique_ptr<InputFile>> files_;
  std::vector<Record> records_;
};

}  // namespace rmt::data

// A set whose images are files that somebody has listed before: this process or another one, which
// sent the list. It looks at no folder; a file is opened when its image is read.
#pragma once
#include "data/dataset.h"

namespace rmt::data {

class ListedFiles : public Dataset {
 public:
  // From what list_files() has written. Error, which says that it is no such list, for any other
  // bytes. leftovers: known only to who has seen the folders.
  explicit ListedFiles(const std::string& list, const Leftovers& leftovers = {});

  int64_t size() const override { return int64_t(files_.size()); }
  int64_t label(int64_t i) const override { return files_[size_t(i)].label; }
  Image image(int64_t i) const override { return read_image(name(i)); }
  std::vector<uint8_t> bytes(int64_t i) const override;
  std::string name(int64_t i) const override { return place_ + "/" + files_[size_t(i)].name; }
  uint64_t checksum(int64_t i) const override { return files_[size_t(i)].checksum; }
  const std::vector<std::string>& classes() const override { return classes_; }
  const std::string& place() const override { return place_; }
  Leftovers leftovers() const override { return leftovers_; }
  bool is_files() const override { return true; }

 private:
  struct File {
    std::string name;
    int64_t label;
    uint64_t checksum;
  };
  std::string place_;
  std::vector<std::string> classes_;
  std::vector<File> files_;
  Leftovers leftovers_;
};

// Place, classes, and name, label and checksum of each image of a set that is_files().
std::string list_files(const Dataset& data);

}  // namespace rmt::data

// A labelled set of images as folders: root/train/<class>/*.jpg and root/val/<class>/*.jpg, the
// layout of ImageNet, torchvision and timm.
#pragma once
#include "data/dataset.h"

namespace rmt::data {

class ImageFolder : public Dataset {
 public:
  // split: as in open_dataset(). A class is a folder, its label the folder's place in natural order
  // (class2 before class10), its images all files below it that is_image_name() takes, links
  // followed, hidden names skipped, the others counted as leftovers. Given the names of known
  // classes (those of the training set), labels follow them: a folder whose name is not among them
  // is an error, and a known class may be absent.
  ImageFolder(const std::string& root, const std::string& split,
              const std::vector<std::string>& known_classes = {});

  int64_t size() const override { return int64_t(files_.size()); }
  int64_t label(int64_t i) const override { return files_[size_t(i)].label; }
  Image image(int64_t i) const override { return read_image(name(i)); }
  std::vector<uint8_t> bytes(int64_t i) const override;
  std::string name(int64_t i) const override {
    return directory_ + "/" + files_[size_t(i)].name;
  }  // the file's path
  uint64_t checksum(int64_t i) const override {
    return checksum_of_file(directory_, files_[size_t(i)].name);
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  const std::string& place() const override { return directory_; }  // root/train, root/val, ...
  Leftovers leftovers() const override { return leftovers_; }
  bool is_files() const override { return true; }

 private:
  struct File {
    std::string name;  // class/image.jpg
    int64_t label;
  };
  void add_class(const std::string& name, int64_t label);
  void note_deeper(size_t first);

  std::string directory_;
  std::vector<std::string> classes_;
  std::vector<File> files_;
  Leftovers leftovers_;
};

}  // namespace rmt::data

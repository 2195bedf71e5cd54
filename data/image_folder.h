// A labelled set of images as folders: root/train/<class>/*.jpg and root/val/<class>/*.jpg, the layout of ImageNet, torchvision and timm.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rmt {

class ImageFolder {
 public:
  // split: "train" or "val" (whose folder may also be called "validation"). A class is a folder, its label the folder's place in natural order
  // (class2 before class10), its images all .jpg .jpeg .png below it, links followed, hidden names skipped. Given the names of known classes (those of
  // the training set), labels follow them: a folder whose name is not among them is an error, and a known class may be absent.
  ImageFolder(const std::string& root, const std::string& split, const std::vector<std::string>& known_classes = {});

  int64_t size() const { return int64_t(files_.size()); }
  int64_t label(int64_t i) const { return files_[size_t(i)].label; }
  std::string path(int64_t i) const { return directory_ + "/" + files_[size_t(i)].name; }
  const std::vector<std::string>& classes() const { return classes_; }
  const std::string& directory() const { return directory_; }  // root/train, root/val or root/validation

 private:
  struct File {
    std::string name;  // class/image.jpg
    int64_t label;
  };
  void add_class(const std::string& name, int64_t label);

  std::string directory_;
  std::vector<std::string> classes_;
  std::vector<File> files_;
};

// timm's order of names: digits compare as numbers and come before all else, letters without regard to case: a2 < a10 < a-1 < B1.
bool natural_less(const std::string& a, const std::string& b);

}  // namespace rmt

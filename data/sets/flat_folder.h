// Validation images that lie in one folder, with a list of their classes:
// root/val/ILSVRC2012_val_00000001.JPEG ... as ImageNet is handed out, or
// root/val/images/val_0.JPEG ... as Tiny ImageNet is. The list lies in root, in root/val, or in a
// devkit's folder data/ below root. Known are, in this order,
//
//   LOC_val_solution.csv (Kaggle's)            ILSVRC2012_val_00048981,n03995372 85 1 499 272
//   val_annotations.txt (Tiny ImageNet's)      val_0.JPEG <tab> n03444034 <tab> 0 32 44 62
//   val_labels.txt, val.txt                    <file> <class>, any names
//   imagenet_2012_validation_synset_labels.txt line i is the class of ILSVRC2012_val_<i>: n01751748
//   ILSVRC2012_validation_ground_truth.txt     the same as 1 ... 1000, the devkit's ILSVRC2012_ID
//
// Boxes are ignored.
// A class is named as in training (n01440764). The devkit's numbers follow neither the alphabet nor
// the order of any list of names, so they are taken only beside map_clsloc.txt, a devkit's table
// "n02119789 1 kit_fox" of names and numbers; a number in any other list is refused.
#pragma once
#include "data/dataset.h"

namespace rmt::data {

class FlatFolder : public Dataset {
 public:
  // Images in natural order. Without known classes, they are those of the list in natural order.
  // Errors: no list, one that cannot be resolved, an image that it does not name, a class that is
  // not known.
  explicit FlatFolder(const std::string& root, const std::vector<std::string>& known_classes = {});
  static bool is_one(
      const std::string& folder);  // does root/val hold images, and no class folders?

  int64_t size() const override { return int64_t(files_.size()); }
  int64_t label(int64_t i) const override { return labels_[size_t(i)]; }
  Image image(int64_t i) const override { return read_image(name(i)); }
  std::vector<uint8_t> bytes(int64_t i) const override;
  std::string name(int64_t i) const override { return directory_ + "/" + files_[size_t(i)]; }
  uint64_t checksum(int64_t i) const override {
    return checksum_of_file(directory_, files_[size_t(i)]);
  }
  const std::vector<std::string>& classes() const override { return classes_; }
  const std::string& place() const override { return directory_; }
  Leftovers leftovers() const override { return leftovers_; }
  bool is_files() const override { return true; }

 private:
  std::string directory_;
  std::vector<std::string> classes_, files_;
  std::vector<int64_t> labels_;
  Leftovers leftovers_;
};

}  // namespace rmt::data

// Photographs with a label file each, in the layout of ADE20K:
//
//   root/images/training/1.jpg          annotations/training/1.png      (or train)
//   root/images/validation/2.jpg        annotations/validation/2.png    (or val)
//   root/classes.txt                    (or ADE20K's objectInfo150.txt)
#pragma once
#include "data/annotated.h"
#include "data/segmentation/label_image.h"

namespace rmt::data {

struct LabelledFolderOptions {
  bool zero_is_unlabelled = true;  // LabelRule's
};

class LabelledFolder : public AnnotatedSet {
 public:
  // split: "train" or "val". Images (.jpg .jpeg .png, hidden names skipped) in natural order; each
  // has the label file of its name. Classes are those of the list (class_list.h). Without a list,
  // they are the numbers up to the largest one in the label files of training, all of which are
  // read once for that, by all threads: about a minute for ADE20K on one core. Known classes, those
  // of the training set or of a trained model, take the place of that.
  //
  // Errors at opening: a folder that is missing or empty, an image without a label file and the
  // other way round, a label file that is no 8-bit grey or palette PNG by its header, a list that
  // is not the known classes. When an image is read: sizes that differ, a number that is no class.
  LabelledFolder(const std::string& root, const std::string& split,
                 const LabelledFolderOptions& options = {},
                 const std::vector<std::string>& known_classes = {});

  int64_t size() const override { return int64_t(files_.size()); }
  Example example(int64_t i) const override;
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string name(int64_t i) const override { return images_ + "/" + files_[size_t(i)].image; }
  std::string label_name(int64_t i) const { return labels_ + "/" + files_[size_t(i)].labels; }
  const std::string& place() const override { return images_; }  // root/images/training
  uint64_t checksum(int64_t i) const override;
  std::array<int64_t, 2> image_size(int64_t i) const override { return files_[size_t(i)].size; }
  const LabelRule& rule() const { return rule_; }

 private:
  struct File {
    std::string image, labels;    // names in the two folders
    std::array<int64_t, 2> size;  // of the labels, by their header: the image must have the same
  };
  void read_headers();

  std::string images_, labels_;  // folders
  std::vector<File> files_;
  std::vector<std::string> classes_;
  LabelRule rule_;
};

}  // namespace rmt::data

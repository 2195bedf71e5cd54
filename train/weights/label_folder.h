// Label maps as the token labelling of LV-ViT has them: a file of torch.save for each image,
//
//   <root>/<class folder>/<name>.pt      of the image <class folder>/<name>.JPEG
//
// with one tensor (2, T, h, w) of 16-bit floats (32 bits are read, too): the T largest logits of
// each cell, and their classes. Source: github.com/zihangJiang/TokenLabeling, generate_label.py.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/labels/label_maps.h"

namespace rmt::train {

class LabelFolder : public data::LabelMaps {
 public:
  // The first file of the folder says what h, w and T are; the others must agree when they are
  // read. `classes`: how many there are. Errors begin with the folder's path.
  LabelFolder(const std::string& root, int64_t classes);

  data::LabelMap of(const std::string& name) const override;
  int64_t height() const override { return first_.height; }
  int64_t width() const override { return first_.width; }
  int64_t top() const override { return first_.top; }
  const std::vector<std::string>& classes() const override { return unknown_; }
  const std::string& place() const override { return root_; }

 private:
  data::LabelMap read(const std::string& path) const;

  std::string root_;
  int64_t classes_;
  data::LabelMap first_;  // without its cells
  std::vector<std::string> unknown_;
};

// The label maps of a data set with these classes: a folder, or a file of rmt-label. Error that
// begins with `path` when the file's classes have other names or stand in another order; a folder
// does not say its classes.
std::unique_ptr<data::LabelMaps> open_label_maps(const std::string& path,
                                                 const std::vector<std::string>& classes);

}  // namespace rmt::train

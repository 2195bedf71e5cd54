// The label maps of a data set, wherever they lie; one class for each form:
//
//   data/labels/label_file.h       one file, made by rmt-label
//   train/weights/label_folder.h   a folder of PyTorch's files, one an image
#pragma once
#include <string>
#include <vector>

#include "data/labels/label_map.h"

namespace rmt::data {

class LabelMaps {
 public:
  virtual ~LabelMaps() = default;

  // The map of the image with that short name (data/dataset.h, short_name(): "cat/1.jpg"), of
  // height() x width() cells with top() logits each; all values are finite, all classes are classes
  // of the set. From any number of threads at once. Error that begins with the name when there is
  // none ("cat/1.jpg: has no label map in labels.rmtlabels; ..."), with the file's path when it
  // cannot be read or is damaged.
  virtual LabelMap of(const std::string& name) const = 0;

  virtual int64_t height() const = 0;                           // h: rows of every map
  virtual int64_t width() const = 0;                            // w: columns
  virtual int64_t top() const = 0;                              // T: logits a cell
  virtual const std::vector<std::string>& classes() const = 0;  // names by label; empty: unknown
  virtual const std::string& place() const = 0;                 // for people: the file or folder
};

// Throws Error "<place>: ..." unless every value of the map is finite and every class is in
// [0, classes).
void check_label_map(const LabelMap& map, int64_t classes, const std::string& place);

}  // namespace rmt::data

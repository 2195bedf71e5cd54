// Looks through a dataset before a week of training does: decodes every image, and finds what is
// broken, what is there twice, and what of ImageNet is missing.
#pragma once
#include <functional>
#include <map>

#include "data/dataset.h"

namespace rmt::data {

struct CheckedImage {
  std::string name, what;
};

struct SplitReport {
  std::string split, place;
  std::vector<std::string> classes;
  std::vector<int64_t> images;           // of each class, broken ones included
  int64_t bytes = 0;                     // of the image files
  std::map<std::string, int64_t> kinds;  // images of each: "JPEG", "JPEG, grey", "PNG", ...
  std::vector<CheckedImage> broken;      // cannot be decoded: the reason
  std::vector<CheckedImage> small;       // a side below 32 pixels
  std::vector<CheckedImage> odd;  // CMYK, 16 bits, alpha, a name that belongs to another format
  Leftovers leftovers;            // what lies there and is not read
  int64_t all() const;
};

// The same bytes twice. `first` is the one in the order of splits and images.
struct Duplicate {
  std::string first, second;
  bool leak = false;      // one in train, one in val
  bool conflict = false;  // of different classes
};

struct DataReport {
  std::vector<SplitReport> splits;
  std::vector<Duplicate> duplicates;
  // On classes without images, and on what differs from ImageNet's 1,281,167 and 50,000 images of
  // 1000 classes.
  std::vector<std::string> remarks;
  bool broken() const;
};

// Of what open_dataset() finds at `root`, one split of "train" and "val" at least, or "all" of
// class folders alone, on parallel_for's threads. progress(split, done, of) is called now and then.
DataReport check_data(
    const std::string& root,
    const std::function<void(const std::string& split, int64_t done, int64_t of)>& progress = {},
    double val_split = 0);

}  // namespace rmt::data

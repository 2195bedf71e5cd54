// How well predicted maps of classes agree with the true ones, over a whole set. With n(t, p) the
// pixels of class t that were taken for class p, those without a true class left out,
//
//   IoU_k = n(k, k) / (sum_p n(k, p) + sum_t n(t, k) - n(k, k))    intersection over union
//   acc_k = n(k, k) / sum_p n(k, p)
//
// and mIoU and mAcc are their means over the classes for which they are defined: the same numbers
// as MMSegmentation's.
#pragma once
#include <string>
#include <vector>

#include "data/annotated.h"

namespace rmt::train {

// Sums over pixels. Those of several processes or threads are added up, in any order.
class PixelCounts {
 public:
  explicit PixelCounts(int64_t classes);  // [1, 255]

  // A predicted and a true map of one size, a byte for each pixel. Pixels whose truth is kIgnored
  // do not count. Error for maps of different sizes and for a byte that is no class.
  void add(const data::LabelImage& prediction, const data::LabelImage& truth);
  void add(const PixelCounts& more);

  int64_t classes() const { return classes_; }
  int64_t count(int64_t truth, int64_t prediction) const {
    return counts_[size_t(truth * classes_ + prediction)];
  }
  std::vector<int64_t>& counts() { return counts_; }  // (truth, prediction), to be sent and added
  const std::vector<int64_t>& counts() const { return counts_; }

 private:
  int64_t classes_;
  std::vector<int64_t> counts_;
};

struct ClassAgreement {
  double iou = 0, accuracy = 0;       // in [0, 1]; nan where the class occurs nowhere
  int64_t pixels = 0, predicted = 0;  // of that class in truth, and of those that count
};

struct Agreement {
  double mean_iou = 0, mean_accuracy = 0;  // nan where no pixel counts
  double accuracy = 0;                     // of all pixels (aAcc)
  int64_t pixels = 0;                      // that count
  std::vector<ClassAgreement> classes;
};
Agreement agreement_of(const PixelCounts& counts);

// For people: a line for each class that occurs, that with the lowest IoU first, below headings.
std::string agreement_table(const Agreement& agreement, const std::vector<std::string>& classes);

}  // namespace rmt::train

// Which class a model takes for which: what lies behind a top-1 that is too low.
#pragma once
#include <string>
#include <vector>

#include "train/predictions.h"

namespace rmt::train {

// Counts of answers, a row for each true class and a column for each answer.
class Confusion {
 public:
  // 0 classes: none, nothing is counted. Error for more than 8192, whose table would take over 256
  // MiB.
  explicit Confusion(int64_t classes);

  // logits (B, K) f32 on the host, labels (B) i64. The answer is the class of the highest logit,
  // the first of equals, as for top-1 (train/metrics.h); where a logit is nan there is none.
  void add(const Tensor& logits, const Tensor& labels);

  int64_t classes() const { return classes_; }
  int64_t count(int64_t truth, int64_t answer) const {
    return counts_[size_t(truth * classes_ + answer)];
  }
  int64_t images(int64_t truth) const { return images_[size_t(truth)]; }

 private:
  int64_t classes_;
  std::vector<uint32_t> counts_;  // (truth, answer)
  std::vector<int64_t> images_;   // of each true class, with those that got no answer
};

struct ClassResult {
  int64_t index = 0;  // of the class
  int64_t images = 0;
  int64_t right = 0;
  int64_t rival = -1;       // the class that its images are most often taken for; -1: none
  int64_t rival_count = 0;  // how often

  double top1() const { return 100 * double(right) / double(images); }  // per cent
};

// The classes that have images, that with the lowest top-1 first.
std::vector<ClassResult> results_by_class(const Confusion& confusion);

// The same for people: a line a class below a line of headings.
std::string class_table(const std::vector<ClassResult>& results, const ClassNames& names);

// The counts as a table with the classes' labels above the columns and before the rows.
std::string confusion_csv(const Confusion& confusion, const ClassNames& names);

}  // namespace rmt::train

// Label files: PNGs whose pixels are the numbers of classes (data/images/label_png.h).
#pragma once
#include "data/annotated.h"

namespace rmt::data {

// What the numbers in a label file mean. 255 is always "unlabelled", kIgnored.
struct LabelRule {
  int64_t classes = 0;  // [1, 255], with zero_is_unlabelled [1, 254]
  // ADE20K's files: 0 is "unlabelled" and k is class k - 1. Otherwise k is class k, as in Pascal
  // VOC and Cityscapes.
  bool zero_is_unlabelled = true;
};
void check_label_rule(const LabelRule& rule);  // Error for another number of classes

// Numbers -> classes, in place. Error, which begins with `name`, for a number that is no class.
void apply_rule(LabelImage& labels, const LabelRule& rule, const std::string& name);

// Error, which begins with the path, for all that read_label_png refuses, too.
LabelImage read_labels(const std::string& path, const LabelRule& rule);
// The other way round, as grey; kIgnored becomes 0 or 255. What is written can be read again.
void write_labels(const std::string& path, const LabelImage& labels, const LabelRule& rule);

}  // namespace rmt::data

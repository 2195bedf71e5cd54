// What becomes of an image and its objects before a detector sees them: the published pipelines of
// COCO, for training in one schedule ("1x") or three ("3x"), and for evaluation.
#pragma once
#include "data/annotated.h"

namespace rmt::data {

struct DetectionOptions {
  // The image is resized until its short side is one of `short_sides`, by chance where there are
  // several, or its long side is `long_side`, whichever comes first.
  int64_t long_side = 1333;
  std::vector<int64_t> short_sides{800};
  double mirror = 0.5;        // the probability; 0 draws nothing
  bool mirror_first = false;  // before it is resized, or after
  // Where there are any, in half of all cases: resized to one of these short sides first, and then
  // a part cut out, each of whose sides is crop_least to crop_most pixels, or as many as there are.
  std::vector<int64_t> crop_sides{};
  int64_t crop_least = 384, crop_most = 600;
};

// All lengths of the published recipe times short_side / 800, but the long side as it is said: so a
// small model may train at (341, 256).
DetectionOptions detection_1x(int64_t long_side = 1333, int64_t short_side = 800);
DetectionOptions detection_3x(int64_t long_side = 1333, int64_t short_side = 800);
DetectionOptions detection_evaluation(int64_t long_side = 1333, int64_t short_side = 800);

// Numbers are drawn in the order of the published code:
//   1x   mirror
//   3x   mirror, one of two policies, [crop side, height, width, y, x of the crop], short side
// A choice among one is not drawn. Masks have the sample's size. Error for sizes below 1.
Pipeline detection_pipeline(const DetectionOptions& options);

}  // namespace rmt::data

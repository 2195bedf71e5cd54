// Detections drawn on the photograph that they are of.
#pragma once
#include <string>
#include <vector>

#include "data/images/image.h"
#include "train/detection/coco_eval.h"

namespace rmt::train {

struct DrawnObject {
  CocoBox box = {};  // in pixels of the photograph
  int64_t label = 0;
  double score = -1;           // below 0: known and not guessed, so that none is written
  data::RunLengths mask = {};  // of the photograph's size, or none
};

// Each object's mask as a half-transparent tint with an outline, its box, and "name 0.93" on a
// background of its class's colour. The best score is on top; a label that finds no free place at
// its box is left out, the worst first. Small photographs are shown enlarged by a whole number, so
// that the longer side has 480 pixels. Error for a label without a name, a box that is not finite,
// or a mask of another size.
data::Image draw_detections(const data::Image& photograph, std::vector<DrawnObject> objects,
                            const std::vector<std::string>& names);

}  // namespace rmt::train

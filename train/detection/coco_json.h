// Files of detections in COCO's form, which its own program and others read and write:
//
//   [{"image_id":42,"category_id":18,"bbox":[258.15,41.29,348.26,243.78],"score":0.236}, ...
//   [{"image_id":42,"category_id":18,"segmentation":{"size":[H,W],"counts":"<string>"},"score":...
#pragma once
#include <map>

#include "train/detection/coco_eval.h"

namespace rmt::train {

// What detections may be of: each image's width and height, and the categories.
struct CocoNames {
  std::map<int64_t, std::array<int64_t, 2>> images;  // by id
  std::vector<int64_t> categories;                   // ids
};

// In the order of the file. The counts of a mask may also be a list. kBoxes reads the boxes and
// kMasks the masks; an entry may have both. Error, which begins with the path and names the entry
// by its number from 0 on, for a file beyond 1 GiB, for what is no such list, for an image or a
// category that `names` does not have, for a box with a negative side, and for a mask that is
// broken or not of its image's size.
std::vector<CocoDetection> read_coco_results(const std::string& path, CocoKind kind,
                                             const CocoNames& names);

// Numbers are written so that the same ones are read. Masks go without boxes: from a file with both
// COCO's program takes the boxes' areas for the masks'. The file is whole or not there at all.
void write_coco_results(const std::string& path, const std::vector<CocoDetection>& detections,
                        CocoKind kind);

}  // namespace rmt::train

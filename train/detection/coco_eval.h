// COCO's evaluation of detections, by boxes or by masks: average precision and average recall
// (train/detection/README.md). Numbers are f64 and those of COCO's own program.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data/masks/run_lengths.h"

namespace rmt::train {

// The image's upper left corner is (0, 0): {x, y, width, height} in pixels.
using CocoBox = std::array<double, 4>;

// An object that an image shows. A crowd is a region of many objects of its category: who finds one
// there is neither right nor wrong.
struct CocoTruth {
  int64_t image = 0, category = 0;
  double area = 0;  // in pixels, the annotation's own: it says whether the object is small
  bool crowd = false;
  CocoBox box = {};
  data::RunLengths mask = {};  // needed for kMasks alone
};

struct CocoDetection {
  int64_t image = 0, category = 0;
  double score = 0;
  CocoBox box = {};            // needed for kBoxes alone
  data::RunLengths mask = {};  // needed for kMasks alone, of the image's size
};

enum class CocoKind { kBoxes, kMasks };  // COCO's "bbox" and "segm"

// T overlaps .50, .55, ..., .95, R recalls 0, .01, ..., 1, K categories, A ranges of the object's
// area (all, up to 32^2, up to 96^2, above), M numbers of detections (the best 1, 10 or 100 of an
// image and category).
constexpr int64_t kCocoOverlaps = 10, kCocoRecalls = 101, kCocoAreas = 4, kCocoCounts = 3;

// The 12 numbers that are reported, in COCO's order; -1 where there is no object to be found.
constexpr std::array<const char*, 12> kCocoNames = {"AP",  "AP50", "AP75",  "APs", "APm", "APl",
                                                    "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"};
using CocoStats = std::array<double, 12>;

struct CocoScores {
  std::vector<int64_t> categories;  // K, rising
  std::vector<double> precision;    // (T, R, K, A, M); -1 where there is no object to be found
  std::vector<double> recall;       // (T, K, A, M); likewise

  CocoStats stats() const;
  double ap(int64_t k) const;   // AP of category categories[k], or -1
  std::string summary() const;  // the 12 numbers as lines of text
};

// `categories`: those that exist, in any order, each once. The order of the detections decides
// between those of equal scores: the first counts as the better one. Images are taken by rising id.
// The same bits for any number of threads. Error, which names the object or detection by its place
// in its vector, for a category that is not listed, for numbers that are not finite, and for a mask
// that is missing or of another size than others of its image.
CocoScores coco_evaluate(const std::vector<CocoTruth>& truths,
                         const std::vector<CocoDetection>& detections,
                         std::vector<int64_t> categories, CocoKind kind);

}  // namespace rmt::train

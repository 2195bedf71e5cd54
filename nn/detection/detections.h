// From scores to detections: which boxes are shown, in the original image's pixels.
#pragma once
#include "nn/detection/detector.h"

namespace rmt::nn {

// Boxes of one image with `columns` >= classes numbers each, of which the first `classes` are the
// probabilities of the classes: every class of a box above the threshold is a candidate, so that a
// box can be two things; classes are suppressed one by one (nms.h), and the best stay, the highest
// score first.
struct ScoredBoxes {
  std::vector<Box> boxes;
  std::vector<double> scores;  // (boxes, columns)
  int64_t classes = 0, columns = 0;
};
std::vector<Detection> best_detections(const ScoredBoxes& of_image, const DetectorOptions& options);

// From pixels of the batch's image to pixels of the original, and back.
Box to_original(const Box& b, const std::array<double, 2>& scale);
Box to_batch(const Box& b, const std::array<double, 2>& scale);

// What detectors check of their inputs. `with_masks`: an image with objects has their masks, too.
void check_batch(const Tensor& images, const std::vector<ImageSize>& sizes);
void check_truth(const Tensor& images, const std::vector<GroundTruth>& truth, int64_t classes,
                 bool with_masks);

// The sum of the parts that are called a loss.
Losses with_total(std::vector<std::pair<std::string, Tensor>> parts);

}  // namespace rmt::nn

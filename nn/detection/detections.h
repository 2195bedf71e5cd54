// From scores to detections: which boxes are shown, in the original image's pixels.
#pragma once
#include "nn/detection/detector.h"
#include "nn/detection/nms.h"

namespace rmt::nn {

// Of one image the candidates (group: the class) that stay after suppression class by class, the
// best first; a box can be two things. Those below the threshold of scores have been left out.
std::vector<Detection> best_detections(const std::vector<Candidate>& of_image,
                                       const DetectorOptions& options);

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

// From logits to a class for every pixel of a photograph, and how good these are.
#pragma once
#include <functional>
#include <optional>

#include "data/annotated.h"
#include "data/batches.h"
#include "nn/segmentation/segmenter.h"
#include "train/compute.h"
#include "train/segmentation/miou.h"
#include "train/tested_weights.h"

namespace rmt::train {

// The class of every pixel of a photograph: the largest of the logits (1, h, w, K), which are
// resized bilinearly to the image that the network saw, and from there to the photograph.
data::LabelImage predicted_labels(const Tensor& logits, const data::Place& place);

// Counts over everything that the loader holds, image by image. `seen` is shown each batch with
// what was predicted; its false ends the evaluation, of which nothing comes then. Over processes
// each calls with a loader of its part, and all get the sums.
std::optional<PixelCounts> evaluate_segmentation(
    nn::Segmenter& model, data::Batches& loader, const Compute& compute,
    const data::TransformOptions& transform,
    const std::function<bool(const data::Batch&, const data::LabelImage&)>& seen);
// The same for each of several weights of the model, in one pass over the loader.
std::optional<std::vector<PixelCounts>> evaluate_segmentation(
    TestedWeights& weights, nn::Segmenter& model, data::Batches& loader, const Compute& compute,
    const data::TransformOptions& transform,
    const std::function<bool(const data::Batch&, const data::LabelImage&)>& seen);

// One JSON object for programs: mIoU, mAcc and aAcc, 0 to 1, images, seconds, and per_class, a
// list. What is not defined is null.
std::string segmentation_json(const Agreement& agreement, const std::vector<std::string>& classes,
                              int64_t images, double seconds);

}  // namespace rmt::train

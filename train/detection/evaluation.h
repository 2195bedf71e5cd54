// What a detector finds in images, and how good that is by COCO's measure.
#pragma once
#include <functional>
#include <optional>

#include "data/batches.h"
#include "data/detection/coco_set.h"
#include "nn/detection/detector.h"
#include "train/compute.h"
#include "train/detection/coco_eval.h"
#include "train/tested_weights.h"

namespace rmt::train {

// Error where the set's categories, in the order of their ids, are not called so; `whose` names the
// other list ("the model").
void check_categories(const data::CocoSet& set, const std::vector<std::string>& names,
                      const std::string& whose);

// The ids of the categories, by label.
std::vector<int64_t> category_ids(const data::CocoSet& set);
// All that the json says of the images of the set, as COCO's program takes it: what is unfit for
// training is to be found all the same. `masks`: with them; an object without one is left out then.
std::vector<CocoTruth> coco_truth(const data::CocoSet& set, bool masks);

// The detections in one image of a batch, as the model finds them.
std::vector<nn::Detection> detect_in(nn::Detector& model, const Compute& compute,
                                     const data::Batch& batch,
                                     const data::TransformOptions& transform);

// The same in COCO's form: masks are pasted into the image, `width` x `height` pixels; `image` and
// `categories`, by label, are the ids.
std::vector<CocoDetection> coco_detections(const std::vector<nn::Detection>& found, int64_t image,
                                           int64_t width, int64_t height,
                                           const std::vector<int64_t>& categories);

// Detections in everything that the loader holds, image by image. `seen` is shown each batch with
// what was found; its false ends it, of which nothing comes then. Over processes each calls with a
// loader of its part, and all get all detections, in the order of the images. An image that stands
// in for an unreadable one is counted once, and the unreadable one has no detections.
std::optional<std::vector<CocoDetection>> detect_all(
    nn::Detector& model, const data::CocoSet& images, data::Batches& loader, const Compute& compute,
    const data::TransformOptions& transform,
    const std::function<bool(const data::Batch&, const std::vector<nn::Detection>&)>& seen);
// The same for each of several weights of the model, in one pass over the loader.
std::optional<std::vector<std::vector<CocoDetection>>> detect_all(
    TestedWeights& weights, nn::Detector& model, const data::CocoSet& images, data::Batches& loader,
    const Compute& compute, const data::TransformOptions& transform,
    const std::function<bool(const data::Batch&, const std::vector<nn::Detection>&)>& seen);

// One JSON object: what they are of ("boxes"), the model's name, and COCO's 12 numbers.
std::string scores_json(const CocoScores& scores, const std::string& of, const std::string& model);

}  // namespace rmt::train

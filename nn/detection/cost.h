// What a detector costs, counted from its shapes as nn/rmt/cost.h counts a classifier.
#pragma once
#include "nn/detection/detector.h"
#include "nn/rmt/cost.h"

namespace rmt::nn {

// Boxes of an image that a second stage is counted for: of the box heads and of the mask heads.
constexpr int64_t kCountedBoxes = 1000, kCountedMasks = 100;

// The parts in the order in which an H x W image passes through them: those of the backbone, with
// extra_norms, then the neck and the heads. `kept_values` are the backbone's alone. The papers on
// detectors leave the attention's multiply-adds out; here they are counted, and beside that by
// themselves. Error for a name that make_detector does not know.
std::vector<Cost> cost_of_detector(const std::string& name, const RmtConfig& backbone,
                                   int64_t classes, const DetectorOptions& options, int64_t H,
                                   int64_t W);

}  // namespace rmt::nn

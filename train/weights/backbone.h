// Weights to start from for models that stand on a backbone (nn/segmentation, nn/detection): of a
// classifier, whose body becomes the backbone, or of another such model.
#pragma once
#include "nn/module.h"
#include "train/checkpoint.h"

namespace rmt::train {

// Copies what the archive has into an initialised model whose backbone's names begin with
// "backbone.". Of a classifier these are all of the backbone's but extra_norms, and its own head is
// left out. Of a model with a backbone they are all tensors, but for `class_layers`, which have a
// row for each class, where theirs are of other shapes. Error, and nothing is copied, where another
// tensor is missing or of another shape: with the first name and both shapes. Returns lines for
// people: where the weights came from, what stayed new.
std::vector<std::string> start_from_backbone(nn::Module& model,
                                             const std::vector<std::string>& class_layers,
                                             const Archive& archive);

}  // namespace rmt::train

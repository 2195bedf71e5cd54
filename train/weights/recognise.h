// Which model a set of weights belongs to, by the names and shapes alone: for files that do not say
// it, as those of PyTorch.
#pragma once
#include "nn/rmt/config.h"
#include "train/weights/safetensors.h"

namespace rmt::train {

// The published model (or rmt_n) whose depths, channels and heads the archive has, with the number
// of its classes, and with those parts switched off that it lacks. Parameters cannot tell the kind
// of decay, and of the rotation only this: weights with neither the projection before the pooling
// nor the convolution in the FFN are of the official code's first release, which did not rotate
// (RMT.md 1.6). Error, saying what was found, for other models' weights.
nn::RmtConfig recognise(const Archive& archive);

}  // namespace rmt::train

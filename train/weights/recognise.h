// Which model a set of weights belongs to, told by their names and shapes alone. PyTorch's files do
// not say it.
#pragma once
#include "nn/rmt/config.h"
#include "train/weights/safetensors.h"

namespace rmt::train {

// The published model (or rmt_n) whose depths, channels and heads the archive has, with the number
// of its classes, with its token head, and with those parts switched off that it lacks. Parameters
// cannot tell the kind of decay, and of the rotation only this: weights with neither the projection
// before the pooling nor the convolution in the FFN are of the official code's first release, which
// did not rotate (nn/rmt/README.md, "Where paper and code disagree"). Error, saying what was found,
// for other models' weights.
nn::RmtConfig recognise(const Archive& archive);

// The token head ("aux_head") of a model with this config, told by the channels that it reads:
// those of the last stage, or the projected ones. Error for other channels.
nn::TokenHead token_head_in(const Archive& archive, const nn::RmtConfig& c);

}  // namespace rmt::train

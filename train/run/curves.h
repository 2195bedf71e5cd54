// The picture of a run: its losses in training and validation, and its first score (top-1 of a
// classifier), over the epochs. It
// is an SVG file, which any browser shows; it has no scripts and no fonts of its own, and is light
// or dark as the reader's browser is.
#pragma once
#include <string>
#include <vector>

#include "train/run/epoch_log.h"

namespace rmt::train {

// One picture of several logs, the first ours. The validation loss is dotted, the score of averaged
// weights dashed. Points that are not finite, or beyond 1e12, are left out; a curve goes on over
// epochs that its log lacks.
std::string draw_curves(const std::vector<Curve>& curves);

// The places of an axis's numbers: round distances (1, 2 or 5 times a power of ten) from one at or
// below `low` to one at or above `high`: about `count` of them, at least two.
std::vector<double> round_ticks(double low, double high, int count);

}  // namespace rmt::train

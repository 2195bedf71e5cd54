// Pictures of a model, as SVG files, made of its config: what is drawn is what is computed.
#pragma once
#include "nn/rmt/config.h"

namespace rmt::nn {

// The way of an H x W image through stem, stages and head: resolutions, channels, blocks, heads,
// where attention goes, parameters and multiply-adds (nn/rmt/cost.h); and one block in detail.
std::string draw_architecture(const RmtConfig& c, int64_t H, int64_t W);

// How much a token at each place counts beside the query in the middle of the map, for every head
// of every stage: gamma^(|dx| + |dy|), in steps of 1/8.
std::string draw_decay(const RmtConfig& c, int64_t H, int64_t W);

}  // namespace rmt::nn

// The weights of the golden files: no weights are shipped, a counter hash of (name, index) fills
// them (the rule stands in tests/golden/make_golden.py).
#pragma once
#include <string>

#include "nn/module.h"

namespace rmt::test {

uint64_t golden_hash(const std::string& name, uint64_t index);
// offset + scale u, u in [-1, 1) from the hash, rounded to f32
double golden_value(const std::string& name, uint64_t index, double offset, double scale);
void golden_fill(nn::Module& model);
// (B, H, W, 3) f64 as official (B, 3, H, W) numbering fills it
Tensor golden_images(int64_t B, int64_t H, int64_t W);
// [norm, 16 random-sign projections] of x; `index` maps a position in x to its index in the
// official layout (identity when empty)
std::vector<double> golden_digest(const std::string& name, const Tensor& x,
                                  const std::function<uint64_t(int64_t)>& index = {});

}  // namespace rmt::test

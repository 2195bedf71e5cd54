// Weights, images and digests of the golden files in tests/golden/, which hold what the official
// PyTorch code computes. No weights are shipped: an element is a hash of its tensor's name and its
// index, here and in tests/golden/make_golden.py, so that both sides have the same model.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "nn/module.h"

namespace rmt::test {

// The hash: splitmix64 of the index, seeded with FNV-1a of the name. For many numbers of one name
// the seed is made once.
uint64_t golden_seed(const std::string& name);
inline uint64_t golden_hash(uint64_t seed, uint64_t index) {
  uint64_t x = seed + (index + 1) * 0x9E3779B97F4A7C15;
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  x = (x ^ x >> 27) * 0x94D049BB133111EB;
  return x ^ x >> 31;
}
inline uint64_t golden_hash(const std::string& name, uint64_t index) {
  return golden_hash(golden_seed(name), index);
}
// offset + scale u with u in [-1, 1) from the hash, rounded to f32.
double golden_value(const std::string& name, uint64_t index, double offset, double scale);
// Fills every parameter and statistic of the model; the constants of positions stay.
void golden_fill(nn::Module& model);
// (B, H, W, 3) in f64. The indices are those of the official layout, (B, 3, H, W).
Tensor golden_images(int64_t B, int64_t H, int64_t W);
// Names, shapes and order of state(), as "a.weight 3x4,a.bias 3"; a scalar's shape is "".
std::string golden_names(nn::Module& model);

// 17 numbers that stand for x: its norm, and its projections on 16 vectors of random signs. `index`
// gives for a place in x its index in the official layout; it is left out where the two are equal.
std::vector<double> golden_digest(const std::string& name, const Tensor& x,
                                  const std::function<uint64_t(int64_t)>& index = {});
// That of the gradient of the images (B, H, W, 3), under the name "input".
std::vector<double> golden_image_digest(const Tensor& gradient);
// ||x - reference||, estimated from x's digest and the first `projections` of the reference's: with
// random signs the mean of (p_j - p'_j)^2 has the expectation ||x - reference||^2.
double golden_distance(const std::vector<double>& x, const double* reference, int projections = 16);

}  // namespace rmt::test

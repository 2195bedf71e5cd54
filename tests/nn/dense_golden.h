// What the tests of segmentation and detection share: weights, images and the golden files
// tests/golden/dense_*.json, which hold what the official code computes in f64. How they were made
// is in tests/golden/make_dense_golden.py, and there the same rules are in Python.
//
// A tensor x is kept as its norm and one projection, sum_i r_i x_i, with r_i in [-1, 1) from the
// hash of "probe." + name and the element's index in the official layout.
#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "nn/module.h"
#include "nn/rmt/config.h"

namespace rmt::test {

using Json = nlohmann::json;

// tests/golden/dense_<name>.json
Json dense_golden(const std::string& name);

// u_i in [0, 1) and r_i = 2 u_i - 1, from the hash of the name and i = 0 ... n - 1.
std::vector<double> dense_uniform(const std::string& name, int64_t n);
std::vector<double> dense_signed(const std::string& name, int64_t n);

// What is asked of single parameters: their weights times a gain, a shift of their bias.
struct DenseFill {
  std::map<std::string, double> gain = {}, shift = {};
};
// Makes the model one in f64 and fills it: weights u with a bound of (1.5 / fan_in)^1/2, biases in
// +-0.1, scales about 1, gamma about 0.5, statistics about 0 and 1; and the constants of the
// backbone's positions, exact in f64. The names of the stages contain "layers.i.".
void dense_fill(nn::Module& model, const nn::RmtConfig& backbone, const DenseFill& options = {});

// (B, H, W, 3) in f64, in [-1, 1); the indices of the hash are those of (B, 3, H, W).
Tensor dense_images(int64_t B, int64_t H, int64_t W);

struct Probe {
  double norm = 0, projection = 0;
};
// Of a tensor whose layout is the official one; of a map (B, H, W, C), officially (B, C, H, W).
Probe probe(const std::string& name, const Tensor& x);
Probe probe_of_map(const std::string& name, const Tensor& x);
// From [norm, projection], or from an object with "norm" and "probe".
Probe golden_probe(const Json& j);
// The larger of both differences, over the golden norm, or over `scale` where that is larger.
double probe_error(const Probe& x, const Probe& golden, double scale = 0);

// Every parameter's gradient against the golden ones, and that just those have one which are
// listed. A gradient below 1e-9 of the largest is rounding, and compared at the scale of the
// largest. -> the worst error
double expect_gradients(nn::Module& model, const Json& golden, double tolerance);

// A map that leaves a module, against the golden tap of this name ("neck:0"); shapes too.
double expect_tap(const Json& taps, const std::string& name, const Tensor& map, double tolerance);

}  // namespace rmt::test

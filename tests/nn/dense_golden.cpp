#include "tests/nn/dense_golden.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <functional>

#include "autograd/tape.h"
#include "tests/golden_model.h"

namespace rmt::test {
namespace {

bool ends(const std::string& s, const std::string& with) {
  return s.size() >= with.size() && s.compare(s.size() - with.size(), with.size(), with) == 0;
}

double uniform(uint64_t seed, uint64_t i) { return double(golden_hash(seed, i) >> 40) * 0x1p-24; }

// x_i = offset + scale r_i
void fill_hashed(const Tensor& x, const std::string& name, double offset, double scale) {
  const uint64_t seed = golden_seed(name);
  double* p = x.data<double>();
  for (int64_t i = 0; i < x.numel(); ++i)
    p[i] = offset + scale * (2 * uniform(seed, uint64_t(i)) - 1);
}

// theta_j = 10000^(-j / (D/2 - 1)), each twice; log(1 - 2^(-a - range i / N))
void fill_position(const Tensor& x, const std::string& name, const nn::StageConfig& s) {
  double* p = x.data<double>();
  const int64_t n = x.numel();
  for (int64_t i = 0; i < n; ++i)
    p[i] = ends(name, "angle")
               ? std::pow(10000., -double(i / 2) / double(std::max<int64_t>(n / 2 - 1, 1)))
               : std::log(1 - std::exp2(-s.decay_first - s.decay_range * double(i) / double(n)));
}

double value_or(const std::map<std::string, double>& values, const std::string& name,
                double other) {
  const auto found = values.find(name);
  return found == values.end() ? other : found->second;
}

void fill_parameter(const Tensor& x, const std::string& name, const DenseFill& o) {
  if (ends(name, "running_mean")) return fill_hashed(x, name, 0, 0.1);
  if (ends(name, "running_var")) return fill_hashed(x, name, 1, 0.25);
  if (name.find("gamma_") != std::string::npos) return fill_hashed(x, name, 0.5, 0.25);
  if (ends(name, ".bias")) return fill_hashed(x, name, value_or(o.shift, name, 0), 0.1);
  if (x.rank() == 1) return fill_hashed(x, name, 1, 0.2);
  const double bound = std::sqrt(1.5 / double(x.numel() / x.dim(0)));
  fill_hashed(x, name, 0, bound * value_or(o.gain, name, 1));
}

// The place in (B, C, H, W) of the element i of (B, H, W, C).
struct OfficialPlace {
  int64_t C, HW;
  explicit OfficialPlace(const Tensor& x) : C(x.dim(3)), HW(x.dim(1) * x.dim(2)) {}
  int64_t operator()(int64_t i) const { return (i / (C * HW) * C + i % C) * HW + i / C % HW; }
};

template <class Place>
Probe probe_by(const std::string& name, const Tensor& x, const Place& place) {
  const uint64_t seed = golden_seed("probe." + name);
  const Tensor values = x.to(Device::cpu).to(DType::f64);
  const double* v = values.data<double>();
  Probe p;
  for (int64_t i = 0; i < x.numel(); ++i) {
    p.norm += v[i] * v[i];
    p.projection += v[i] * (2 * uniform(seed, uint64_t(place(i))) - 1);
  }
  p.norm = std::sqrt(p.norm);
  return p;
}

}  // namespace

Json dense_golden(const std::string& name) {
  const std::string path = "tests/golden/dense_" + name + ".json";
  std::ifstream file(path);
  CHECK(file, path, ": cannot be opened");
  return Json::parse(file);
}

std::vector<double> dense_uniform(const std::string& name, int64_t n) {
  const uint64_t seed = golden_seed(name);
  std::vector<double> u;
  for (int64_t i = 0; i < n; ++i) u.push_back(uniform(seed, uint64_t(i)));
  return u;
}

std::vector<double> dense_signed(const std::string& name, int64_t n) {
  std::vector<double> r = dense_uniform(name, n);
  for (double& x : r) x = 2 * x - 1;
  return r;
}

void dense_fill(nn::Module& model, const nn::RmtConfig& backbone, const DenseFill& options) {
  model.to(DType::f64);
  for (const nn::Entry& e : model.state()) {
    if (ends(e.name, "num_batches_tracked")) {
      e.tensor->fill(0);
    } else if (e.name.find(".Relpos.") != std::string::npos) {
      const size_t stage = std::stoul(e.name.substr(e.name.find("layers.") + 7));
      fill_position(*e.tensor, e.name, backbone.stages.at(stage));
    } else {
      fill_parameter(*e.tensor, e.name, options);
    }
  }
}

Tensor dense_images(int64_t B, int64_t H, int64_t W) {
  const uint64_t seed = golden_seed("input");
  Tensor x = Tensor::empty({B, H, W, 3}, DType::f64);
  const OfficialPlace place(x);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<double>()[i] = 2 * uniform(seed, uint64_t(place(i))) - 1;
  return x;
}

Probe probe(const std::string& name, const Tensor& x) {
  return probe_by(name, x, [](int64_t i) { return i; });
}

Probe probe_of_map(const std::string& name, const Tensor& x) {
  return probe_by(name, x, OfficialPlace(x));
}

Probe golden_probe(const Json& j) {
  if (j.is_array()) return {j.at(0), j.at(1)};
  return {j.at("norm"), j.at("probe")};
}

double probe_error(const Probe& x, const Probe& golden, double scale) {
  return std::max(std::fabs(x.norm - golden.norm), std::fabs(x.projection - golden.projection)) /
         std::max(golden.norm, scale);
}

double expect_gradients(nn::Module& model, const Json& golden, double tolerance) {
  double largest = 0, worst = 0;
  for (const auto& [name, values] : golden.items())
    largest = std::max(largest, golden_probe(values).norm);
  for (const nn::Entry& e : model.parameters()) {
    const Tensor g = grad(*e.tensor);
    EXPECT_EQ(g.defined(), golden.contains(e.name)) << "is there a gradient of " << e.name;
    if (!g.defined() || !golden.contains(e.name)) continue;
    const Probe expected = golden_probe(golden.at(e.name));
    const double scale = expected.norm < 1e-9 * largest ? largest : 0;
    const double error = probe_error(probe(e.name, g), expected, scale);
    EXPECT_LE(error, tolerance) << "gradient of " << e.name;
    worst = std::max(worst, error);
  }
  return worst;
}

double expect_tap(const Json& taps, const std::string& name, const Tensor& map, double tolerance) {
  for (const Json& tap : taps) {
    if (tap.at("name") != name) continue;
    const bool is_map = map.rank() == 4;
    const Shape official =
        is_map ? Shape{map.dim(0), map.dim(3), map.dim(1), map.dim(2)} : map.shape();
    const std::vector<int64_t> shape = tap.at("shape");
    EXPECT_EQ(official, Shape(shape.begin(), shape.end())) << name;
    const Probe ours = is_map ? probe_of_map(name, map) : probe(name, map);
    const double error = probe_error(ours, golden_probe(tap));
    EXPECT_LE(error, tolerance) << name;
    return error;
  }
  ADD_FAILURE() << "no tap called " << name;
  return 0;
}

}  // namespace rmt::test

// Weights of the published models, of which only the names and shapes count.
#pragma once
#include <fstream>
#include <sstream>
#include <string>

#include "train/weights/safetensors.h"

namespace rmt::test {

// Of "rmt_t", "rmt_s", "rmt_b" or "rmt_l", as tests/golden/<name>.names lists them; the numbers are
// not set.
inline train::Archive published_shapes(const std::string& name) {
  train::Archive a;
  std::ifstream file(str("tests/golden/", name, ".names"));
  for (std::string key, sizes; file >> key >> sizes;) {
    Shape shape;
    std::istringstream parts(sizes == "-" ? "" : sizes);
    for (std::string n; std::getline(parts, n, 'x');) shape.push_back(std::stoll(n));
    a.tensors[key] = Tensor::empty(shape);
  }
  return a;
}

}  // namespace rmt::test

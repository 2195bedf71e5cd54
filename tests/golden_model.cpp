#include "tests/golden_model.h"

#include <cmath>

namespace rmt::test {
namespace {

bool ends(const std::string& s, const std::string& with) {
  return s.size() >= with.size() && s.compare(s.size() - with.size(), with.size(), with) == 0;
}

double value_of(uint64_t hash, double offset, double scale) {
  return float(offset + scale * (double(hash >> 40) * 0x1p-23 - 1));
}

struct Rule {
  double offset, scale;
};

Rule rule_of(const std::string& name, const Shape& shape) {
  if (ends(name, "running_mean")) return {0, 0.1};
  if (ends(name, "running_var")) return {1, 0.5};
  if (ends(name, "gamma_1") || ends(name, "gamma_2")) return {0.5, 0.1};
  if (ends(name, ".bias")) return {0, 0.1};
  for (const char* table : {"pos_embed", "cls_token", "relative_position_bias_table"})
    if (ends(name, table)) return {0, 0.5};
  if (shape.rank() == 1) return {1, 0.1};
  double scale = std::sqrt(3.0 / double(shape.numel() / shape[0]));
  return {0, ends(name, ".pos.conv.weight") ? scale / 4 : scale};
}

}  // namespace

uint64_t golden_seed(const std::string& name) {
  uint64_t h = 0xcbf29ce484222325;
  for (unsigned char c : name) h = (h ^ c) * 0x100000001b3;
  return h;
}

double golden_value(const std::string& name, uint64_t index, double offset, double scale) {
  return value_of(golden_hash(name, index), offset, scale);
}

void golden_fill(nn::Module& model) {
  for (nn::Entry& e : model.state()) {
    if (ends(e.name, "Relpos.angle") || ends(e.name, "Relpos.decay")) continue;
    if (ends(e.name, "num_batches_tracked")) {
      e.tensor->fill(0);
      continue;
    }
    auto [offset, scale] = rule_of(e.name, e.tensor->shape());
    Tensor values = Tensor::empty(e.tensor->shape(), DType::f64);
    uint64_t seed = golden_seed(e.name);
    for (int64_t i = 0; i < values.numel(); ++i)
      values.data<double>()[i] = value_of(golden_hash(seed, uint64_t(i)), offset, scale);
    e.tensor->copy_from(values);
  }
}

Tensor golden_images(int64_t B, int64_t H, int64_t W) {
  Tensor x = Tensor::empty({B, H, W, 3}, DType::f64);
  double* p = x.data<double>();
  for (int64_t b = 0; b < B; ++b)
    for (int64_t i = 0; i < H * W; ++i)
      for (int64_t c = 0; c < 3; ++c)
        *p++ = golden_value("input", uint64_t((b * 3 + c) * H * W + i), 0, 1.7);
  return x;
}

std::string golden_names(nn::Module& model) {
  std::string text;
  for (const nn::Entry& e : model.state()) {
    text += (text.empty() ? "" : ",") + e.name + " ";
    for (int i = 0; i < e.tensor->rank(); ++i) text += str(i ? "x" : "", e.tensor->dim(i));
  }
  return text;
}

std::vector<double> golden_digest(const std::string& name, const Tensor& x,
                                  const std::function<uint64_t(int64_t)>& index) {
  std::vector<double> sums(17);
  uint64_t seed = golden_seed(name + "#sign");
  Tensor values = x.to(DType::f64);
  // The numbers are added up by the signs that they have in projections 0-3, 4-7, ...: four
  // additions a number and not sixteen.
  double with_signs[4][16] = {};
  for (int64_t i = 0; i < x.numel(); ++i) {
    double v = values.data<double>()[i];
    uint64_t hash = golden_hash(seed, index ? index(i) : uint64_t(i));
    sums[0] += v * v;
    for (int g = 0; g < 4; ++g) with_signs[g][hash >> 4 * g & 15] += v;
  }
  for (int j = 0; j < 16; ++j)
    for (int signs = 0; signs < 16; ++signs) {
      const double sum = with_signs[j / 4][signs];
      sums[size_t(j) + 1] += signs >> j % 4 & 1 ? sum : -sum;
    }
  sums[0] = std::sqrt(sums[0]);
  return sums;
}

std::vector<double> golden_image_digest(const Tensor& gradient) {
  const int64_t HW = gradient.dim(1) * gradient.dim(2);
  return golden_digest("input", gradient, [HW](int64_t i) {  // (B, H, W, 3) -> (B, 3, H, W)
    return uint64_t((i / (3 * HW) * 3 + i % 3) * HW + i / 3 % HW);
  });
}

double golden_distance(const std::vector<double>& x, const double* reference, int projections) {
  double sum = 0;
  for (int j = 1; j <= projections; ++j)
    sum += (x[size_t(j)] - reference[j]) * (x[size_t(j)] - reference[j]);
  return std::sqrt(sum / projections);
}

}  // namespace rmt::test

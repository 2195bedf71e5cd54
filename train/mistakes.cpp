#include "train/mistakes.h"

#include <algorithm>
#include <cmath>

namespace rmt::train {

void WorstMistakes::add(const data::Batch& batch, const Tensor& logits) {
  if (most_ == 0) return;
  const int64_t K = logits.dim(1);
  for (int64_t b = 0; b < logits.dim(0); ++b) {
    const float* z = logits.data<float>() + b * K;
    const int64_t best = std::max_element(z, z + K) - z;
    const int64_t label = batch.labels.data<int64_t>()[b];
    const int64_t index = batch.indices[b];
    double sum = 0;  // of exp(z_k - z_best), so that 1 / sum is the softmax of the best
    for (int64_t k = 0; k < K; ++k) sum += std::exp(double(z[k]) - double(z[best]));
    const bool seen = std::any_of(mistakes_.begin(), mistakes_.end(),
                                  [&](const Mistake& m) { return m.index == index; });
    const bool is_number = sum >= 1;  // a nan is no answer
    if (best != label && is_number && !seen) mistakes_.push_back({index, label, best, 1 / sum});
  }
  std::sort(mistakes_.begin(), mistakes_.end(), [](const Mistake& a, const Mistake& b) {
    return std::pair(-a.confidence, a.index) < std::pair(-b.confidence, b.index);
  });
  if (mistakes_.size() > most_) mistakes_.resize(most_);
}

std::string caption(const Mistake& m, const ModelFile& file) {
  return str(file.class_name(m.predicted), " not ", file.class_name(m.label), " ",
             std::lround(100 * m.confidence), " %");
}

data::Image mistakes_picture(const std::vector<Mistake>& mistakes, const data::Dataset& images,
                             const ModelFile& file) {
  const data::TransformOptions transform = transform_options(file.options);
  const int64_t S = transform.image_size;
  std::vector<data::Tile> tiles;
  for (const Mistake& m : mistakes) {
    data::Image seen{S, S, std::vector<uint8_t>(S * S * 3)};
    data::eval_pixels(images.image(m.index), transform, seen.rgb.data());
    tiles.push_back({std::move(seen), caption(m, file)});
  }
  return data::image_grid(tiles);
}

}  // namespace rmt::train

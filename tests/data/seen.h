// What the network sees of an image: the transform's bytes, finished by ops::normalize.
#pragma once
#include <vector>

#include "data/images/transform.h"
#include "ops/normalize.h"

namespace rmt {
using namespace data;

// One image's bytes, mirrored if asked, as floats.
inline std::vector<float> normalised(const std::vector<uint8_t>& pixels, const TransformOptions& o,
                                     bool mirror = false, const std::optional<Erasing>& e = {}) {
  const int64_t S = o.image_size;
  Tensor erase;
  if (e)
    erase = Tensor::from<int64_t>(
        {e->box.x, e->box.y, e->box.width, e->box.height, int64_t(e->key)}, {1, 5});
  return ops::normalize(
             Tensor::from<uint8_t>(pixels, {1, S, S, 3}), Tensor::full({1}, mirror, DType::u8),
             {{o.mean[0], o.mean[1], o.mean[2]}, {o.deviation[0], o.deviation[1], o.deviation[2]}},
             DType::f32, erase)
      .to_vector<float>();
}

inline std::vector<float> seen_in_evaluation(const Image& image, const TransformOptions& o) {
  std::vector<uint8_t> pixels(size_t(o.image_size * o.image_size * 3));
  eval_pixels(image, o, pixels.data());
  return normalised(pixels, o);
}

inline std::vector<float> seen_in_training(const Image& image, const TransformOptions& o,
                                           Random random) {
  std::vector<uint8_t> pixels(size_t(o.image_size * o.image_size * 3));
  const TrainDraws draws = draw_train(image.width, image.height, o, random);
  const bool mirror = train_pixels(image, o, draws, pixels.data());
  return normalised(pixels, o, mirror, draws.erasing);
}

}  // namespace rmt

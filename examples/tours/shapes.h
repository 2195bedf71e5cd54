// The images of the tours that train networks of their own: a data set in memory, and how good a
// network is on it.
#pragma once
#include "data/loader.h"
#include "data/sets/drawings.h"
#include "nn/classifier.h"
#include "ops/normalize.h"
#include "train/metrics.h"

namespace rmt {

// Ten shapes, drawn when they are asked for: image i is a function of (seed, i).
struct Shapes : data::Dataset {
  int64_t images, side;
  uint64_t seed;
  Shapes(int64_t images_, int64_t side_, uint64_t seed_)
      : images(images_), side(side_), seed(seed_) {}
  int64_t size() const override { return images; }
  int64_t label(int64_t i) const override { return i % 10; }
  data::Image image(int64_t i) const override {
    return data::draw_shape(side, label(i), Random(seed, Purpose::drawing, uint64_t(i)));
  }
  const std::vector<std::string>& classes() const override { return data::drawing_classes(); }
};

// Bytes (B, S, S, 3) -> numbers of about mean 0 and deviation 1.
inline Tensor numbers(const data::Batch& batch) {
  const ops::NormalizeOptions colours{{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
  return ops::normalize(batch.images, batch.mirror, colours, DType::f32);
}

// Per cent of the loader's images whose class has the highest logit.
inline double top1(nn::Classifier& model, data::Loader& images) {
  NoGrad off;
  model.mode().training = false;
  train::Metrics metrics;
  images.start(0);
  while (auto batch = images.next()) metrics.add(model.forward(numbers(*batch)), batch->labels);
  return metrics.acc1();
}

}  // namespace rmt

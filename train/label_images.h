// Label maps made by a teacher: of every image of a data set the T largest logits of every token,
// and their classes (data/labels/README.md).
#pragma once
#include <functional>

#include "data/labels/label_file.h"
#include "data/loader.h"
#include "nn/rmt/model.h"
#include "train/compute.h"
#include "train/metrics.h"

namespace rmt::train {

// The T largest of the K logits of each token, in falling order; of equal ones the lower class
// first. scores (h, w, K) f32 on the host.
data::LabelMap largest_logits(const float* scores, int64_t h, int64_t w, int64_t K, int64_t T);

struct LabelOptions {
  data::TransformOptions transform;  // image_size: a side of the square that the teacher sees
  int64_t top = 5;                   // T
  int64_t batch_size = 64;
  int workers = 2;
  int64_t max_bad_images = 100;
};

struct LabelReport {
  Metrics teacher;                  // of the images that were labelled: how often it is right
  std::vector<data::BadImage> bad;  // images that have no map
};

// Writes a map of every image of `images` that the file does not have yet, in their order; an image
// that cannot be read gets none. The teacher sees the whole image, squashed into a square, so that
// the map covers all of it. `progress` is told how many images have been seen, and the metrics so
// far; its false ends the work, which the next call goes on with.
LabelReport label_images(nn::Rmt& teacher, const data::Dataset& images, const LabelOptions& options,
                         const Compute& compute, data::LabelFileWriter& file,
                         const std::function<bool(int64_t done, const Metrics&)>& progress);

}  // namespace rmt::train

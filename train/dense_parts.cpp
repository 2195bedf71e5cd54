#include "train/dense_parts.h"

#include <algorithm>
#include <cstdio>

#include "core/parallel.h"
#include "data/dataset.h"

namespace rmt::train {
namespace {

// As data::checksum() of a classifier's images.
std::string checksum(const data::AnnotatedSet& data) {
  std::vector<uint64_t> sums(size_t(data.size()));
  parallel_for(data.size(), 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[size_t(i)] = data.checksum(i);
  });
  uint64_t all = 0;
  for (uint64_t sum : sums) all = data::checksum_of("", all ^ sum);
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(all));
  return text;
}

}  // namespace

data::AnnotatedLoaderOptions annotated_loader_options(const TrainOptions& o, bool train,
                                                      const Compute& compute) {
  return {.batch_size = o.batch_size,
          .rank = compute.processes->rank(),
          .ranks = compute.processes->size(),
          .workers = int(o.workers),
          .seed = o.seed,
          .train = train,
          .passes = o.passes,
          .max_bad = o.max_bad_images,
          .pinned = train && compute.device == Device::cuda};
}

std::string name_with_head(const TrainOptions& o) { return o.model + " with " + o.head; }

data::Batch batch_of(const data::Image& image, const data::Pipeline& pipeline, int64_t multiple) {
  data::Draws none{[] { return 0.; }};  // evaluation draws nothing
  std::vector<data::Sample> samples;
  samples.push_back(pipeline({.image = image}, none));
  return data::batch_of(samples, 0, multiple);
}

DataCounts counts_of(const data::AnnotatedSet& train, const data::AnnotatedSet& test) {
  return {int64_t(train.classes().size()), train.size(), test.size(), checksum(train),
          checksum(test)};
}

std::vector<data::Image> unpadded_pictures(const data::Batch& batch, int64_t most) {
  const Tensor images = batch.images.to(Device::cpu);  // (B, H, W, 3)
  const int64_t H = images.dim(1), W = images.dim(2);
  std::vector<data::Image> pictures;
  for (int64_t b = 0; b < std::min(most, images.dim(0)); ++b) {
    const data::Place& place = batch.places[size_t(b)];
    data::Image picture{place.width, place.height, {}};
    for (int64_t y = 0; y < place.height; ++y) {
      const uint8_t* row = images.data<uint8_t>() + (b * H + y) * W * 3;
      picture.rgb.insert(picture.rgb.end(), row, row + place.width * 3);
    }
    pictures.push_back(std::move(picture));
  }
  return pictures;
}

void make_same_size(std::vector<data::Tile>& tiles) {
  int64_t width = 0, height = 0;
  for (const data::Tile& t : tiles) {
    width = std::max(width, t.image.width);
    height = std::max(height, t.image.height);
  }
  for (data::Tile& t : tiles) {
    data::Image canvas{width, height, std::vector<uint8_t>(size_t(width * height * 3))};
    for (int64_t y = 0; y < t.image.height; ++y)
      std::copy_n(t.image.rgb.data() + y * t.image.width * 3, t.image.width * 3,
                  canvas.rgb.data() + y * width * 3);
    t.image = std::move(canvas);
  }
}

}  // namespace rmt::train

#include "data/detection/pipeline.h"

#include <algorithm>

#include "core/error.h"
#include "data/detection/moves.h"

namespace rmt::data {
namespace {

int64_t one_of(const std::vector<int64_t>& choices, Draws& draws) {
  return choices.size() == 1 ? choices[0]
                             : choices[size_t(draws.integer(0, int64_t(choices.size())))];
}

void crop(MovedExample& moved, const DetectionOptions& options, Draws& draws) {
  const int64_t width = moved.image().width, height = moved.image().height;
  const auto side = [&](int64_t most) {
    return draws.integer(std::min(most, options.crop_least), std::min(most, options.crop_most) + 1);
  };
  const int64_t crop_height = side(height), crop_width = side(width);
  const int64_t y = draws.integer(0, height - crop_height + 1),
                x = draws.integer(0, width - crop_width + 1);
  moved.crop(x, y, crop_width, crop_height);
}

Sample run(Example&& example, Draws& draws, const DetectionOptions& options) {
  MovedExample moved(std::move(example));
  const auto mirror = [&] {
    if (options.mirror > 0 && draws.coin(options.mirror)) moved.mirror();
  };
  if (options.mirror_first) mirror();
  if (!options.crop_sides.empty() && draws.integer(0, 2) == 1) {
    moved.resize(options.long_side, one_of(options.crop_sides, draws));
    crop(moved, options, draws);
  }
  moved.resize(options.long_side, one_of(options.short_sides, draws));
  if (!options.mirror_first) mirror();
  return moved.take();
}

}  // namespace

DetectionOptions detection_1x(int64_t long_side, int64_t short_side) {
  return {.long_side = long_side, .short_sides = {short_side}};
}

DetectionOptions detection_3x(int64_t long_side, int64_t short_side) {
  const auto scaled = [&](int64_t n) { return std::max<int64_t>(1, (n * short_side + 400) / 800); };
  DetectionOptions options{.long_side = long_side, .short_sides = {}, .mirror_first = true};
  for (int64_t side = 480; side <= 800; side += 32) options.short_sides.push_back(scaled(side));
  options.crop_sides = {scaled(400), scaled(500), scaled(600)};
  options.crop_least = scaled(384), options.crop_most = scaled(600);
  return options;
}

DetectionOptions detection_evaluation(int64_t long_side, int64_t short_side) {
  return {.long_side = long_side, .short_sides = {short_side}, .mirror = 0};
}

Pipeline detection_pipeline(const DetectionOptions& options) {
  CHECK(!options.short_sides.empty(), "detection: no short side to resize to");
  int64_t least = std::min(options.long_side, options.crop_least);
  for (const auto* sides : {&options.short_sides, &options.crop_sides})
    for (const int64_t side : *sides) least = std::min(least, side);
  CHECK(least >= 1, "detection: a side of ", least, " pixels; the least is 1");
  CHECK(options.crop_least <= options.crop_most, "detection: crops of at least ",
        options.crop_least, " and at most ", options.crop_most, " pixels");
  CHECK(options.mirror >= 0 && options.mirror <= 1, "detection: mirrored with probability ",
        options.mirror);
  return [options](Example&& example, Draws& draws) {
    return run(std::move(example), draws, options);
  };
}

}  // namespace rmt::data

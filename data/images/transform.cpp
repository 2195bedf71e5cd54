#include "data/images/transform.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "data/images/color_jitter.h"

namespace rmt::data {
namespace {

// Python's round(): ties to even.
int64_t round_even(double x) { return int64_t(std::nearbyint(x)); }

// The normalisation's mean as bytes: what an augmentation puts where a picture has moved away.
Colour mean_colour(const TransformOptions& o) {
  Colour colour;
  for (size_t c = 0; c < 3; ++c)
    colour[c] = uint8_t(std::clamp<double>(std::nearbyint(255.0 * double(o.mean[c])), 0, 255));
  return colour;
}

struct Size {
  int64_t width, height;
};

// torchvision's Resize: the shorter side becomes `shorter`, the longer one is rounded down.
Size resized(int64_t width, int64_t height, int64_t shorter) {
  return width > height ? Size{shorter * width / height, shorter}
                        : Size{shorter, shorter * height / width};
}

// The part `box` of an image resized to `size`, black where that lies outside. `seen` is what lies
// inside: it alone is resized, into `part`, and copied to its place row by row.
void resize_padded(const Image& image, const Size& size, const Crop& box, Resampling resampling,
                   uint8_t* out) {
  const int64_t left = std::max<int64_t>(box.x, 0), top = std::max<int64_t>(box.y, 0);
  const Crop seen{left, top, std::min(box.x + box.width, size.width) - left,
                  std::min(box.y + box.height, size.height) - top};
  std::memset(out, 0, size_t(box.width * box.height * 3));
  if (seen.width <= 0 || seen.height <= 0) return;
  thread_local std::vector<uint8_t> part;
  part.resize(size_t(seen.width * seen.height * 3));
  resize(image, {0, 0, image.width, image.height}, size.width, size.height, seen, part.data(),
         resampling);
  for (int64_t y = 0; y < seen.height; ++y)
    std::memcpy(out + ((top - box.y + y) * box.width + left - box.x) * 3,
                &part[size_t(y * seen.width * 3)], size_t(seen.width * 3));
}

}  // namespace

void check_transform_options(const TransformOptions& o) {
  CHECK(o.image_size >= 1 && o.image_size <= 4096, "image size ", o.image_size,
        " is not in [1, 4096]");
  CHECK(o.scale_min > 0 && o.scale_min <= o.scale_max && o.scale_max <= 1, "crop scale [",
        o.scale_min, ", ", o.scale_max, "] is not inside (0, 1]");
  CHECK(o.ratio_min > 0 && o.ratio_min <= o.ratio_max && o.ratio_max <= 1e6, "crop ratio [",
        o.ratio_min, ", ", o.ratio_max, "]: wants 0 < first <= second");
  CHECK(o.crop_padding >= -1 && o.crop_padding <= 4096, "crop padding ", o.crop_padding,
        " is not in [-1, 4096]");
  CHECK(o.color_jitter >= 0 && o.color_jitter <= 1, "colour jitter ", o.color_jitter,
        " is not in [0, 1]");
  CHECK(o.flip >= 0 && o.flip <= 1, "flip probability ", o.flip, " is not in [0, 1]");
  CHECK(o.erasing.probability >= 0 && o.erasing.probability <= 1, "erasing probability ",
        o.erasing.probability, " is not in [0, 1]");
  CHECK(o.crop_pct > 0.01 && o.crop_pct <= 1, "crop_pct ", o.crop_pct, " is not in (0.01, 1]");
  for (size_t c = 0; c < 3; ++c)
    CHECK(std::abs(o.mean[c]) <= 100 && o.deviation[c] >= 0.001 && o.deviation[c] <= 1000, "mean ",
          o.mean[c], " and standard deviation ", o.deviation[c], " of channel ", c,
          " do not fit colours between 0 and 1: the first must be in [-100, 100], the second in "
          "[0.001, 1000]");
}

Crop random_crop(int64_t width, int64_t height, const TransformOptions& o, Random& random) {
  const double area = double(width) * double(height);
  const double log_min = std::log(o.ratio_min), log_max = std::log(o.ratio_max);
  for (int attempt = 0; attempt < 10; ++attempt) {
    // From w h = target and w / h = ratio.
    const double target = area * random.uniform(o.scale_min, o.scale_max);
    const double ratio = std::exp(random.uniform(log_min, log_max));
    const int64_t w = round_even(std::sqrt(target * ratio));
    const int64_t h = round_even(std::sqrt(target / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int64_t y = random.below(height - h + 1);
    const int64_t x = random.below(width - w + 1);
    return {x, y, w, h};
  }
  // The largest centred rectangle with an allowed ratio.
  int64_t w = width, h = height;
  const double ratio = double(width) / double(height);
  if (ratio < o.ratio_min) h = std::clamp<int64_t>(round_even(double(w) / o.ratio_min), 1, height);
  if (ratio > o.ratio_max) w = std::clamp<int64_t>(round_even(double(h) * o.ratio_max), 1, width);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

Crop padded_crop(int64_t width, int64_t height, const TransformOptions& o, Random& random) {
  const int64_t size = o.image_size, padding = o.crop_padding;
  CHECK(width >= size && height >= size && padding >= 0, "no crop of ", size, " x ", size,
        " out of ", width, " x ", height, " pixels");
  // Drawn in the padded image, whose corner is at (-padding, -padding) of this one.
  const int64_t y = random.below(height + 2 * padding - size + 1);
  const int64_t x = random.below(width + 2 * padding - size + 1);
  return {x - padding, y - padding, size, size};
}

TrainDraws draw_train(int64_t width, int64_t height, const TransformOptions& o, Random& random) {
  TrainDraws draws;
  if (o.crop_padding < 0) {
    draws.crop = random_crop(width, height, o, random);
  } else {
    const Size size = resized(width, height, o.image_size);
    draws.crop = padded_crop(size.width, size.height, o, random);
  }
  draws.mirror = random.uniform() < o.flip;
  if (o.random_resampling && random.uniform() < 0.5) draws.resampling = Resampling::bilinear;
  if (o.augment) draws.steps = draw_steps(*o.augment, random);
  if (o.color_jitter > 0)
    for (const AugmentStep& step : draw_jitter(o.color_jitter, random)) draws.steps.push_back(step);
  draws.erasing = draw_erasing(o.erasing, o.image_size, o.image_size, random);
  return draws;
}

static void crop_pixels(const Image& image, const TransformOptions& o, const Crop& crop,
                        Resampling resampling, uint8_t* pixels) {
  const int64_t side = o.image_size;
  if (o.crop_padding < 0)
    resize(image, crop, side, side, {0, 0, side, side}, pixels, resampling);
  else
    resize_padded(image, resized(image.width, image.height, side), crop, resampling, pixels);
}

std::array<double, 4> shares(const Crop& crop, int64_t width, int64_t height,
                             const TransformOptions& o) {
  const Size size = o.crop_padding < 0 ? Size{width, height} : resized(width, height, o.image_size);
  const double w = double(size.width), h = double(size.height);
  return {double(crop.x) / w, double(crop.y) / h, double(crop.x + crop.width) / w,
          double(crop.y + crop.height) / h};
}

bool train_pixels(const Image& image, const TransformOptions& o, const TrainDraws& draws,
                  uint8_t* pixels) {
  const int64_t side = o.image_size;
  if (o.augment_first && (draws.mirror || !draws.steps.empty())) {
    Image whole = image;
    const Pixels all{whole.rgb.data(), whole.width, whole.height};
    if (draws.mirror) mirror(all);
    for (const AugmentStep& step : draws.steps) apply_step(step, all, mean_colour(o));
    crop_pixels(whole, o, draws.crop, draws.resampling, pixels);
    return false;
  }
  crop_pixels(image, o, draws.crop, draws.resampling, pixels);
  if (o.augment_first) return false;
  if (!o.augment && o.color_jitter == 0) return draws.mirror;
  const Pixels all{pixels, side, side};
  // The mirror comes first: a picture that is turned and then mirrored is another one.
  if (draws.mirror) mirror(all);
  for (const AugmentStep& step : draws.steps) apply_step(step, all, mean_colour(o));
  return false;
}

bool train_pixels(const Image& image, const TransformOptions& o, Random random, uint8_t* pixels) {
  return train_pixels(image, o, draw_train(image.width, image.height, o, random), pixels);
}

void eval_pixels(const Image& image, const TransformOptions& o, uint8_t* pixels) {
  const int64_t size = o.image_size;
  const Crop all{0, 0, image.width, image.height};
  if (o.whole) return resize(image, all, size, size, {0, 0, size, size}, pixels);
  const int64_t shorter = int64_t(std::floor(double(size) / o.crop_pct));
  const auto [width, height] = resized(image.width, image.height, shorter);
  const Crop window{round_even(double(width - size) / 2), round_even(double(height - size) / 2),
                    size, size};
  resize(image, all, width, height, window, pixels);
}

}  // namespace rmt::data

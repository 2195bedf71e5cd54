#include "data/segmentation/pipeline.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "data/images/pixel_ops.h"
#include "data/images/resize_fixed.h"

namespace rmt::data {
namespace {

void check_example(const Example& e) {
  CHECK(e.image.width == e.labels.width && e.image.height == e.labels.height,
        "segmentation: labels of ", e.labels.width, " x ", e.labels.height,
        " pixels do not fit an image of ", e.image.width, " x ", e.image.height);
}

LabelImage resized_labels(const LabelImage& labels, int64_t width, int64_t height) {
  LabelImage out{width, height, std::vector<uint8_t>(size_t(width * height))};
  resize_nearest_bytes(labels.labels.data(), labels.width, labels.height, width, height,
                       out.labels.data());
  return out;
}

void mirror_labels(LabelImage& labels) {
  for (auto row = labels.labels.begin(); row != labels.labels.end(); row += labels.width)
    std::reverse(row, row + labels.width);
}

Crop random_square(const LabelImage& labels, int64_t side, Draws& draws) {
  Crop crop{0, 0, std::min(side, labels.width), std::min(side, labels.height)};
  crop.y = draws.integer(0, labels.height - crop.height + 1);
  crop.x = draws.integer(0, labels.width - crop.width + 1);
  return crop;
}

// Has the crop two classes at least, and its largest less than that share of what is labelled?
bool is_varied(const LabelImage& labels, const Crop& crop, double largest_class) {
  std::array<int64_t, 256> counts{};
  for (int64_t y = crop.y; y < crop.y + crop.height; ++y) {
    const uint8_t* row = labels.labels.data() + y * labels.width + crop.x;
    for (int64_t x = 0, begin = 0; x < crop.width; begin = x) {  // a run of equal labels at a time
      while (x < crop.width && row[x] == row[begin]) ++x;
      counts[row[begin]] += x - begin;
    }
  }
  counts[kIgnored] = 0;
  int64_t sum = 0, most = 0, classes = 0;
  for (int64_t count : counts) {
    sum += count;
    most = std::max(most, count);
    classes += count > 0;
  }
  return classes > 1 && double(most) / double(sum) < largest_class;
}

}  // namespace

void check_segmentation_options(const SegmentationOptions& o) {
  CHECK(o.short_side >= 1 && o.long_side >= o.short_side && o.long_side <= 16384,
        "segmentation: sides of ", o.long_side, " and ", o.short_side,
        " pixels; the longer must be at least the shorter, and both in [1, 16384]");
  CHECK(o.crop >= 1 && o.crop <= 16384, "segmentation: a crop of ", o.crop,
        " pixels a side; it must be in [1, 16384]");
  CHECK(o.ratio_min > 0 && o.ratio_max >= o.ratio_min && o.ratio_max <= 16,
        "segmentation: ratios from ", o.ratio_min, " to ", o.ratio_max,
        "; they must be above 0, in this order, and at most 16");
  CHECK(double(o.short_side) * o.ratio_min >= 1, "segmentation: a shorter side of ", o.short_side,
        " times the ratio ", o.ratio_min, " is less than a pixel");
  CHECK(o.largest_class > 0, "segmentation: a largest class of ", o.largest_class,
        "; it must be above 0 (1 accepts every crop of two classes)");
  CHECK(o.flip >= 0 && o.flip <= 1, "segmentation: a mirror with probability ", o.flip,
        "; it must be in [0, 1]");
  const PhotometricOptions& p = o.photometric;
  CHECK(p.brightness >= 0 && p.hue >= 0 && p.hue < 180 && p.contrast_min >= 0 &&
            p.contrast_max >= p.contrast_min && p.saturation_min >= 0 &&
            p.saturation_max >= p.saturation_min,
        "segmentation: photometric distortion with brightness ", p.brightness, ", contrast from ",
        p.contrast_min, " to ", p.contrast_max, ", saturation from ", p.saturation_min, " to ",
        p.saturation_max, " and hue ", p.hue,
        "; none may be negative, and ranges must be in order");
}

std::array<int64_t, 2> draw_size(int64_t width, int64_t height, const SegmentationOptions& options,
                                 Draws& draws) {
  const double ratio = draws.uniform(options.ratio_min, options.ratio_max);
  return scaled_size(width, height, int64_t(double(options.long_side) * ratio),
                     int64_t(double(options.short_side) * ratio));
}

Crop draw_crop(const LabelImage& labels, const SegmentationOptions& options, Draws& draws) {
  Crop crop = random_square(labels, options.crop, draws);
  for (int tries = 0; tries < 10 && !is_varied(labels, crop, options.largest_class); ++tries)
    crop = random_square(labels, options.crop, draws);
  return crop;
}

LabelImage crop_labels(const LabelImage& labels, const Crop& crop) {
  LabelImage out{crop.width, crop.height, {}};
  out.labels.reserve(size_t(crop.width * crop.height));
  for (int64_t y = crop.y; y < crop.y + crop.height; ++y) {
    const auto row = labels.labels.begin() + y * labels.width + crop.x;
    out.labels.insert(out.labels.end(), row, row + crop.width);
  }
  return out;
}

// The crop's place depends on the labels alone: so these are resized first, and of the image only
// the part that is kept.
Pipeline segmentation_training(const SegmentationOptions& options) {
  check_segmentation_options(options);
  return [options](Example&& example, Draws& draws) {
    check_example(example);
    Sample sample;
    sample.original_width = example.image.width;
    sample.original_height = example.image.height;
    const auto [width, height] =
        draw_size(sample.original_width, sample.original_height, options, draws);
    const LabelImage labels = resized_labels(example.labels, width, height);
    const Crop crop = draw_crop(labels, options, draws);
    sample.labels = crop_labels(labels, crop);
    sample.image = resize_fixed(example.image, width, height, crop);
    if (draws.coin(options.flip)) {
      mirror({sample.image.rgb.data(), crop.width, crop.height});
      mirror_labels(sample.labels);
    }
    if (options.distort) distort(sample.image, draw_photometric(options.photometric, draws));
    return sample;
  };
}

Pipeline segmentation_evaluation(const SegmentationOptions& options) {
  check_segmentation_options(options);
  return [options](Example&& example, Draws&) {
    if (!example.labels.labels.empty()) check_example(example);
    Sample sample;
    sample.original_width = example.image.width;
    sample.original_height = example.image.height;
    const auto [width, height] = scaled_size(sample.original_width, sample.original_height,
                                             options.long_side, options.short_side);
    sample.image = resize_fixed(example.image, width, height);
    sample.labels = std::move(example.labels);
    return sample;
  };
}

}  // namespace rmt::data

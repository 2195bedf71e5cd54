// From a decoded image to the floats that a network reads.
#pragma once
#include <array>
#include <optional>

#include "core/random.h"
#include "data/images/augment.h"
#include "data/images/erase.h"
#include "data/images/resize.h"

namespace rmt::data {

struct TransformOptions {
  int64_t image_size = 224;                       // the result is (image_size, image_size, 3)
  double scale_min = 0.08, scale_max = 1;         // training: the crop's share of the image's area
  double ratio_min = 3. / 4, ratio_max = 4. / 3;  // training: the crop's width / height
  int64_t crop_padding = -1;  // training: not below 0: a plain crop instead, see padded_crop
  double flip = 0.5;          // training: probability of a horizontal mirror
  std::optional<RandAugment> augment;  // training: after the mirror
  double color_jitter =
      0;  // training: after that (data/images/color_jitter.h); the recipe has one of the two
  RandomErasing erasing;    // training: after normalisation
  double crop_pct = 0.875;  // evaluation: image_size / shorter side after the resize
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f};  // ImageNet's, of values in [0, 1]
  std::array<float, 3> deviation = {0.229f, 0.224f, 0.225f};
};

void check(
    const TransformOptions& options);  // throws an Error that names the option which makes no sense

// RandomResizedCrop's rectangle (Szegedy et al., "Going deeper with convolutions", 2014;
// torchvision's rounding and its fallback after 10 tries).
Crop random_crop(int64_t width, int64_t height, const TransformOptions& options, Random& random);
// torchvision's RandomCrop(image_size, padding = crop_padding), DeiT's crop for small images such
// as CIFAR's: the square's place in an image whose sides are at least image_size. It may lie
// crop_padding pixels outside, where all is black.
Crop padded_crop(int64_t width, int64_t height, const TransformOptions& options, Random& random);

// All that is left to chance in one training image.
struct TrainDraws {
  Crop crop;
  bool mirror = false;
  std::vector<AugmentStep> steps;
  std::optional<Erasing> erasing;
};
TrainDraws draw_train(int64_t width, int64_t height, const TransformOptions& options,
                      Random& random);

// out (image_size, image_size, 3) = (pixel / 255 - mean) / deviation. Training: random crop,
// bicubic resize, random mirror, RandAugment (which fills with the mean), colour jitter, and after
// normalisation RandomErasing: timm's order. With crop_padding an image whose shorter side is not
// image_size is resized to that first, as torchvision's Resize does, and then cropped.
void train_transform(const Image& image, const TransformOptions& options, Random random,
                     float* out);
// Its first half: the resized bytes (image_size, image_size, 3). Returns whether they are to be
// mirrored still: what is augmented has been mirrored before. On a GPU ops::normalize does that and
// the rest.
bool train_pixels(const Image& image, const TransformOptions& options, Random random,
                  uint8_t* pixels);
bool train_pixels(const Image& image, const TransformOptions& options, const TrainDraws& draws,
                  uint8_t* pixels);
// Evaluation: shorter side to floor(image_size / crop_pct), centre crop, as timm and torchvision
// do. The official code takes crop_pct 0.875 up to 224 pixels and 1 above.
void eval_transform(const Image& image, const TransformOptions& options, float* out);
void eval_pixels(const Image& image, const TransformOptions& options, uint8_t* pixels);

}  // namespace rmt::data

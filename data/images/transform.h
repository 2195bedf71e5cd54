// From a decoded image to the bytes that ops::normalize turns into what a network reads.
#pragma once
#include <array>
#include <optional>

#include "core/random.h"
#include "data/images/augment.h"
#include "data/images/erase.h"
#include "data/images/resize.h"

namespace rmt::data {

struct TransformOptions {
  int64_t image_size = 224;  // pixels a side of the result

  // Training, in this order.
  double scale_min = 0.08, scale_max = 1;         // the crop's share of the image's area
  double ratio_min = 3. / 4, ratio_max = 4. / 3;  // the crop's width / height
  int64_t crop_padding = -1;           // not below 0: a plain crop instead, see padded_crop
  double flip = 0.5;                   // probability of a horizontal mirror
  std::optional<RandAugment> augment;  // the recipe has this or color_jitter
  double color_jitter = 0;             // data/images/color_jitter.h
  // Token labels: the whole photograph is mirrored and augmented, then cropped, so that its label
  // map can follow (data/labels/README.md). Else the crop comes first, which is less work.
  bool augment_first = false;
  bool random_resampling = false;  // the crop is resized bilinearly or bicubically, by chance
  RandomErasing erasing;           // after normalisation

  // Evaluation.
  double crop_pct = 0.875;  // image_size / shorter side after the resize
  bool whole = false;       // no crop: the whole image, squashed into the square

  // Both: ImageNet's mean and standard deviation of values in [0, 1].
  std::array<float, 3> mean = {0.485f, 0.456f, 0.406f};
  std::array<float, 3> deviation = {0.229f, 0.224f, 0.225f};
};

// Error that names the option which makes no sense.
void check_transform_options(const TransformOptions& options);

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
  Resampling resampling = Resampling::bicubic;  // of the crop
  std::vector<AugmentStep> steps;
  std::optional<Erasing> erasing;
};
TrainDraws draw_train(int64_t width, int64_t height, const TransformOptions& options,
                      Random& random);

// A training image's bytes (image_size, image_size, 3): random crop, bicubic resize, and where
// colours or places are changed too a random mirror, RandAugment (which fills with the mean) and
// colour jitter, timm's order. With crop_padding an image whose shorter side is not image_size is
// resized to that first, as torchvision's Resize does, and then cropped. Returns whether the bytes
// are to be mirrored still: what is augmented has been mirrored before. ops::normalize does that,
// and then RandomErasing. With augment_first the crop's place is one in the mirrored photograph.
bool train_pixels(const Image& image, const TransformOptions& options, const TrainDraws& draws,
                  uint8_t* pixels);
bool train_pixels(const Image& image, const TransformOptions& options, Random random,
                  uint8_t* pixels);
// Where a crop of an image of width x height pixels lies, as shares of the image's sides: {left,
// top, right, bottom}, in [0, 1] but for padded crops.
std::array<double, 4> shares(const Crop& crop, int64_t width, int64_t height,
                             const TransformOptions& options);
// Evaluation: shorter side to floor(image_size / crop_pct), centre crop, as timm and torchvision
// do. The official code takes crop_pct 0.875 up to 224 pixels and 1 above. With `whole` both sides
// to image_size.
void eval_pixels(const Image& image, const TransformOptions& options, uint8_t* pixels);

}  // namespace rmt::data

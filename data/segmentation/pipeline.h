// From a photograph and its labels to a sample of a batch, as the published models of segmentation
// were trained and evaluated; equal to the byte to MMSegmentation's pipeline.
#pragma once
#include "data/annotated.h"
#include "data/images/resize.h"
#include "data/segmentation/photometric.h"

namespace rmt::data {

struct SegmentationOptions {
  // The photograph keeps its shape, and its longer and shorter side become at most these.
  int64_t long_side = 2048, short_side = 512;

  // Training alone.
  double ratio_min = 0.5, ratio_max = 2;  // the factor that both sides are multiplied by
  int64_t crop = 512;                     // pixels a side; smaller where the photograph is
  double largest_class = 0.75;            // below that share of the crop, with up to 10 new tries
  double flip = 0.5;                      // probability of a horizontal mirror
  bool distort = true;
  PhotometricOptions photometric;
};

// Error that names the option which makes no sense.
void check_segmentation_options(const SegmentationOptions& options);

// resize by a random ratio | random crop | random mirror | photometric distortion. The image is
// resized bilinearly, labels by the nearest. A sample is at most crop x crop pixels; smaller
// ones are padded where they become a batch.
Pipeline segmentation_training(const SegmentationOptions& options);

// The image resized; the labels stay as they are, in the example's size, for predictions are
// brought to that size and compared there. An example without labels (0 x 0) is fine.
Pipeline segmentation_evaluation(const SegmentationOptions& options);

// --- the steps of the first whose chances a test may want to ask for ---

// {width, height} of the resized image.
std::array<int64_t, 2> draw_size(int64_t width, int64_t height, const SegmentationOptions& options,
                                 Draws& draws);
// A crop of labels at random. It is drawn anew, ten times at most, until it has two classes and
// its largest class covers less than `largest_class` of its labelled pixels; the last is taken as
// it is.
Crop draw_crop(const LabelImage& labels, const SegmentationOptions& options, Draws& draws);
LabelImage crop_labels(const LabelImage& labels, const Crop& crop);

}  // namespace rmt::data

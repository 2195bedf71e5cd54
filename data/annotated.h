// Images with more than one label each: the class of every pixel (data/segmentation), or the
// objects in them (data/detection). And what becomes of one on its way into a batch.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/images/draws.h"
#include "data/images/image.h"
#include "data/objects.h"

namespace rmt::data {

// The class of every pixel, or kIgnored where none is known: such a pixel is not learned from.
constexpr uint8_t kIgnored = 255;
struct LabelImage {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> labels;  // (H, W), row-major
};

// An image and what is known of it: `labels` in segmentation, `objects` in detection.
struct Example {
  Image image;
  LabelImage labels;
  Objects objects;
};

class AnnotatedSet {
 public:
  virtual ~AnnotatedSet() = default;
  virtual int64_t size() const = 0;
  // Decoded; from any number of threads at once. Errors begin with name(i) or with the name of the
  // file of its annotation.
  virtual Example example(int64_t i) const = 0;
  virtual const std::vector<std::string>& classes() const = 0;  // names, by label
  virtual std::string name(int64_t i) const = 0;                // of the image: for people, a path
  virtual const std::string& place() const = 0;                 // the folder or file, for people
  // By what example i is known again: the image's name below place() and its size on the disk, and
  // what is known of the annotation at no cost.
  virtual uint64_t checksum(int64_t i) const = 0;
  // Width and height of image i where these are known without decoding it, else {0, 0}.
  virtual std::array<int64_t, 2> image_size(int64_t) const { return {0, 0}; }
};

// An example as a network sees it, but for normalisation, and how it came about.
struct Sample {
  Image image;                                      // resized, cropped, mirrored
  LabelImage labels;                                // of its size, in segmentation
  Objects objects;                                  // in its pixels, in detection
  int64_t original_width = 0, original_height = 0;  // of the example
};

// From an example to a sample, by chance in training. Batches pad samples at the right and at the
// bottom to a common size: images with what is 0 after normalisation, labels with kIgnored.
using Pipeline = std::function<Sample(Example&& example, Draws& draws)>;

}  // namespace rmt::data

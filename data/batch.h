// A batch, in its one form: the resized bytes of its images, and what is still to be done to them.
// The loader's threads choose and resize; the device that trains does the arithmetic, in this
// order:
//
//   ops::normalize     y = (x / 255 - mean) / deviation, mirrored where `mirror` says so, and noise
//                      inside the rectangle of `erase`
//   ops::mix_images    Mixup or CutMix, as `mix` says
//   ops::token_targets with token labels: the targets of the crop, from the photograph's label map
//
// Bytes are a quarter of the floats that they become: that much less to keep, and to send to a GPU.
#pragma once
#include "core/tensor.h"
#include "data/images/transform.h"
#include "data/objects.h"

namespace rmt::data {

// What is kept beside an image of segmentation or detection.
struct Place {
  int64_t width = 0, height = 0;                    // of the image inside its padded place
  int64_t original_width = 0, original_height = 0;  // of the photograph
};

struct Batch {
  Tensor images;                 // (B, H, W, 3) u8, neither normalised nor mirrored yet
  Tensor mirror;                 // (B) u8: 1 where the image is to be mirrored
  Tensor labels;                 // (B) i64, of a classifier
  std::vector<int64_t> indices;  // (B) which images of the dataset these are
  // (B, 5) i64, with RandomErasing: {x, y, width, height, key} of each image's rectangle; width 0:
  // none.
  Tensor erase;
  // (6) f64, with Mixup or CutMix: what ops::mix_images and ops::smooth_one_hot read.
  Tensor mix;
  // With token labels (data/labels/README.md): the maps of the photographs, mirrored and moved as
  // these were, with T logits and their classes in each of h x w cells, and where the crops lie.
  Tensor label_values;   // (B, h, w, T) f32
  Tensor label_classes;  // (B, h, w, T) i32
  Tensor label_boxes;    // (B, 4) f64: {left, top, right, bottom}, shares of the map's sides
  // Segmentation and detection: images of several sizes, padded at the right and at the bottom.
  Tensor inside;              // (B, H, W, 1) f32: 1 in the image, 0 in the padding; or undefined
  std::vector<Place> places;  // (B)
  // Segmentation: the class of every pixel, kIgnored where there is none (data/annotated.h). In
  // evaluation, where B is 1, of the photograph's pixels.
  Tensor pixel_labels;           // (B, H, W) u8
  std::vector<Objects> objects;  // (B), detection: their masks are of the image's size
};

// All of its tensors, for who moves or compares them.
inline constexpr Tensor Batch::*kBatchTensors[] = {
    &Batch::images, &Batch::mirror,       &Batch::labels,        &Batch::erase,
    &Batch::mix,    &Batch::label_values, &Batch::label_classes, &Batch::label_boxes,
    &Batch::inside, &Batch::pixel_labels};

// Up to `most` images of a batch as the network sees them, in colours: mirrored, and with the noise
// of RandomErasing. Mixing is left out.
std::vector<Image> batch_pictures(const Batch& batch, const TransformOptions& transform,
                                  int64_t most);

}  // namespace rmt::data

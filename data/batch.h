// A batch, in its one form: the resized bytes of its images, and what is still to be done to them.
// The loader's threads choose and resize; the device that trains does the arithmetic, in this
// order:
//
//   ops::normalize     y = (x / 255 - mean) / deviation, mirrored where `mirror` says so, and noise
//                      inside the rectangle of `erase`
//   ops::mix_images    Mixup or CutMix, as `mix` says
//
// Bytes are a quarter of the floats that they become: that much less to keep, and to send to a GPU.
#pragma once
#include "core/tensor.h"
#include "data/images/transform.h"

namespace rmt::data {

struct Batch {
  Tensor images;                 // (B, S, S, 3) u8, neither normalised nor mirrored yet
  Tensor mirror;                 // (B) u8: 1 where the image is to be mirrored
  Tensor labels;                 // (B) i64
  std::vector<int64_t> indices;  // (B) which images of the dataset these are
  // (B, 5) i64, with RandomErasing: {x, y, width, height, key} of each image's rectangle; width 0:
  // none.
  Tensor erase;
  // (6) f64, with Mixup or CutMix: what ops::mix_images and ops::smooth_one_hot read.
  Tensor mix;
};

// All of its tensors, for who moves or compares them.
inline constexpr Tensor Batch::*kBatchTensors[] = {&Batch::images, &Batch::mirror, &Batch::labels,
                                                   &Batch::erase, &Batch::mix};

// Up to `most` images of a batch as the network sees them, in colours: mirrored, and with the noise
// of RandomErasing. Mixing is left out.
std::vector<Image> batch_pictures(const Batch& batch, const TransformOptions& transform,
                                  int64_t most);

}  // namespace rmt::data

// The targets of token labelling (Jiang et al., "All Tokens Matter", 2021): a soft label for every
// token of a crop, cut from the map of classes that a teacher left of the whole photograph.
#pragma once
#include "autograd/tape.h"

namespace rmt::ops {

// With d_k the teacher's map of class k, which has the logits in `values` where `classes` is k and
// 0 elsewhere, and box_b the crop of image b:
//
//   z_brsk = RoIAlign(d_bk, box_b)_rs                     (kernels/roi_align.h)
//   p_brs = softmax(z_brs), over all K
//   target_brsk = p_brsk (1 - e + e / K) + e / K,         e = smoothing
//
// These are the published targets: a row sums to 1 + e / K, not to 1.
//
// values (B, h, w, T) f32 and classes (B, h, w, T) i32 in [0, K): the T logits that were kept of
// each cell of the map, and their classes. These are different; a class that stands twice in a cell
// has the sum of its logits. boxes (B, 4) f64: {left, top, right, bottom} as shares of the map, x
// by w and y by h, each in [-1, 2], left <= right and top <= bottom. -> (B, rows, columns, K) of
// dtype, f32 or f64; computed in f64 and rounded once. rows = columns = 1 gives the target of the
// whole crop.
//
// With `mix` (6) f64, see mix_images.h, the targets of mixed images: lambda target_b + (1 - lambda)
// target_(B - 1 - b), with the lambda of the targets.
//
// The targets have no gradient: an Error for values that need one. On the CPU an invalid class or
// box is an Error. On a GPU, which nobody waits for, an invalid class makes every row of the target
// nan that reads it, and an invalid box all rows of its image.
Tensor token_targets(const Tensor& values, const Tensor& classes, const Tensor& boxes, int64_t K,
                     int64_t rows, int64_t columns, double smoothing, DType dtype = DType::f32,
                     const Tensor& mix = {});

}  // namespace rmt::ops

// The loss of boxes by their overlap: generalized IoU (Rezatofighi et al., 2019), of boxes that are
// given by what a box head says, as changes of other boxes.
#pragma once
#include <array>

#include "autograd/tape.h"

namespace rmt::ops {

// 1 / normaliser sum_i (1 - GIoU(decode(deltas_i, boxes_i), targets_i)), of shape (). deltas
// (N, 4), f32, f64 or bf16: {dx, dy, dw, dh}; boxes and targets (N, 4), {x1, y1, x2, y2} in pixels,
// of the dtype of deltas, f32 for bf16; stds: what the deltas are multiplied by. normaliser > 0.
// The result has targets' dtype; it is 0 for N = 0.
//
//   decode   centre + size d_xy, size exp(clamp(d_wh)), d = deltas stds, where the clamp is to
//            +-log(1000 / 16) and holds the gradient back; not clipped to an image
//   GIoU     I / U - (E - U) / E, with I the common area of both boxes, U the area of their union
//            and E that of the smallest box around both; U and E at least 1e-6
//
// boxes and targets have no gradient: an Error when they need one.
Tensor giou_loss(const Tensor& deltas, const Tensor& boxes, const Tensor& targets,
                 const std::array<double, 4>& stds, double normaliser);

}  // namespace rmt::ops

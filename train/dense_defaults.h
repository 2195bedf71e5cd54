// What the published models of segmentation and detection were trained with, and what fits the
// small scenes that the project draws.
#pragma once
#include "train/options.h"

namespace rmt::train {

// The options over which flags are laid: the published recipe of this head on this backbone
// (optimizer, schedule, sizes), on one device. Error for an unknown head.
//
//   head               rate           decay        falls          epochs  warm-up
//   semantic_fpn       1e-4           1e-4 of all  poly 0.9       64      none
//   upernet            6e-5           0.01         poly 1         127     1500 steps from 1e-6
//   retinanet          4e-4 (L 2e-4)  1e-4 of all  at 8, 11       12      500 steps from 0.001
//   mask_rcnn, faster_ 4e-4 (L 2e-4)  0.05         at 8, 11       12      500 steps from 0.001
//   cascade_mask_rcnn  4e-4           0.05         at 27, 33      36      500 steps from 0.001
//
// Segmentation's are published in steps of 16 images of ADE20K, 80,000 and 160,000: so many epochs.
TrainOptions dense_defaults(const std::string& head, const std::string& model);

}  // namespace rmt::train

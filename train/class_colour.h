// Colours for classes, in the pictures of segmentation and detection.
#pragma once
#include "data/images/image.h"

namespace rmt::train {

// The colour of class k in [0, 255): far from those of all classes before it, and from black and
// white. The same in every picture.
data::Colour class_colour(int64_t k);

}  // namespace rmt::train

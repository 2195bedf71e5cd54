// Pictures of maps of classes: in colours over the photograph, with a legend of what occurs.
#pragma once
#include <string>
#include <vector>

#include "data/annotated.h"
#include "train/class_colour.h"

namespace rmt::train {

// The photograph with the colour of each pixel's class over it, of that opacity in [0, 1], and the
// borders of classes in the colour itself. What is kIgnored stays as it is. Error where the sizes
// differ.
data::Image overlay(const data::Image& photograph, const data::LabelImage& labels,
                    double opacity = 0.6);

// The overlay, and below it the classes that occur, the largest first, with their parts of the
// picture. A class called "background" is left as it is.
data::Image prediction_picture(const data::Image& photograph, const data::LabelImage& prediction,
                               const std::vector<std::string>& classes);

}  // namespace rmt::train

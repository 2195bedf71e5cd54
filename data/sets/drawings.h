// The image folder that the project draws itself, so that a first training needs no download: ten
// shapes of many sizes at many places, tilted by up to 15 degrees, in random colours and textures
// on random backgrounds among clutter. Colour, brightness and position say nothing about the class;
// only the outline does.
#pragma once
#include <string>
#include <vector>

#include "core/random.h"
#include "data/images/image.h"

namespace rmt::data {

struct DrawingOptions {
  int64_t train_images = 5000, val_images = 1000;  // as many of each class, up to one
  int64_t size = 64;                               // pixels a side
  uint64_t seed = 1;
  int quality = 90;  // of the JPEG files
};

const std::vector<std::string>&
drawing_classes();  // "arrow" ... "triangle", in order of their labels

// One picture of a class: a function of (size, label, random).
Image draw_shape(int64_t size, int64_t label, Random random);

// Fills root/train/<class>/NNNN.jpg and root/val/<class>/NNNN.jpg. Returns at once, false, when a
// former call with the same options did so; replaces what a call with other options left; refuses a
// folder that it did not make. The folder appears complete or not at all.
bool draw_dataset(const std::string& root, const DrawingOptions& options = {});

}  // namespace rmt::data

// Pictures with several of the drawn shapes (drawings.h), each with its mask, its box and its
// class: a data set for segmentation and detection that needs no download. Shapes overlap, and what
// is painted later covers what is there; a mask is what is visible.
#pragma once
#include <string>
#include <vector>

#include "core/random.h"
#include "data/annotated.h"

namespace rmt::data {

struct SceneOptions {
  int64_t train_images = 800, val_images = 200;
  int64_t size = 128;  // pixels a side
  uint64_t seed = 1;
  int quality = 90;     // of the JPEG files
  int64_t shapes = 10;  // the first so many of drawing_classes() occur: fewer are learned sooner
};

// Classes of pixels: "background", then the first of drawing_classes(). Classes of objects are the
// latter alone.
std::vector<std::string> scene_classes(int64_t shapes = 10);

// One picture with 2 to 6 shapes, of an eighth to nearly half of its side (16 to 60 pixels of 128),
// in the order in which they were painted: a function of the arguments. `labels` are places in
// scene_classes(), `objects.labels` in drawing_classes(). A pixel belongs to the last shape that
// covers half of it. Of every shape at least half of the pixels are visible. Error unless size is
// in [64, 1024].
Example draw_scene(int64_t size, Random random, int64_t shapes = 10);

// Fills a folder that is read as a set of label images and as one of COCO's:
//   root/images/{training,validation}/NNNN.jpg
//   root/annotations/{training,validation}/NNNN.png      k + 1 for a pixel of class k
//   root/annotations/instances_{train,val}.json          objects with run lengths
//   root/classes.txt                                     scene_classes()
// Made once, whole or not at all: fill_drawn_folder's result and errors.
bool draw_scenes(const std::string& root, const SceneOptions& options = {});

}  // namespace rmt::data

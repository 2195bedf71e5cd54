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
  int quality = 90;  // of the JPEG files
};

// Classes of pixels: "background", then drawing_classes(). Classes of objects are the latter alone.
const std::vector<std::string>& scene_classes();

// One picture with 2 to 6 shapes, of an eighth to nearly half of its side (16 to 60 pixels of 128),
// in the order in which they were painted: a function of (size, random). `labels` are places in
// scene_classes(), `objects.labels` in drawing_classes(). A pixel belongs to the last shape that
// covers half of it. Of every shape at least half of the pixels are visible. Error unless size is
// in [64, 1024].
Example draw_scene(int64_t size, Random random);

// Fills a folder that is read as a set of label images and as one of COCO's:
//   root/images/{training,validation}/NNNN.jpg
//   root/annotations/{training,validation}/NNNN.png      k + 1 for a pixel of class k
//   root/annotations/instances_{train,val}.json          objects with run lengths
//   root/classes.txt                                     scene_classes()
// Made once, whole or not at all: fill_drawn_folder's result and errors.
bool draw_scenes(const std::string& root, const SceneOptions& options = {});

}  // namespace rmt::data

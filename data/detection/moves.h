// An image with its objects, moved: resized, mirrored, cropped. Boxes are moved at each step, in
// f32, as COCO's published pipelines do. Masks are moved once, at the end: a mask is resized to the
// nearest pixel, so pixel (x, y) of any later step shows a pixel (columns[x], rows[y]) of the
// photograph, and it is enough to keep the two lists.
#pragma once
#include "data/annotated.h"

namespace rmt::data {

class MovedExample {
 public:
  explicit MovedExample(Example&& example);

  const Image& image() const { return image_; }
  // To scaled_size(width, height, long_side, short_side) (data/images/resize_fixed.h). A box takes
  // the factors new / old of both axes, rounded to f32, and is clipped to the image; objects whose
  // box is then empty are left out, crowds too.
  void resize(int64_t long_side, int64_t short_side);
  // x' = width - x2, width - x1.
  void mirror();
  // To the rectangle at (x, y), which must lie in the image. Boxes are clipped to it, and objects
  // whose box is then empty are left out, crowds too.
  void crop(int64_t x, int64_t y, int64_t width, int64_t height);
  // As it stands now. Copies the image.
  Sample sample() const;
  Sample take();  // the same, and nothing is left here

 private:
  std::vector<Bitmap> masks() const;
  void drop_empty();

  Image image_;
  Objects objects_;                      // boxes as they stand now, masks of the photograph
  std::vector<int64_t> columns_, rows_;  // the photograph's, by columns and rows of the image
  int64_t original_width_, original_height_;
};

}  // namespace rmt::data

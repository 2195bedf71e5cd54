#include "data/detection/moves.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/error.h"
#include "data/images/pixel_ops.h"
#include "data/images/resize_fixed.h"

namespace rmt::data {
namespace {

// The elements of `from` that an axis of n pixels shows: of pixel d, that at floor(d from / n), as
// resize_nearest_bytes() has it.
std::vector<int64_t> nearest(const std::vector<int64_t>& from, int64_t n) {
  const double scale = 1 / (double(n) / double(from.size()));
  std::vector<int64_t> to;
  for (int64_t d = 0; d < n; ++d)
    to.push_back(from[std::min(size_t(std::floor(double(d) * scale)), from.size() - 1)]);
  return to;
}

// Calls f with every box, of objects and of crowds.
template <class F>
void for_boxes(Objects& objects, F f) {
  for (Corners& box : objects.boxes) f(box);
  for (Corners& box : objects.crowds) f(box);
}

void clip(Corners& box, int64_t width, int64_t height) {
  for (size_t i = 0; i < 4; ++i)
    box[i] = std::clamp(box[i], 0.f, float(i % 2 == 0 ? width : height));
}

bool is_empty(const Corners& box) { return !(box[2] > box[0] && box[3] > box[1]); }

// Columns [x0, x1) and rows [y0, y1) that hold all pixels of a mask.
struct Extent {
  int64_t x0, y0, x1, y1;
};
Extent extent_of(const Bitmap& mask) {
  const uint8_t* on = mask.on.data();
  const auto first = static_cast<const uint8_t*>(std::memchr(on, 1, mask.on.size()));
  if (!first) return {0, 0, 0, 0};
  const auto last = static_cast<const uint8_t*>(::memrchr(on, 1, mask.on.size()));
  Extent e{mask.width, (first - on) / mask.width, 0, (last - on) / mask.width + 1};
  for (int64_t y = e.y0; y < e.y1; ++y) {
    const uint8_t* row = on + y * mask.width;
    if (const void* left = std::memchr(row, 1, size_t(e.x0)))
      e.x0 = static_cast<const uint8_t*>(left) - row;
    if (const void* right = ::memrchr(row + e.x1, 1, size_t(mask.width - e.x1)))
      e.x1 = static_cast<const uint8_t*>(right) - row + 1;
  }
  return e;
}

// The image of the mask under columns and rows. Only where the object is anything is written.
Bitmap moved(const Bitmap& mask, const std::vector<int64_t>& columns,
             const std::vector<int64_t>& rows) {
  const auto width = int64_t(columns.size()), height = int64_t(rows.size());
  Bitmap out{width, height, std::vector<uint8_t>(size_t(width * height))};
  const Extent e = extent_of(mask);
  const auto inside = [&](int64_t column) { return column >= e.x0 && column < e.x1; };
  const auto begin = std::find_if(columns.begin(), columns.end(), inside);
  const auto end = std::find_if_not(begin, columns.end(), inside);
  const int64_t first = begin - columns.begin(), n = end - begin;
  int64_t held = -1;  // the source of the row above
  for (int64_t y = 0; y < height; ++y) {
    const int64_t from = rows[size_t(y)];
    if (from < e.y0 || from >= e.y1) continue;
    uint8_t* to = out.on.data() + y * width + first;
    const uint8_t* row = mask.on.data() + from * mask.width;
    if (from == held)
      std::memcpy(to, to - width, size_t(n));
    else
      for (int64_t x = 0; x < n; ++x) to[x] = row[begin[x]];
    held = from;
  }
  return out;
}

}  // namespace

MovedExample::MovedExample(Example&& example)
    : image_(std::move(example.image)),
      objects_(std::move(example.objects)),
      columns_(size_t(image_.width)),
      rows_(size_t(image_.height)),
      original_width_(image_.width),
      original_height_(image_.height) {
  std::iota(columns_.begin(), columns_.end(), 0);
  std::iota(rows_.begin(), rows_.end(), 0);
  CHECK(objects_.labels.size() == objects_.boxes.size(), "detection: ", objects_.labels.size(),
        " labels for ", objects_.boxes.size(), " boxes");
  CHECK(objects_.masks.empty() || objects_.masks.size() == objects_.boxes.size(),
        "detection: ", objects_.masks.size(), " masks for ", objects_.boxes.size(), " boxes");
  for (const Bitmap& mask : objects_.masks)
    CHECK(mask.width == image_.width && mask.height == image_.height &&
              int64_t(mask.on.size()) == mask.width * mask.height,
          "detection: a mask of ", mask.width, " x ", mask.height, " for an image of ",
          image_.width, " x ", image_.height);
}

void MovedExample::resize(int64_t long_side, int64_t short_side) {
  const auto [width, height] = scaled_size(image_.width, image_.height, long_side, short_side);
  const auto x = float(double(width) / double(image_.width)),
             y = float(double(height) / double(image_.height));
  if (width != image_.width || height != image_.height)
    image_ = resize_fixed(image_, width, height);
  columns_ = nearest(columns_, width), rows_ = nearest(rows_, height);
  for_boxes(objects_, [&](Corners& box) {
    box = {box[0] * x, box[1] * y, box[2] * x, box[3] * y};
    clip(box, image_.width, image_.height);
  });
  drop_empty();
}

void MovedExample::mirror() {
  data::mirror({image_.rgb.data(), image_.width, image_.height});
  std::reverse(columns_.begin(), columns_.end());
  const auto width = float(image_.width);
  for_boxes(objects_, [&](Corners& box) {
    box = {width - box[2], box[1], width - box[0], box[3]};
  });
}

void MovedExample::crop(int64_t x, int64_t y, int64_t width, int64_t height) {
  CHECK(x >= 0 && y >= 0 && width > 0 && height > 0 && width <= image_.width - x &&
            height <= image_.height - y,
        "detection: a crop of ", width, " x ", height, " at (", x, ", ", y, ") does not lie in ",
        image_.width, " x ", image_.height);
  Image part{width, height, std::vector<uint8_t>(size_t(width * height * 3))};
  for (int64_t row = 0; row < height; ++row)
    std::memcpy(part.rgb.data() + row * width * 3,
                image_.rgb.data() + ((y + row) * image_.width + x) * 3, size_t(width * 3));
  image_ = std::move(part);
  columns_ = {columns_.begin() + x, columns_.begin() + x + width};
  rows_ = {rows_.begin() + y, rows_.begin() + y + height};
  for_boxes(objects_, [&](Corners& box) {
    box = {box[0] - float(x), box[1] - float(y), box[2] - float(x), box[3] - float(y)};
    clip(box, width, height);
  });
  drop_empty();
}

// Leaves out the objects of which nothing is in the image. A box that reached into the photograph
// by less than f32 can tell is empty after a resize; no delta leads to it.
void MovedExample::drop_empty() {
  std::erase_if(objects_.crowds, is_empty);
  size_t kept = 0;
  for (size_t i = 0; i < objects_.boxes.size(); ++i) {
    if (is_empty(objects_.boxes[i])) continue;
    objects_.boxes[kept] = objects_.boxes[i], objects_.labels[kept] = objects_.labels[i];
    if (!objects_.masks.empty() && kept < i) objects_.masks[kept] = std::move(objects_.masks[i]);
    ++kept;
  }
  objects_.boxes.resize(kept), objects_.labels.resize(kept);
  if (!objects_.masks.empty()) objects_.masks.resize(kept);
}

std::vector<Bitmap> MovedExample::masks() const {
  std::vector<Bitmap> out;
  for (const Bitmap& mask : objects_.masks) out.push_back(moved(mask, columns_, rows_));
  return out;
}

Sample MovedExample::sample() const {
  return {image_,
          {},
          {objects_.boxes, objects_.labels, masks(), objects_.crowds},
          original_width_,
          original_height_};
}

Sample MovedExample::take() {
  std::vector<Bitmap> moved_masks = masks();
  return {std::move(image_),
          {},
          {std::move(objects_.boxes), std::move(objects_.labels), std::move(moved_masks),
           std::move(objects_.crowds)},
          original_width_,
          original_height_};
}

}  // namespace rmt::data

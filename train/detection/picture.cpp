#include "train/detection/picture.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>

#include "core/error.h"
#include "data/images/font.h"
#include "train/class_colour.h"

namespace rmt::train {
namespace {

using data::Colour;
using data::Image;

constexpr int64_t kLeastSide = 480, kLine = 2;
constexpr double kTint = .45;

struct Area {
  int64_t x1, y1, x2, y2;  // the last ones are outside

  bool meets(const Area& o) const { return x1 < o.x2 && o.x1 < x2 && y1 < o.y2 && o.y1 < y2; }
};

void mix(Image& image, int64_t x, int64_t y, Colour colour, double share) {
  uint8_t* pixel = &image.rgb[size_t(y * image.width + x) * 3];
  for (size_t c = 0; c < 3; ++c)
    pixel[c] = uint8_t(std::lround(pixel[c] + share * (double(colour[c]) - pixel[c])));
}

void fill(Image& image, Area a, Colour colour) {
  for (int64_t y = std::max<int64_t>(a.y1, 0); y < std::min(a.y2, image.height); ++y)
    for (int64_t x = std::max<int64_t>(a.x1, 0); x < std::min(a.x2, image.width); ++x)
      mix(image, x, y, colour, 1);
}

// Lines inside the area's border.
void frame(Image& image, Area a, Colour colour) {
  fill(image, {a.x1, a.y1, a.x2, a.y1 + kLine}, colour);
  fill(image, {a.x1, a.y2 - kLine, a.x2, a.y2}, colour);
  fill(image, {a.x1, a.y1, a.x1 + kLine, a.y2}, colour);
  fill(image, {a.x2 - kLine, a.y1, a.x2, a.y2}, colour);
}

// Each pixel belongs to the best of the masks that cover it; `objects` from the best on.
void tint(Image& image, const std::vector<DrawnObject>& objects) {
  std::vector<char> owned(size_t(image.width * image.height));
  for (const DrawnObject& o : objects) {
    if (o.mask.counts.empty()) continue;
    const data::Bitmap bitmap = data::to_bitmap(o.mask);
    const auto on = [&](int64_t x, int64_t y) {
      return x < 0 || y < 0 || x >= image.width || y >= image.height ||
             bitmap.on[size_t(y * image.width + x)];
    };
    const auto box = data::box_of(o.mask);
    for (int64_t y = box[1]; y < box[1] + box[3]; ++y)
      for (int64_t x = box[0]; x < box[0] + box[2]; ++x) {
        char& taken = owned[size_t(y * image.width + x)];
        if (!on(x, y) || taken) continue;
        taken = 1;
        const bool edge = !on(x - 1, y) || !on(x + 1, y) || !on(x, y - 1) || !on(x, y + 1);
        mix(image, x, y, class_colour(o.label % 255), edge ? 1 : kTint);
      }
  }
}

Image enlarged(const Image& image, int64_t scale) {
  Image out{image.width * scale, image.height * scale, {}};
  out.rgb.resize(size_t(out.width * out.height * 3));
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x)
      std::copy_n(&image.rgb[size_t(y / scale * image.width + x / scale) * 3], 3,
                  &out.rgb[size_t(y * out.width + x) * 3]);
  return out;
}

// The box in the picture, at least as large as its lines; corners beyond it stay just outside.
Area area_of(const CocoBox& box, int64_t scale, const Image& picture) {
  const auto at = [&](double x, int64_t most) {
    return int64_t(
        std::lround(std::clamp(x * double(scale), -2. * kLine, double(most + 2 * kLine))));
  };
  Area a{at(box[0], picture.width), at(box[1], picture.height), at(box[0] + box[2], picture.width),
         at(box[1] + box[3], picture.height)};
  a.x2 = std::max(a.x2, a.x1 + 2 * kLine);
  a.y2 = std::max(a.y2, a.y1 + 2 * kLine);
  return a;
}

std::string label_text(const DrawnObject& object, const std::string& name) {
  if (object.score < 0) return name;
  char score[16];
  std::snprintf(score, sizeof score, " %.2f", std::min(object.score, 1.));
  return name + score;
}

// Where a label of that size goes: above the box, in it, or below it, at its left or right side,
// where neither the picture ends nor another label is.
std::optional<Area> free_place(const Area& box, int64_t width, int64_t height, const Image& picture,
                               const std::vector<Area>& labels) {
  const int64_t top = std::max<int64_t>(box.y1, 0), left = std::max<int64_t>(box.x1, 0);
  std::vector<int64_t> rows = {box.y1 - height, top};
  for (int64_t y = top + height; y + height <= std::min(box.y2, top + 6 * height); y += height)
    rows.push_back(y);
  rows.push_back(box.y2);
  for (const int64_t y : rows)
    for (int64_t x : {left, box.x2 - width}) {
      x = std::min(x, picture.width - width);
      const Area place{x, y, x + width, y + height};
      const auto meets = [&](const Area& other) { return place.meets(other); };
      if (x >= 0 && y >= 0 && place.y2 <= picture.height &&
          std::none_of(labels.begin(), labels.end(), meets))
        return place;
    }
  return {};
}

void check_objects(const Image& photograph, const std::vector<DrawnObject>& objects, size_t names) {
  CHECK(photograph.width > 0 && photograph.height > 0 &&
            int64_t(photograph.rgb.size()) == photograph.width * photograph.height * 3,
        "draw_detections: no photograph");
  for (const DrawnObject& o : objects) {
    CHECK(o.label >= 0 && size_t(o.label) < names, "draw_detections: label ", o.label,
          " has no name; there are ", names);
    for (const double x : o.box)
      CHECK(std::isfinite(x), "draw_detections: a box with ", x, " in it");
    CHECK(o.mask.counts.empty() ||
              (o.mask.width == photograph.width && o.mask.height == photograph.height),
          "draw_detections: a mask of ", o.mask.width, " x ", o.mask.height,
          " pixels on a photograph of ", photograph.width, " x ", photograph.height);
  }
}

}  // namespace

// Hues a golden section of the circle apart, in turn light and dark.
Image draw_detections(const Image& photograph, std::vector<DrawnObject> objects,
                      const std::vector<std::string>& names) {
  check_objects(photograph, objects, names.size());
  std::stable_sort(objects.begin(), objects.end(),
                   [](const DrawnObject& a, const DrawnObject& b) { return a.score > b.score; });
  Image picture = photograph;
  tint(picture, objects);
  const int64_t side = std::max(picture.width, picture.height);
  const int64_t scale = (kLeastSide + side - 1) / side;
  if (scale > 1) picture = enlarged(picture, scale);
  for (size_t i = objects.size(); i-- > 0;)
    frame(picture, area_of(objects[i].box, scale, picture), class_colour(objects[i].label % 255));
  std::vector<Area> labels;
  for (const DrawnObject& o : objects) {
    const std::string text = data::drawable(label_text(o, names[size_t(o.label)]));
    const int64_t width = int64_t(text.size()) * data::kGlyphWidth + 3;
    const auto place =
        free_place(area_of(o.box, scale, picture), width, data::kGlyphHeight + 2, picture, labels);
    if (!place) continue;
    labels.push_back(*place);
    const Colour colour = class_colour(o.label % 255);
    fill(picture, *place, colour);
    const int brightness = 299 * colour[0] + 587 * colour[1] + 114 * colour[2];
    const Colour ink = brightness > 127'500 ? Colour{0, 0, 0} : Colour{255, 255, 255};
    data::draw_text(picture, place->x1 + 2, place->y1 + 2, text, ink);
  }
  return picture;
}

}  // namespace rmt::train

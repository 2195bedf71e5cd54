#include "data/sets/drawn_scenes.h"

#include <numeric>

#include "core/error.h"
#include "data/masks/run_lengths.h"
#include "data/sets/drawings.h"
#include "data/sets/painting.h"

namespace rmt::data {
namespace {

using namespace painting;

constexpr int64_t kLeast = 2, kMost = 6;  // shapes
constexpr int64_t kTries = 100;           // to find a place for one more

struct Thing {
  int64_t label;
  Bitmap mask;    // what is visible
  int64_t whole;  // pixels, before others covered some
};

int64_t pixels(const Bitmap& mask) {
  return std::accumulate(mask.on.begin(), mask.on.end(), int64_t(0));
}

// The pixels of which the figure covers at least half.
Bitmap mask_of(const Canvas& canvas, int64_t size, const Figure& figure, double radius) {
  Bitmap mask{size, size, std::vector<uint8_t>(size_t(size * size))};
  canvas.for_covered(figure.centre, radius, figure, [&](int64_t x, int64_t y, int hits) {
    mask.on[size_t(y * size + x)] = hits >= 8;
  });
  return mask;
}

void take_away(Bitmap& mask, const Bitmap& other) {
  for (size_t i = 0; i < mask.on.size(); ++i) mask.on[i] &= uint8_t(!other.on[i]);
}

// Would each of them still show half of itself behind the mask?
bool leaves_visible(const std::vector<Thing>& things, const Bitmap& mask) {
  for (Thing thing : things) {
    take_away(thing.mask, mask);
    if (2 * pixels(thing.mask) < thing.whole) return false;
  }
  return true;
}

double distance(const Rgb& a, const Rgb& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

// Of some colours the one that is farthest from all that are in use, so that shapes stand out from
// the background and from each other where they overlap.
Rgb new_colour(const std::vector<Rgb>& used, Random& random) {
  Rgb best{};
  double farthest = -1;
  for (int i = 0; i < 8; ++i) {
    const Rgb c = any_colour(random);
    double nearest = 2;
    for (const Rgb& u : used) nearest = std::min(nearest, distance(c, u));
    if (nearest > farthest) {
      farthest = nearest;
      best = c;
    }
  }
  return best;
}

// Paints one more shape, unless it would hide another.
bool paint_one(Canvas& canvas, int64_t size, int64_t shapes, std::vector<Thing>& things,
               std::vector<Rgb>& colours, Random& random) {
  const int64_t label = random.below(shapes);
  const double radius = random.uniform(1. / 16, 15. / 64);
  const double tilt = random.uniform(-kTurn / 24, kTurn / 24), squeeze = random.uniform(0.85, 1);
  const Point centre{random.uniform(radius, 1 - radius), random.uniform(radius, 1 - radius)};
  const Figure figure(label, centre, radius, tilt, squeeze);
  const Bitmap mask = mask_of(canvas, size, figure, 1.1 * radius);
  if (!leaves_visible(things, mask)) return false;
  for (Thing& thing : things) take_away(thing.mask, mask);
  colours.push_back(new_colour(colours, random));
  const Texture texture(colours.back(), random);
  canvas.paint(centre, 1.1 * radius, figure, [&](Point p) { return texture.at(p); });
  things.push_back({label, mask, pixels(mask)});
  return true;
}

Corners corners_of(const Bitmap& mask) {
  const auto [x, y, width, height] = box_of(runs_of(mask));
  return {float(x), float(y), float(x + width), float(y + height)};
}

}  // namespace

std::vector<std::string> scene_classes(int64_t shapes) {
  std::vector<std::string> names{"background"};
  names.insert(names.end(), drawing_classes().begin(), drawing_classes().begin() + shapes);
  return names;
}

Example draw_scene(int64_t size, Random random, int64_t shapes) {
  CHECK(size >= 64 && size <= 1024, "draw: ", size, " pixels a side is not in [64, 1024]");
  CHECK(shapes >= 1 && shapes <= int64_t(outlines().size()), "draw: ", shapes,
        " shapes is not in [1, ", outlines().size(), "]");
  Canvas canvas(size);
  std::vector<Rgb> colours{any_colour(random)};
  const Texture background(colours[0], random);
  canvas.paint(
      {0.5, 0.5}, 0.5, [](Point) { return true; }, [&](Point p) { return background.at(p); });
  clutter(canvas, random.below(6), random);

  std::vector<Thing> things;
  const int64_t wanted = kLeast + random.below(kMost - kLeast + 1);
  for (int64_t i = 0; int64_t(things.size()) < wanted; ++i) {
    if (i >= kTries && int64_t(things.size()) >= kLeast) break;
    paint_one(canvas, size, shapes, things, colours, random);
  }

  Example scene;
  scene.image = canvas.finish(random.uniform(0, 0.04), random);
  scene.labels = {size, size, std::vector<uint8_t>(size_t(size * size))};
  for (const Thing& thing : things) {
    for (size_t i = 0; i < thing.mask.on.size(); ++i)
      if (thing.mask.on[i]) scene.labels.labels[i] = uint8_t(thing.label + 1);
    scene.objects.boxes.push_back(corners_of(thing.mask));
    scene.objects.labels.push_back(thing.label);
    scene.objects.masks.push_back(thing.mask);
  }
  return scene;
}

}  // namespace rmt::data

// The drawings as an image folder.
#include <array>
#include <cstdio>
#include <filesystem>

#include "core/error.h"
#include "core/parallel.h"
#include "data/sets/drawings.h"
#include "data/sets/drawn_folder.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

constexpr int kVersion = 2;  // of the painting

std::string mark_of(const DrawingOptions& o) {
  return str("rmt drawings, version ", kVersion, ": ", o.train_images, " training and ",
             o.val_images, " validation images of ", o.size, " x ", o.size, ", seed ", o.seed,
             ", JPEG quality ", o.quality, "\n");
}

void draw_split(const std::string& folder, int64_t images, uint64_t split,
                const DrawingOptions& o) {
  const std::vector<std::string>& classes = drawing_classes();
  const int64_t kinds = int64_t(classes.size());
  for (const std::string& name : classes) fs::create_directories(folder + "/" + name);
  parallel_for(images, 50, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::array<char, 16> number;
      std::snprintf(number.data(), number.size(), "%04d", int(i / kinds));
      Image image =
          draw_shape(o.size, i % kinds, Random(o.seed, Purpose::drawing, uint64_t(i), split));
      write_jpeg(folder + "/" + classes[size_t(i % kinds)] + "/" + number.data() + ".jpg", image,
                 o.quality);
    }
  });
}

}  // namespace

bool draw_dataset(const std::string& root, const DrawingOptions& o) {
  const int64_t kinds = int64_t(drawing_classes().size());
  CHECK(o.train_images >= kinds && o.val_images >= kinds && o.train_images <= 1'000'000 &&
            o.val_images <= 1'000'000,
        "drawings: ", o.train_images, " training and ", o.val_images,
        " validation images; both must be between ", kinds, " and a million");
  return fill_drawn_folder(root, mark_of(o), [&](const std::string& folder) {
    draw_split(folder + "/train", o.train_images, 0, o);
    draw_split(folder + "/val", o.val_images, 1, o);
  });
}

}  // namespace rmt::data

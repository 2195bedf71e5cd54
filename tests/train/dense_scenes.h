// Small scenes for the tests of segmentation and detection: bright rectangles on dark ground, as
// files in the layouts of both. Class 0 is red, class 1 green.
#pragma once
#include <filesystem>
#include <string>

#include "core/files/files.h"
#include "core/random.h"
#include "data/images/image.h"
#include "data/segmentation/label_image.h"

namespace rmt::test {

struct Rectangle {
  int64_t x, y, width, height, label;
};

// Two of them in a picture of S x S pixels, apart from each other.
inline std::vector<Rectangle> rectangles_of(int64_t S, Random random) {
  std::vector<Rectangle> out;
  for (int64_t side : {0, 1}) {
    const int64_t w = S / 4 + int64_t(random.uniform() * double(S) / 5);
    const int64_t h = S / 4 + int64_t(random.uniform() * double(S) / 3);
    out.push_back({side * S / 2 + 2, 2 + int64_t(random.uniform() * double(S / 3)), w, h,
                   int64_t(random.uniform() * 2)});
  }
  return out;
}

// Writes images/{training,validation}, annotations/{training,validation} and
// annotations/instances_{train,val}.json. In the label files 1 is red, 2 green, 3 the ground.
inline void write_scenes(const std::string& root, int64_t train, int64_t val, int64_t S = 64) {
  namespace fs = std::filesystem;
  const std::string parts[2][2] = {{"training", "train"}, {"validation", "val"}};
  for (int p : {0, 1}) {
    const std::string images = root + "/images/" + parts[p][0];
    const std::string labels = root + "/annotations/" + parts[p][0];
    fs::create_directories(images);
    fs::create_directories(labels);
    std::string list, objects;
    int64_t id = 0;
    for (int64_t i = 0; i < (p == 0 ? train : val); ++i) {
      data::Image image{S, S, std::vector<uint8_t>(size_t(S * S * 3), 20)};
      data::LabelImage of{S, S, std::vector<uint8_t>(size_t(S * S), 2)};
      list += str(i ? "," : "", "{\"id\":", i, ",\"file_name\":\"", parts[p][0], "/", i,
                  ".png\",\"width\":", S, ",\"height\":", S, "}");
      for (const Rectangle& r :
           rectangles_of(S, Random(3, Purpose::test, uint64_t(p), uint64_t(i)))) {
        for (int64_t y = r.y; y < r.y + r.height; ++y)
          for (int64_t x = r.x; x < r.x + r.width; ++x) {
            image.rgb[size_t((y * S + x) * 3 + r.label)] = 230;
            of.labels[size_t(y * S + x)] = uint8_t(r.label);
          }
        const int64_t x1 = r.x + r.width, y1 = r.y + r.height;
        ++id;
        objects += str(id > 1 ? "," : "", "{\"id\":", id, ",\"image_id\":", i,
                       ",\"category_id\":", r.label == 0 ? 3 : 8,
                       ",\"iscrowd\":0,\"area\":", r.width * r.height, ",\"bbox\":[", r.x, ",", r.y,
                       ",", r.width, ",", r.height, "],\"segmentation\":[[", r.x, ",", r.y, ",", x1,
                       ",", r.y, ",", x1, ",", y1, ",", r.x, ",", y1, "]]}");
      }
      data::write_png(str(images, "/", i, ".png"), image);
      data::write_labels(str(labels, "/", i, ".png"), of, {.classes = 3});
    }
    write_file(
        root + "/annotations/instances_" + parts[p][1] + ".json",
        str("{\"images\":[", list, "],\"annotations\":[", objects,
            "],\"categories\":[{\"id\":3,\"name\":\"red\"},{\"id\":8,\"name\":\"green\"}]}"));
  }
  write_file(root + "/classes.txt", "red\ngreen\nground\n");
}

}  // namespace rmt::test

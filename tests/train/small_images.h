// A very small image folder for tests of training.
#pragma once
#include <filesystem>
#include <string>

#include "core/random.h"
#include "data/images/image.h"

namespace rmt::test {
using namespace data;

// root/train and root/val with classes dark and light: 2 x 12 and 2 x 4 JPEG files of 40 x 36
// noise.
inline void draw_small_images(const std::string& root) {
  Random random(3, Purpose::test);
  for (std::string split : {"train", "val"})
    for (int c = 0; c < 2; ++c) {
      std::string folder = root + "/" + split + (c ? "/light" : "/dark");
      std::filesystem::create_directories(folder);
      for (int i = 0; i < (split == "train" ? 12 : 4); ++i) {
        Image image{40, 36, std::vector<uint8_t>(40 * 36 * 3)};
        for (uint8_t& v : image.rgb) v = uint8_t(random.below(128) + (c ? 120 : 0));
        write_jpeg(str(folder, "/", i, ".jpg"), image, 90);
      }
    }
}

}  // namespace rmt::test

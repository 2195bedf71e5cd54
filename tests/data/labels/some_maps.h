// Maps for the tests of label files: those of tests/golden/make_labels.py.
#pragma once
#include <string>
#include <vector>

#include "core/half.h"
#include "data/labels/label_file.h"

namespace rmt::data::test {

inline const LabelFileInfo kSomeInfo{2, 3, 2, {"ant", "bee", "caf\u00e9", "dog"}, "rmt_n 64"};
inline const std::vector<std::string> kSomeNames{"ant/1.jpg", "bee/2.png", "dog/10.jpeg"};

// Of that image; another for each.
inline LabelMap some_map(int64_t image, const LabelFileInfo& info = kSomeInfo) {
  LabelMap map{info.height, info.width, info.top, {}, {}};
  for (int64_t k = 0; k < map.height * map.width * map.top; ++k) {
    const int64_t i = k + 100 * image;
    map.values.push_back(float(i * 7919 % 1000) / 37.f - 13.f);
    map.classes.push_back(int32_t(i * 31 % int64_t(info.classes.size())));
  }
  return map;
}

// As it comes out of a file.
inline LabelMap rounded(LabelMap map) {
  for (float& value : map.values) value = from_half(to_half(value));
  return map;
}

inline bool same(const LabelMap& a, const LabelMap& b) {
  return a.height == b.height && a.width == b.width && a.top == b.top && a.values == b.values &&
         a.classes == b.classes;
}

// Writes what is not yet written. Image 1 has no map.
inline void write_some(const std::string& path, const LabelFileInfo& info = kSomeInfo,
                       const std::vector<std::string>& names = kSomeNames) {
  LabelFileWriter writer(path, info, names);
  for (int64_t i = writer.done(); i < writer.size(); ++i)
    if (i == 1)
      writer.add_none(names[1]);
    else
      writer.add(names[size_t(i)], some_map(i, info));
  writer.finish();
}

}  // namespace rmt::data::test

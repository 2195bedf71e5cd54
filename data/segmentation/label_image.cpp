#include "data/segmentation/label_image.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "data/images/label_png.h"

namespace rmt::data {
namespace {

[[noreturn]] void beyond_classes(const LabelImage& labels, size_t at, const LabelRule& rule,
                                 const std::string& name) {
  const int64_t value = labels.labels[at], x = int64_t(at) % labels.width,
                y = int64_t(at) / labels.width, first = rule.zero_is_unlabelled ? 1 : 0;
  throw Error(
      str(name, ": the pixel in column ", x, ", row ", y, " is ", value, ", but the ", rule.classes,
          " classes are the numbers ", first, " to ", rule.classes - 1 + first,
          rule.zero_is_unlabelled ? ", with 0 and 255 for unlabelled" : ", with 255 for unlabelled",
          "; correct the file or the list of classes, or say whether the numbers of classes "
          "begin at 0 or at 1"));
}

}  // namespace

void check_label_rule(const LabelRule& rule) {
  const int64_t most = rule.zero_is_unlabelled ? 254 : 255;
  CHECK(rule.classes >= 1 && rule.classes <= most, "segmentation: ", rule.classes,
        " classes; a label is a byte, so there must be 1 to ", most);
}

void apply_rule(LabelImage& labels, const LabelRule& rule, const std::string& name) {
  check_label_rule(rule);
  std::array<uint8_t, 256> class_of;
  std::array<bool, 256> known{};
  const int first = rule.zero_is_unlabelled ? 1 : 0;
  for (int v = 0; v < 256; ++v) {
    const bool is_class = v >= first && v - first < rule.classes && v != kIgnored;
    class_of[size_t(v)] = is_class ? uint8_t(v - first) : kIgnored;
    known[size_t(v)] = is_class || v < first || v == kIgnored;
  }
  const auto wrong = std::find_if(labels.labels.begin(), labels.labels.end(),
                                  [&](uint8_t v) { return !known[v]; });
  if (wrong != labels.labels.end())
    beyond_classes(labels, size_t(wrong - labels.labels.begin()), rule, printable(name));
  for (uint8_t& v : labels.labels) v = class_of[v];
}

LabelImage read_labels(const std::string& path, const LabelRule& rule) {
  GreyImage image = read_label_png(path);
  LabelImage labels{image.width, image.height, std::move(image.values)};
  apply_rule(labels, rule, path);
  return labels;
}

void write_labels(const std::string& path, const LabelImage& labels, const LabelRule& rule) {
  check_label_rule(rule);
  GreyImage image{labels.width, labels.height, labels.labels};
  for (uint8_t& v : image.values) {
    CHECK(v < rule.classes || v == kIgnored, path, ": class ", int(v), " is not among ",
          rule.classes);
    if (rule.zero_is_unlabelled) v = v == kIgnored ? 0 : uint8_t(v + 1);
  }
  write_grey_png(path, image);
}

}  // namespace rmt::data

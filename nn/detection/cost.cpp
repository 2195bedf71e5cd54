#include "nn/detection/cost.h"

#include "nn/detection/rcnn.h"

namespace rmt::nn {
namespace {

int64_t half(int64_t n) { return (n + 1) / 2; }  // of a convolution of stride 2

// A convolution or a linear layer with bias that makes so many pixels; with_norm: a batch norm has
// the place of the bias.
Cost layer(int64_t pixels, int64_t I, int64_t O, int64_t k, bool with_norm = false) {
  return {.parameters = O * I * k * k + O * (with_norm ? 2 : 1),
          .multiply_adds = pixels * O * I * k * k};
}

// The same layer on several maps has its parameters once.
Cost shared_layer(const std::vector<int64_t>& pixels_of_levels, int64_t I, int64_t O, int64_t k) {
  int64_t pixels = 0;
  for (int64_t n : pixels_of_levels) pixels += n;
  return layer(pixels, I, O, k);
}

struct Counter {
  std::vector<Cost> parts;
  std::vector<int64_t> map_pixels;    // of the backbone's maps
  std::vector<int64_t> level_pixels;  // of the pyramid's levels
  int64_t C;                          // channels of the levels

  Cost& part(const std::string& name) {
    parts.push_back({.name = name});
    return parts.back();
  }

  void backbone(const RmtConfig& c, int64_t H, int64_t W) {
    parts = cost(c, H, W);
    parts.pop_back();  // the classifier's head
    Cost& norms = part("extra norms");
    for (const StageConfig& s : c.stages) norms.parameters += 2 * s.channels;
    H = half(H), W = half(W);
    for (size_t i = 0; i < c.stages.size(); ++i) {
      H = half(H), W = half(W);
      map_pixels.push_back(H * W);
    }
    level_pixels = map_pixels;
    level_pixels.push_back(half(H) * half(W));
    level_pixels.push_back(half(half(H)) * half(half(W)));
  }

  // retina: without the first map, and with two levels of convolutions beyond the last.
  void neck(const RmtConfig& c, bool retina) {
    Cost& n = part("neck");
    const size_t last = c.stages.size() - 1;
    for (size_t i = retina ? 1 : 0; i <= last; ++i) {
      n += layer(map_pixels[i], c.stages[i].channels, C, 1);
      n += layer(map_pixels[i], C, C, 3);
    }
    if (retina) {
      n += layer(level_pixels[last + 1], c.stages[last].channels, C, 3);
      n += layer(level_pixels[last + 2], C, C, 3);
      level_pixels.erase(level_pixels.begin());
    } else {
      level_pixels.pop_back();
    }
  }

  void retina_head(int64_t K) {
    Cost& h = part("head");
    for (int i = 0; i < 8; ++i) h += shared_layer(level_pixels, C, C, 3);
    h += shared_layer(level_pixels, C, 9 * K, 3);
    h += shared_layer(level_pixels, C, 9 * 4, 3);
  }

  void rpn() {
    Cost& r = part("rpn");
    r += shared_layer(level_pixels, C, C, 3);
    r += shared_layer(level_pixels, C, 3, 1);
    r += shared_layer(level_pixels, C, 12, 1);
  }

  void box_head(const std::string& name, int64_t K, const BoxHeadOptions& o) {
    Cost& h = part(name);
    const int64_t R = kCountedBoxes, cells = kBoxTile * kBoxTile;
    for (int64_t i = 0; i < o.convs; ++i) h += layer(R * cells, C, C, 3, true);
    for (int64_t i = 0; i < o.fcs; ++i)
      h += layer(R, i == 0 ? C * cells : o.fc_channels, o.fc_channels, 1);
    h += layer(R, o.fc_channels, K + 1, 1);
    h += layer(R, o.fc_channels, 4 * K, 1);
  }

  void mask_head(const std::string& name, int64_t K) {
    Cost& h = part(name);
    const int64_t R = kCountedMasks, cells = kMaskTile * kMaskTile;
    for (int i = 0; i < 4; ++i) h += layer(R * cells, C, C, 3);
    h += layer(R * cells, C, 4 * C, 1);
    h.parameters -= 3 * C;  // the four have one bias
    h += layer(R * kMaskSide * kMaskSide, C, K, 1);
  }
};

}  // namespace

std::vector<Cost> cost_of_detector(const std::string& name, const RmtConfig& backbone,
                                   int64_t classes, const DetectorOptions& options, int64_t H,
                                   int64_t W) {
  expect_detector(name);
  const bool retina = name == "retinanet";
  Counter counter{.C = options.fpn_channels};
  counter.backbone(backbone, H, W);
  counter.neck(backbone, retina);
  if (retina) {
    counter.retina_head(classes);
    return counter.parts;
  }
  counter.rpn();
  const RcnnOptions rules =
      name == "cascade_mask_rcnn" ? cascade_options(options) : mask_rcnn_options(options);
  for (size_t i = 0; i < rules.stages.size(); ++i) {
    const std::string stage = rules.stages.size() == 1 ? "" : str(" ", i + 1);
    counter.box_head("box head" + stage, classes, rules.head);
    if (name != "faster_rcnn") counter.mask_head("mask head" + stage, classes);
  }
  return counter.parts;
}

}  // namespace rmt::nn

#include "nn/detection/rpn_head.h"

#include <algorithm>

#include "nn/detection/nms.h"
#include "ops/add.h"
#include "ops/bce_with_logits.h"
#include "ops/smooth_l1.h"
#include "ops/view.h"

namespace rmt::nn {
namespace {

constexpr int64_t kAnchorSamples = 256;  // of an image
constexpr double kSuppression = .7;      // IoU

const ConvOptions kFirst{.fill = fill_of_last};

// Marks the boxes that lie in an image of that size.
std::vector<char> inside(const std::vector<Box>& boxes, const ImageSize& size) {
  std::vector<char> flags;
  for (const Box& b : boxes)
    flags.push_back(b.x1 >= 0 && b.y1 >= 0 && b.x2 < double(size.width) &&
                    b.y2 < double(size.height));
  return flags;
}

}  // namespace

RpnHead::RpnHead(int64_t C, const RpnOptions& o)
    : options(o),
      rule(anchors_of_proposals(o.anchor_scale)),
      rpn_conv(add<Conv2d>("rpn_conv", C, C, 3, 1, 1, kFirst)),
      rpn_cls(add<Conv2d>("rpn_cls", C, rule.per_pixel(), 1, 1, 0, kFirst)),
      rpn_reg(add<Conv2d>("rpn_reg", C, rule.per_pixel() * 4, 1, 1, 0, kFirst)) {}

AnchorOutputs RpnHead::forward(const Maps& levels) {
  AnchorOutputs out;
  for (const Tensor& level : levels) {
    const Tensor y = ops::relu(rpn_conv.forward(level));
    out.scores.push_back(rpn_cls.forward(y));
    out.deltas.push_back(rpn_reg.forward(y));
  }
  return out;
}

std::vector<std::pair<std::string, Tensor>> RpnHead::losses(const AnchorOutputs& out,
                                                            const std::vector<ImageSize>& sizes,
                                                            const std::vector<GroundTruth>& truth,
                                                            const std::vector<Choose>& choose) {
  const LevelAnchors anchors(rule, out.scores);
  const std::vector<Box> boxes = anchors.all();
  std::vector<std::vector<int64_t>> learned;
  double normaliser = 0;
  for (size_t b = 0; b < truth.size(); ++b) {
    std::vector<char> considered = anchors.valid(sizes[b]);
    if (options.only_inside) {
      const std::vector<char> in = inside(boxes, sizes[b]);
      for (size_t j = 0; j < boxes.size(); ++j) considered[j] = considered[j] && in[j];
    }
    const auto matched = match(boxes, considered, truth[b].boxes, kProposalRule);
    const Sample s = sample(matched, kAnchorSamples, .5, choose[b]);
    learned.emplace_back(boxes.size(), kUnsure);
    for (const auto* part : {&s.positive, &s.negative})
      for (int64_t j : *part) learned[b][size_t(j)] = matched[size_t(j)];
    normaliser +=
        double(std::max<size_t>(1, s.positive.size()) + std::max<size_t>(1, s.negative.size()));
  }
  const auto targets = anchor_targets(anchors, learned, truth, 1, out.deltas[0]);
  Tensor cls, box;  // ()
  for (size_t l = 0; l < targets.size(); ++l) {
    const LevelTargets& t = targets[l];
    const Tensor of_cls =
        ops::bce_with_logits(ops::view(out.scores[l], {-1}), t.present, t.used, normaliser);
    const Tensor of_box = ops::smooth_l1(ops::view(out.deltas[l], {-1, 4}), t.deltas, t.present,
                                         options.beta, normaliser);
    cls = l == 0 ? of_cls : ops::add(cls, of_cls);
    box = l == 0 ? of_box : ops::add(box, of_box);
  }
  return {{"loss_rpn_cls", cls}, {"loss_rpn_bbox", box}};
}

// The logits order boxes as their sigmoids would. A box that is not finite, of a network that has
// gone astray, is left out.
std::vector<std::vector<Box>> RpnHead::proposals(const AnchorOutputs& out,
                                                 const std::vector<ImageSize>& sizes,
                                                 int64_t most_of_level, int64_t most) {
  const LevelAnchors anchors(rule, out.scores);
  std::vector<std::vector<Candidate>> candidates(sizes.size());
  for (size_t l = 0; l < anchors.of_level.size(); ++l) {
    const std::vector<double> scores = numbers(out.scores[l]), deltas = numbers(out.deltas[l]);
    const std::vector<Box>& boxes = anchors.of_level[l];
    for (size_t b = 0; b < sizes.size(); ++b) {
      const double *s = &scores[b * boxes.size()], *d = &deltas[b * boxes.size() * 4];
      for (int64_t i : best_rows(s, int64_t(boxes.size()), 1, most_of_level)) {
        const Box box = clip(decode(boxes[size_t(i)], delta_at(d, i), {1, 1, 1, 1}), sizes[b]);
        if (std::isfinite(s[i] + box.area())) candidates[b].push_back({box, s[i], int64_t(l)});
      }
    }
  }
  std::vector<std::vector<Box>> proposals;
  for (const auto& of_image : candidates) {
    proposals.emplace_back();
    for (int64_t i : suppress(of_image, kSuppression, most))
      proposals.back().push_back(of_image[size_t(i)].box);
  }
  return proposals;
}

}  // namespace rmt::nn

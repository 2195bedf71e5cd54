#include "nn/detection/retinanet.h"

#include <algorithm>

#include "nn/detection/detections.h"
#include "ops/add.h"
#include "ops/sigmoid.h"
#include "ops/sigmoid_focal.h"
#include "ops/smooth_l1.h"
#include "ops/view.h"

namespace rmt::nn {
namespace {

constexpr int64_t kBestOfLevel = 1000;  // boxes that a level may give to suppression

// A candidate for each class of the box that has a score above the threshold.
void add_candidates(std::vector<Candidate>& candidates, const Box& box, const double* scores,
                    int64_t K, const DetectorOptions& options) {
  if (!std::isfinite(box.area())) return;
  for (int64_t k = 0; k < K; ++k)
    if (scores[k] > options.score_threshold) candidates.push_back({box, scores[k], k});
}

}  // namespace

std::vector<ConvModule*> RetinaHead::add_branch(const std::string& name, int64_t C) {
  std::vector<ConvModule*> convs;
  for (int i = 0; i < 4; ++i)
    convs.push_back(&add<ConvModule>(str(name, ".", i), C, C, 3, false, fill_of_last));
  return convs;
}

// The bias of the scores is log(p / (1 - p)) for p = 0.01: at first every anchor says that it has a
// given class with a probability of a hundredth, so that the many without an object cost little.
RetinaHead::RetinaHead(int64_t C, int64_t K, int64_t anchors)
    : cls_convs(add_branch("cls_convs", C)),
      reg_convs(add_branch("reg_convs", C)),
      retina_cls(add<BiasedConv>("retina_cls", C, anchors * K, 3, -std::log(99.))),
      retina_reg(
          add<Conv2d>("retina_reg", C, anchors * 4, 3, 1, 1, ConvOptions{.fill = fill_of_last})) {}

AnchorOutputs RetinaHead::forward(const Maps& levels) {
  AnchorOutputs out;
  for (const Tensor& level : levels) {
    Tensor cls = level, reg = level;
    for (ConvModule* conv : cls_convs) cls = conv->forward(cls);
    for (ConvModule* conv : reg_convs) reg = conv->forward(reg);
    out.scores.push_back(retina_cls.forward(cls));
    out.deltas.push_back(retina_reg.forward(reg));
  }
  return out;
}

// The first of the backbone's maps, the largest, is not used.
RetinaNet::RetinaNet(const RmtConfig& c, int64_t K, const DetectorOptions& o)
    : classes(K),
      options(o),
      rule(anchors_of_retinanet(o.anchor_scale > 0 ? o.anchor_scale : 4)),
      backbone(add<Pyramid>("backbone", c)),
      neck(add<Fpn>("neck", backbone.channels(),
                    FpnOptions{.channels = o.fpn_channels, .first = 1, .convolved = 2})),
      bbox_head(add<RetinaHead>("bbox_head", o.fpn_channels, K, rule.per_pixel())) {}

Losses RetinaNet::losses(const Tensor& images, const std::vector<ImageSize>& sizes,
                         const std::vector<GroundTruth>& truth) {
  check_batch(images, sizes);
  check_truth(images, truth, classes, false);
  const AnchorOutputs out = bbox_head.forward(neck.forward(backbone.forward(images)));
  const LevelAnchors anchors(rule, out.scores);
  std::vector<std::vector<int64_t>> matched;
  double normaliser = 0;
  for (size_t b = 0; b < truth.size(); ++b) {
    matched.push_back(match(anchors.all(), anchors.valid(sizes[b]), truth[b].boxes, kRetinaRule));
    const auto positives = std::count_if(matched[b].begin(), matched[b].end(),
                                         [](int64_t object) { return object >= 0; });
    normaliser += double(std::max<int64_t>(1, positives));
  }
  const auto targets = anchor_targets(anchors, matched, truth, classes, out.deltas[0]);
  Tensor cls, box;  // ()
  for (size_t l = 0; l < targets.size(); ++l) {
    const LevelTargets& t = targets[l];
    const Tensor of_cls =
        ops::sigmoid_focal(ops::view(out.scores[l], {-1, classes}), t.labels, normaliser);
    const Tensor of_box =
        ops::smooth_l1(ops::view(out.deltas[l], {-1, 4}), t.deltas, t.present, 0, normaliser);
    cls = l == 0 ? of_cls : ops::add(cls, of_cls);
    box = l == 0 ? of_box : ops::add(box, of_box);
  }
  return with_total({{"loss_cls", cls}, {"loss_bbox", box}});
}

std::vector<std::vector<Detection>> RetinaNet::detect(
    const Tensor& images, const std::vector<ImageSize>& sizes,
    const std::vector<std::array<double, 2>>& scales) {
  check_batch(images, sizes);
  const NoGrad no_grad;
  const AnchorOutputs out = bbox_head.forward(neck.forward(backbone.forward(images)));
  const LevelAnchors anchors(rule, out.scores);
  std::vector<std::vector<Candidate>> candidates(sizes.size());
  for (size_t l = 0; l < anchors.of_level.size(); ++l) {
    const std::vector<double> scores = numbers(ops::sigmoid(out.scores[l])),
                              deltas = numbers(out.deltas[l]);
    const int64_t n = int64_t(anchors.of_level[l].size());
    for (size_t b = 0; b < sizes.size(); ++b) {
      const double *s = &scores[b * size_t(n * classes)], *d = &deltas[b * size_t(n * 4)];
      for (int64_t i : best_rows(s, n, classes, kBestOfLevel)) {
        const Box box = to_original(
            clip(decode(anchors.of_level[l][size_t(i)], delta_at(d, i), {1, 1, 1, 1}), sizes[b]),
            scales.at(b));
        add_candidates(candidates[b], box, s + i * classes, classes, options);
      }
    }
  }
  std::vector<std::vector<Detection>> detections;
  for (const auto& of_image : candidates) detections.push_back(best_detections(of_image, options));
  return detections;
}

}  // namespace rmt::nn

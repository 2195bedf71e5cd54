#include "nn/detection/rcnn.h"

#include <algorithm>

#include "nn/detection/detections.h"
#include "ops/add.h"
#include "ops/scale.h"
#include "ops/sigmoid.h"
#include "ops/softmax.h"

namespace rmt::nn {
namespace {

constexpr int64_t kOfLevelInTraining = 2000, kOfLevel = 1000, kProposals = 1000;

int64_t or_official(int64_t asked, int64_t official) { return asked > 0 ? asked : official; }

double anchor_scale(const DetectorOptions& o) { return o.anchor_scale > 0 ? o.anchor_scale : 8; }

// Box i as the deltas of a class move it, of a head's deltas (R, 4 K). One that is not finite, of a
// network that has gone astray, becomes empty.
Box moved(const Rois& rois, size_t i, const std::vector<double>& deltas, int64_t label, int64_t K,
          const Delta& stds, const std::vector<ImageSize>& sizes) {
  const Delta d = delta_at(deltas.data(), int64_t(i) * K + label);
  const Box box = clip(decode(rois.boxes[i], d, stds), sizes[size_t(rois.images[i])]);
  return std::isfinite(box.area()) ? box : Box{};
}

// The class with the largest score, background left out: scores (R, K + 1).
std::vector<int64_t> best_classes(const std::vector<double>& scores, int64_t K) {
  std::vector<int64_t> best;
  for (auto row = scores.begin(); row != scores.end(); row += K + 1)
    best.push_back(std::max_element(row, row + K) - row);
  return best;
}

// The proposals of a cascade's next stage: the sampled boxes, moved by the deltas of their label
// or, for background, of their best class. Objects' own boxes are left out; they join again there.
std::vector<std::vector<Box>> next_proposals(const BoxOutputs& out, const RoiSample& s, int64_t K,
                                             const Delta& stds,
                                             const std::vector<ImageSize>& sizes) {
  std::vector<int64_t> labels = best_classes(numbers(out.scores), K);
  for (int64_t i : s.positives) labels[size_t(i)] = s.labels[size_t(i)];
  const std::vector<double> deltas = numbers(out.deltas);
  std::vector<std::vector<Box>> next(sizes.size());
  for (size_t i = 0; i < s.rois.size(); ++i)
    if (!s.is_object[i])
      next[size_t(s.rois.images[i])].push_back(moved(s.rois, i, deltas, labels[i], K, stds, sizes));
  return next;
}

}  // namespace

RcnnOptions mask_rcnn_options(const DetectorOptions& o) {
  return {.rpn = {.anchor_scale = anchor_scale(o), .proposals = or_official(o.proposals, 1000)},
          .stages = {{kBoxRule, {.1, .1, .2, .2}, false}},
          .head = {.channels = o.fpn_channels, .fc_channels = o.fc_channels}};
}

RcnnOptions cascade_options(const DetectorOptions& o) {
  return {.rpn = {.anchor_scale = anchor_scale(o),
                  .beta = 1. / 9,
                  .only_inside = true,
                  .proposals = or_official(o.proposals, 2000)},
          .stages = {{kCascadeRules[0], {.1, .1, .2, .2}, true, 1},
                     {kCascadeRules[1], {.05, .05, .1, .1}, true, .5},
                     {kCascadeRules[2], {.033, .033, .067, .067}, true, .25}},
          .head = {.channels = o.fpn_channels, .fc_channels = o.fc_channels, .convs = 4, .fcs = 1}};
}

RoiHeads::RoiHeads(int64_t K, const RcnnOptions& o) {
  const size_t n = o.stages.size();
  const auto name = [n](const char* head, size_t i) {
    return n == 1 ? std::string(head) : str(head, ".", i);
  };
  for (size_t i = 0; i < n; ++i)
    bbox_heads.push_back(&add<BoxHead>(name("bbox_head", i), K, o.head));
  for (size_t i = 0; o.masks && i < n; ++i)
    mask_heads.push_back(&add<MaskHead>(name("mask_head", i), K, o.head.channels));
}

Rcnn::Rcnn(const RmtConfig& c, int64_t K, const DetectorOptions& o, const RcnnOptions& r)
    : classes(K),
      options(o),
      rules(r),
      backbone(add<Pyramid>("backbone", c)),
      neck(add<Fpn>("neck", backbone.channels(),
                    FpnOptions{.channels = o.fpn_channels, .pooled = 1})),
      rpn_head(add<RpnHead>("rpn_head", o.fpn_channels, r.rpn)),
      roi_head(add<RoiHeads>("roi_head", K, r)) {}

std::vector<Choose> Rcnn::choices(size_t images, int64_t stage) {
  std::vector<Choose> all(images, options.choose);
  for (size_t b = 0; b < images && !options.choose; ++b)
    all[b] = random_choice(mode().seed, mode().step, mode().first_sample + int64_t(b), stage);
  return all;
}

Losses Rcnn::losses(const Tensor& images, const std::vector<ImageSize>& sizes,
                    const std::vector<GroundTruth>& truth) {
  check_batch(images, sizes);
  check_truth(images, truth, classes, rules.masks);
  const Maps levels = neck.forward(backbone.forward(images));
  const AnchorOutputs out = rpn_head.forward(levels);
  auto parts = rpn_head.losses(out, sizes, truth, choices(truth.size(), 0));
  auto proposals = rpn_head.proposals(out, sizes, kOfLevelInTraining, rules.rpn.proposals);
  sampled.clear();
  for (size_t i = 0; i < rules.stages.size(); ++i) {
    const StageRule& rule = rules.stages[i];
    const std::string stage = rules.stages.size() == 1 ? "" : str("s", i, ".");
    sampled.push_back(sample_rois(proposals, truth, classes, rule.match, options.box_samples,
                                  choices(truth.size(), 1 + int64_t(i))));
    const RoiSample& s = sampled.back();
    const BoxOutputs boxes = roi_head.bbox_heads[i]->forward(tiles(levels, s.rois, kBoxTile));
    for (const auto& [name, value] : box_losses(boxes, s, truth, classes, rule))
      parts.emplace_back(stage + name, value);
    if (rules.masks)
      parts.emplace_back(stage + "loss_mask",
                         mask_loss(*roi_head.mask_heads[i], levels, s, truth, rule.weight));
    if (i + 1 < rules.stages.size())
      proposals = next_proposals(boxes, s, classes, rule.stds, sizes);
  }
  return with_total(std::move(parts));
}

// A cascade's scores are the softmax of its stages' mean logits, each of the boxes that the stage
// has seen; its boxes are the last stage's.
std::vector<std::vector<Detection>> Rcnn::detect(const Tensor& images,
                                                 const std::vector<ImageSize>& sizes,
                                                 const std::vector<std::array<double, 2>>& scales) {
  check_batch(images, sizes);
  const NoGrad no_grad;
  const Maps levels = neck.forward(backbone.forward(images));
  Rois rois = rois_of(rpn_head.proposals(rpn_head.forward(levels), sizes, kOfLevel,
                                         or_official(options.proposals, kProposals)));
  std::vector<std::vector<Detection>> detections(sizes.size());
  if (rois.size() == 0) return detections;
  Tensor logits;               // (R, K + 1)
  std::vector<double> deltas;  // (R, 4 K), of the last stage
  const size_t stages = rules.stages.size();
  for (size_t i = 0; i < stages; ++i) {
    const BoxOutputs out = roi_head.bbox_heads[i]->forward(tiles(levels, rois, kBoxTile));
    logits = i == 0 ? out.scores : ops::add(logits, out.scores);
    deltas = numbers(out.deltas);
    if (i + 1 == stages) break;
    const std::vector<int64_t> best = best_classes(numbers(out.scores), classes);
    for (size_t j = 0; j < rois.size(); ++j)
      rois.boxes[j] = moved(rois, j, deltas, best[j], classes, rules.stages[i].stds, sizes);
  }
  const std::vector<double> scores = numbers(ops::softmax(ops::scale(logits, 1 / double(stages))));
  std::vector<std::vector<Candidate>> candidates(sizes.size());
  for (size_t j = 0; j < rois.size(); ++j) {
    // The official Mask R-CNN takes a box that ends at the image's upper border for none.
    if (stages == 1 && rois.boxes[j].y2 == 0) continue;
    const size_t b = size_t(rois.images[j]);
    for (int64_t k = 0; k < classes; ++k) {
      const double score = scores[j * size_t(classes + 1) + size_t(k)];
      if (score <= options.score_threshold || !std::isfinite(score)) continue;
      const Box box = moved(rois, j, deltas, k, classes, rules.stages[stages - 1].stds, sizes);
      candidates[b].push_back({to_original(box, scales.at(b)), score, k});
    }
  }
  for (size_t b = 0; b < sizes.size(); ++b) detections[b] = best_detections(candidates[b], options);
  if (rules.masks) add_masks(levels, scales, detections);
  return detections;
}

// Each detection gets the mask of its class, cut out of the levels where it has come to lie.
void Rcnn::add_masks(const Maps& levels, const std::vector<std::array<double, 2>>& scales,
                     std::vector<std::vector<Detection>>& detections) {
  Rois rois;
  std::vector<Detection*> all;
  for (size_t b = 0; b < detections.size(); ++b)
    for (Detection& d : detections[b]) {
      rois.add(int64_t(b), to_batch(d.box, scales[b]));
      all.push_back(&d);
      d.mask.assign(size_t(kMaskSide * kMaskSide), 0);
    }
  if (all.empty()) return;
  const Tensor cut = tiles(levels, rois, kMaskTile);
  for (MaskHead* head : roi_head.mask_heads) {
    const std::vector<double> masks = numbers(ops::sigmoid(head->forward(cut)));
    for (size_t i = 0; i < all.size(); ++i)
      for (size_t cell = 0; cell < all[i]->mask.size(); ++cell) {
        const size_t at = (i * all[i]->mask.size() + cell) * size_t(classes);
        all[i]->mask[cell] +=
            float(masks[at + size_t(all[i]->label)] / double(roi_head.mask_heads.size()));
      }
  }
}

}  // namespace rmt::nn

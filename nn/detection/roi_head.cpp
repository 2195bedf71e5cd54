#include "nn/detection/roi_head.h"

#include <algorithm>

#include "nn/detection/anchor_targets.h"
#include "ops/add.h"
#include "ops/bce_with_logits.h"
#include "ops/depth_to_space.h"
#include "ops/gather_rows.h"
#include "ops/giou_loss.h"
#include "ops/pixel_cross_entropy.h"
#include "ops/relu.h"
#include "ops/smooth_l1.h"
#include "ops/transpose.h"
#include "ops/view.h"

namespace rmt::nn {
namespace {

Tensor indices(const std::vector<int64_t>& values, Device device) {
  return Tensor::from(values, {int64_t(values.size())}).to(device);
}

Tensor rows_of(const std::vector<Box>& boxes, const Tensor& like) {  // (R, 4)
  std::vector<double> rows;
  for (const Box& b : boxes) rows.insert(rows.end(), {b.x1, b.y1, b.x2, b.y2});
  return tensor_of(rows, {int64_t(boxes.size()), 4}, like);
}

double percentage_right(const Tensor& scores, const std::vector<int64_t>& labels) {
  const std::vector<double> s = numbers(scores);
  const int64_t columns = scores.dim(1);
  double right = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto row = s.begin() + int64_t(i) * columns;
    right += std::max_element(row, row + columns) - row == labels[i];
  }
  return 100 * right / double(std::max<size_t>(labels.size(), 1));
}

}  // namespace

BoxHead::BoxHead(int64_t K, const BoxHeadOptions& o)
    : classes(K),
      fc_cls(add<Linear>("fc_cls", o.fc_channels, K + 1)),
      fc_reg(add<Linear>("fc_reg", o.fc_channels, 4 * K)) {
  fc_cls.deviation = .01;
  fc_reg.deviation = .001;
  for (int64_t i = 0; i < o.convs; ++i)
    shared_convs.push_back(
        &add<ConvModule>(str("shared_convs.", i), o.channels, o.channels, 3, true));
  for (int64_t i = 0; i < o.fcs; ++i)
    shared_fcs.push_back(&add<GlorotLinear>(
        str("shared_fcs.", i), i == 0 ? o.channels * kBoxTile * kBoxTile : o.fc_channels,
        o.fc_channels));
}

BoxOutputs BoxHead::forward(const Tensor& tiles) {
  Tensor x = tiles;
  for (ConvModule* conv : shared_convs) x = conv->forward(x);
  const int64_t R = x.dim(0), C = x.dim(3), cells = kBoxTile * kBoxTile;
  x = ops::view(ops::transpose(ops::view(x, {R, cells, C}), 1, 2), {R, C * cells});
  for (Linear* fc : shared_fcs) x = ops::relu(fc->forward(x));
  return {fc_cls.forward(x), fc_reg.forward(x)};
}

UpsampleConv::UpsampleConv(int64_t I, int64_t O)
    : weight(parameter("weight", {I, O, 2, 2})), bias(parameter("bias", {O})) {}

Tensor UpsampleConv::forward(const Tensor& x) {
  const int64_t I = weight.dim(0), O = weight.dim(1);
  // (I, O, 4) -> (4, O, I): four matrices below one another, those of (i, j) = (0, 0), (0, 1) ...
  const Tensor w = ops::transpose(ops::view(weight, {I, O, 4}), 0, 2);
  return ops::add(ops::depth_to_space(ops::linear(x, ops::view(w, {4 * O, I}))), bias);
}

void UpsampleConv::init_own(const std::function<Random()>& random) {
  fill_he_normal(weight, random());
  bias.fill(0);
}

std::vector<ConvModule*> MaskHead::add_convs(int64_t C) {
  std::vector<ConvModule*> all;
  for (int i = 0; i < 4; ++i) all.push_back(&add<ConvModule>(str("convs.", i), C, C, 3, false));
  return all;
}

MaskHead::MaskHead(int64_t K, int64_t C)
    : classes(K),
      convs(add_convs(C)),
      upsample(add<UpsampleConv>("upsample", C, C)),
      conv_logits(add<Conv2d>("conv_logits", C, K, 1, 1, 0, ConvOptions{.fill = fill_he_normal})) {}

Tensor MaskHead::forward(const Tensor& tiles) {
  Tensor x = tiles;
  for (ConvModule* conv : convs) x = conv->forward(x);
  return conv_logits.forward(ops::relu(upsample.forward(x)));
}

std::vector<std::pair<std::string, Tensor>> box_losses(const BoxOutputs& out, const RoiSample& s,
                                                       const std::vector<GroundTruth>& truth,
                                                       int64_t K, const StageRule& rule) {
  const Device device = out.scores.device();
  const double normaliser = double(std::max<size_t>(s.rois.size(), 1)) / rule.weight;
  const Tensor cls =
      ops::pixel_cross_entropy(out.scores, indices(s.labels, device), -1, normaliser);

  // Of each box with an object the deltas of its class, row i K + label of (R K, 4).
  std::vector<int64_t> rows;
  std::vector<Box> boxes, objects;
  std::vector<double> targets;  // (P, 4)
  for (int64_t i : s.positives) {
    const size_t at = size_t(i);
    boxes.push_back(s.rois.boxes[at]);
    objects.push_back(truth[size_t(s.rois.images[at])].boxes[size_t(s.objects[at])]);
    rows.push_back(i * K + s.labels[at]);
    const Delta d = encode(boxes.back(), objects.back(), rule.stds);
    targets.insert(targets.end(), d.begin(), d.end());
  }
  const int64_t P = int64_t(rows.size());
  const Tensor deltas =
      ops::gather_rows(ops::view(out.deltas, {out.deltas.dim(0) * K, 4}), indices(rows, device));
  const Tensor box =
      rule.overlap ? ops::giou_loss(deltas, rows_of(boxes, deltas), rows_of(objects, deltas),
                                    rule.stds, normaliser / 10)
                   : ops::smooth_l1(deltas, tensor_of(targets, {P, 4}, deltas), {}, 0, normaliser);
  const Tensor right = tensor_of({percentage_right(out.scores, s.labels)}, {}, cls);
  return {{"loss_cls", cls}, {"acc", right}, {"loss_bbox", box}};
}

Tensor mask_loss(MaskHead& head, const Maps& levels, const RoiSample& s,
                 const std::vector<GroundTruth>& truth, double weight) {
  const int64_t cells = kMaskSide * kMaskSide, K = head.classes;
  Rois rois = s.positive_rois();
  std::vector<double> targets = mask_targets(s, truth);
  const bool none = rois.size() == 0;
  if (none) {  // some box, of weight 0
    rois.add(0, {0, 0, 1, 1});
    targets.assign(size_t(cells), 0);
  }
  const int64_t P = int64_t(rois.size()), n = P * cells;
  const Tensor logits = head.forward(tiles(levels, rois, kMaskTile));  // (P, 28, 28, K)
  std::vector<int64_t> elements;  // of the channel of the box's class
  for (int64_t i = 0; i < n; ++i) {
    const size_t p = size_t(i / cells);
    elements.push_back(i * K + (none ? 0 : s.labels[size_t(s.positives[p])]));
  }
  const Tensor chosen =
      ops::gather_rows(ops::view(logits, {n * K, 1}), indices(elements, logits.device()));
  const Tensor weights = none ? tensor_of(std::vector<double>(size_t(n)), {n}, chosen) : Tensor();
  return ops::bce_with_logits(ops::view(chosen, {n}), tensor_of(targets, {n}, chosen), weights,
                              double(n) / weight);
}

}  // namespace rmt::nn

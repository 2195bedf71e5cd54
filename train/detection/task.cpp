#include "train/detection/task.h"

#include <algorithm>

#include "train/dense_parts.h"
#include "train/detection/evaluation.h"
#include "train/detection/picture.h"
#include "train/weights/model_file.h"

namespace rmt::train {
namespace {

data::AnnotatedLoaderOptions loader_of(const TrainOptions& o, bool train, const Compute& compute) {
  data::AnnotatedLoaderOptions l = annotated_loader_options(o, train, compute);
  l.group_by_shape = train;
  l.multiple = kBatchMultiple;
  return l;
}

// What the model is told of the objects of image b; masks are padded to (H, W).
nn::GroundTruth truth_of(const data::Objects& objects, int64_t H, int64_t W) {
  nn::GroundTruth truth;
  truth.labels = objects.labels;
  for (const data::Corners& c : objects.boxes) truth.boxes.push_back({c[0], c[1], c[2], c[3]});
  if (objects.masks.empty() && !objects.boxes.empty()) return truth;
  const int64_t n = int64_t(objects.masks.size());
  truth.masks = Tensor::zeros({n, H, W}, DType::u8);
  for (int64_t i = 0; i < n; ++i) {
    const data::Bitmap& m = objects.masks[size_t(i)];
    for (int64_t y = 0; y < m.height; ++y)
      std::copy_n(m.on.data() + y * m.width, m.width,
                  truth.masks.data<uint8_t>() + (i * H + y) * W);
  }
  return truth;
}

// AP, AP50 and AP75 in per cent. Where nothing is to be found COCO's numbers are -1: 0 here.
void add_scores(const CocoScores& scores, const std::string& kind, std::vector<Score>& out) {
  const CocoStats stats = scores.stats();
  for (size_t i : {0, 1, 2})
    out.push_back({kind + "_" + kCocoNames[i], 100 * std::max(0., stats[i])});
}

}  // namespace

nn::DetectorOptions detector_options(const TrainOptions& o) {
  return {
      .fpn_channels = o.fpn_channels, .fc_channels = o.fc_channels, .anchor_scale = o.anchor_scale};
}

data::DetectionOptions detection_options(const TrainOptions& o, bool train) {
  if (!train) return data::detection_evaluation(o.long_side, o.short_side);
  data::DetectionOptions options = o.three_x ? data::detection_3x(o.long_side, o.short_side)
                                             : data::detection_1x(o.long_side, o.short_side);
  options.mirror = o.hflip;
  return options;
}

Detection::Detection(nn::Detector& model, const data::CocoSet& train, const data::CocoSet& test,
                     const TrainOptions& o, const Compute& compute)
    : model_(model),
      compute_(compute),
      transform_(transform_options(o)),
      test_set_(test),
      train_loader_(train, data::detection_pipeline(detection_options(o, true)),
                    loader_of(o, true, compute)),
      test_loader_(test, data::detection_pipeline(detection_options(o, false)),
                   loader_of(o, false, compute)),
      counts_(counts_of(train, test)),
      place_(train.place()) {
  check_categories(test, train.classes(), train.coco().path);
}

Losses Detection::losses(const Tensor& images, const data::Batch& batch) {
  std::vector<nn::ImageSize> sizes;
  std::vector<nn::GroundTruth> truth;
  for (size_t b = 0; b < batch.places.size(); ++b) {
    sizes.push_back({batch.places[b].height, batch.places[b].width});
    truth.push_back(truth_of(batch.objects[b], images.dim(1), images.dim(2)));
  }
  nn::Losses l = model_.losses(images, sizes, truth);
  return {l.total, std::move(l.parts)};
}

std::optional<std::vector<TestResult>> Detection::test(TestedWeights& weights, const GoOn& go_on) {
  const auto all = detect_all(weights, model_, test_set_, test_loader_, compute_, transform_,
                              [&](const auto&, const auto&) { return go_on(); });
  if (!all) return std::nullopt;
  const std::vector<CocoTruth> truth = coco_truth(test_set_, model_.has_masks());
  const std::vector<int64_t> categories = category_ids(test_set_);
  std::vector<TestResult> results;
  for (const std::vector<CocoDetection>& found : *all) {
    std::vector<Score>& scores = results.emplace_back().scores;
    add_scores(coco_evaluate(truth, found, categories, CocoKind::kBoxes), "box", scores);
    if (model_.has_masks())
      add_scores(coco_evaluate(truth, found, categories, CocoKind::kMasks), "mask", scores);
  }
  return results;
}

std::vector<data::Tile> Detection::pictures(const data::Batch& batch, int64_t most) const {
  std::vector<data::Tile> tiles;
  for (data::Image& image : unpadded_pictures(batch, most)) tiles.push_back({std::move(image)});
  make_same_size(tiles);
  return tiles;
}

}  // namespace rmt::train

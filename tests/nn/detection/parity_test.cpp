// Detectors against the official ones: for the same weights, images and objects the same maps,
// sampled boxes, losses, gradient of every parameter, and detections. The golden files
// tests/golden/dense_* hold a norm and a projection of each tensor (tests/nn/dense_golden.h). Where
// boxes are to be drawn by chance, both sides take evenly spaced ones.
//
// In f64 both sides round differently and no more: 1e-16 a sum, some thousand of them one after the
// other, and batch norms that divide by small deviations. 1e-9 is asked for; of boxes, some hundred
// pixels, it is 1e-7 pixels, and 1e-6 is asked for.
#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "data/masks/run_lengths.h"
#include "nn/detection/rcnn.h"
#include "nn/detection/retinanet.h"
#include "tests/nn/dense_golden.h"
#include "train/detection/paste.h"

namespace rmt::test {
namespace {

using namespace nn;

constexpr double kTolerance = 1e-9;
constexpr int64_t kClasses = 80;

// floor(i n / k) for i < k.
std::vector<int64_t> evenly_spaced(int64_t n, int64_t k) {
  std::vector<int64_t> chosen;
  for (int64_t i = 0; i < k; ++i) chosen.push_back(i * n / k);
  return chosen;
}

RmtConfig still(const std::string& model) {
  RmtConfig c = rmt_config(model);
  c.drop_path = 0;
  return c;
}

DenseFill fill_of_retinanet() {
  return {.gain = {{"bbox_head.retina_reg.weight", 4}, {"bbox_head.retina_cls.weight", 16}},
          .shift = {{"bbox_head.retina_cls.bias", -3}}};
}

DenseFill fill_of_rcnn() {
  DenseFill fill{.gain = {{"rpn_head.rpn_reg.weight", .25}}};
  for (const std::string stage : {"", ".0", ".1", ".2"}) {
    fill.gain["roi_head.bbox_head" + stage + ".fc_cls.weight"] = 8;
    fill.gain["roi_head.bbox_head" + stage + ".fc_reg.weight"] = .5;
    fill.gain["roi_head.mask_head" + stage + ".conv_logits.weight"] = 10;
  }
  return fill;
}

// Zeros beyond each image's own size.
Tensor padded_images(int64_t H, int64_t W, const std::vector<ImageSize>& sizes) {
  const int64_t B = int64_t(sizes.size());
  const Tensor x = dense_images(B, H, W);
  double* p = x.data<double>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    const int64_t pixel = i / 3, column = pixel % W, row = pixel / W % H;
    const ImageSize& size = sizes[size_t(pixel / (H * W))];
    if (row >= size.height || column >= size.width) p[i] = 0;
  }
  return x;
}

struct Batch {
  Tensor images;
  std::vector<ImageSize> sizes;
  std::vector<GroundTruth> truth;
};

// Masks are stored row by row as lengths of runs, zeros first.
Tensor masks_of(const Json& runs, int64_t H, int64_t W) {
  const Tensor masks = Tensor::zeros({int64_t(runs.size()), H, W}, DType::u8);
  uint8_t* at = masks.data<uint8_t>();
  for (const Json& mask : runs) {
    uint8_t value = 0;
    for (const int64_t length : mask) {
      std::fill(at, at + length, value);
      at += length;
      value ^= 1;
    }
  }
  CHECK(at == masks.data<uint8_t>() + masks.numel(), "masks do not fill the images");
  return masks;
}

Batch training_batch(const Json& golden) {
  const int64_t H = golden.at("input").at(2), W = golden.at("input").at(3);
  Batch batch;
  for (size_t b = 0; b < golden.at("shapes").size(); ++b) {
    batch.sizes.push_back({golden["shapes"][b].at(0), golden["shapes"][b].at(1)});
    GroundTruth t;
    for (const Json& box : golden.at("boxes").at(b))
      t.boxes.push_back({box.at(0), box.at(1), box.at(2), box.at(3)});
    t.labels = golden.at("labels").at(b).get<std::vector<int64_t>>();
    if (golden.contains("masks")) t.masks = masks_of(golden["masks"].at(b), H, W);
    batch.truth.push_back(t);
  }
  batch.images = leaf(padded_images(H, W, batch.sizes));
  return batch;
}

// Taps of a head are counted: scores of all levels, then deltas.
void expect_maps(const Json& taps, const std::string& name, const Maps& maps, size_t first = 0) {
  for (size_t i = 0; i < maps.size(); ++i)
    expect_tap(taps, str(name, ":", first + i), maps[i], kTolerance);
}

void expect_losses(const Losses& losses, const Json& golden) {
  EXPECT_EQ(losses.parts.size(), golden.at("losses").size());
  for (const auto& [name, value] : losses.parts)
    EXPECT_NEAR(value.item<double>(), golden.at("losses").at(name), 10 * kTolerance) << name;
  const double total = golden.at("total");
  EXPECT_NEAR(losses.total.item<double>(), total, kTolerance * total);
}

void expect_backward(Module& model, const Losses& losses, const Tensor& images,
                     const Json& golden) {
  backward(losses.total);
  Json gradients = golden.at("grads");
  const double input =
      probe_error(probe_of_map("input", grad(images)), golden_probe(gradients.at("input")));
  EXPECT_LE(input, kTolerance) << "gradient of the input";
  gradients.erase("input");
  const double worst = expect_gradients(model, gradients, kTolerance);
  std::printf("    total off by %.1e, input's gradient %.1e, worst gradient %.1e\n",
              std::fabs(losses.total.item<double>() - double(golden.at("total"))), input, worst);
}

// The detections of one image of another size than its original; listed by class there.
void expect_detections(const std::vector<Detection>& ours, const Json& golden) {
  ASSERT_EQ(ours.size(), golden.size());
  std::vector<Detection> sorted = ours;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Detection& a, const Detection& b) { return a.label < b.label; });
  for (size_t i = 0; i < sorted.size(); ++i) {
    const Json& g = golden[i];
    EXPECT_EQ(sorted[i].label, g.at("class")) << i;
    EXPECT_NEAR(sorted[i].score, g.at("score"), 1e-9) << i;
    const Box& box = sorted[i].box;
    const double corners[] = {box.x1, box.y1, box.x2, box.y2};
    for (size_t j = 0; j < 4; ++j) EXPECT_NEAR(corners[j], g.at("box").at(j), 1e-6) << i;
  }
}

struct Evaluation {
  Tensor images;
  ImageSize size;
  std::array<double, 2> scale;
};

Evaluation evaluation(const Json& golden) {
  const Json& input = golden.at("input");
  const ImageSize size{golden.at("shape").at(0), golden.at("shape").at(1)};
  const double height = golden.at("original").at(0), width = golden.at("original").at(1);
  return {padded_images(input.at(2), input.at(3), {size}),
          size,
          {double(size.width) / width, double(size.height) / height}};
}

void expect_taps(RetinaNet& model, const Tensor& images, const Json& taps) {
  const NoGrad off;
  const Maps maps = model.backbone.forward(images), levels = model.neck.forward(maps);
  const AnchorOutputs out = model.bbox_head.forward(levels);
  expect_maps(taps, "backbone", maps);
  expect_maps(taps, "neck", levels);
  expect_maps(taps, "bbox_head", out.scores);
  expect_maps(taps, "bbox_head", out.deltas, out.scores.size());
}

// The maps of the first stage; of the others the outputs for the boxes that were sampled.
void expect_taps(Rcnn& model, const Tensor& images, const Json& taps, bool training) {
  const NoGrad off;
  const Maps maps = model.backbone.forward(images), levels = model.neck.forward(maps);
  const AnchorOutputs out = model.rpn_head.forward(levels);
  expect_maps(taps, "backbone", maps);
  expect_maps(taps, "neck", levels);
  expect_maps(taps, "rpn_head", out.scores);
  expect_maps(taps, "rpn_head", out.deltas, out.scores.size());
  if (!training) return;
  const size_t stages = model.sampled.size();
  for (size_t i = 0; i < stages; ++i) {
    const std::string stage = stages == 1 ? "" : str(".", i);
    const RoiSample& s = model.sampled[i];
    const Tensor of_boxes = tiles(levels, s.rois, kBoxTile);
    const BoxOutputs boxes = model.roi_head.bbox_heads[i]->forward(of_boxes);
    expect_tap(taps, "roi_head.bbox_roi_extractor" + stage + ":0", of_boxes, kTolerance);
    expect_tap(taps, "roi_head.bbox_head" + stage + ":0", boxes.scores, kTolerance);
    expect_tap(taps, "roi_head.bbox_head" + stage + ":1", boxes.deltas, kTolerance);
    const Tensor of_masks = tiles(levels, s.positive_rois(), kMaskTile);
    expect_tap(taps, "roi_head.mask_roi_extractor" + stage + ":0", of_masks, kTolerance);
    expect_tap(taps, "roi_head.mask_head" + stage + ":0",
               model.roi_head.mask_heads[i]->forward(of_masks), kTolerance);
  }
}

// Each stage's boxes, their labels, and the masks that they are to have.
void expect_sampled(const Rcnn& model, const Batch& batch, const Json& golden) {
  ASSERT_EQ(model.sampled.size(), golden.at("sampled").size());
  for (size_t i = 0; i < model.sampled.size(); ++i) {
    const RoiSample& s = model.sampled[i];
    std::vector<double> rows;
    for (size_t j = 0; j < s.rois.size(); ++j) {
      const Box& b = s.rois.boxes[j];
      rows.insert(rows.end(), {double(s.rois.images[j]), b.x1, b.y1, b.x2, b.y2});
    }
    const Json& expected = golden["sampled"][i];
    EXPECT_EQ(s.labels, expected.at("labels").get<std::vector<int64_t>>());
    const Tensor rois = Tensor::from(rows, {int64_t(s.rois.size()), 5});
    EXPECT_LE(probe_error(probe(str("sampled.", i), rois), golden_probe(expected.at("rois"))),
              kTolerance);
    const std::vector<double> masks = mask_targets(s, batch.truth);
    const Tensor targets = Tensor::from(masks, {int64_t(masks.size())});
    const Probe p = probe(str("mask_targets.", i), targets);
    EXPECT_LE(probe_error(p, golden_probe(golden.at("mask_targets")[i])), kTolerance);
  }
}

void expect_training(const std::string& backbone, const RcnnOptions& rules, const Json& golden,
                     int64_t box_samples) {
  const RmtConfig config = still(backbone);
  Rcnn model(config, kClasses, {.box_samples = box_samples, .choose = evenly_spaced}, rules);
  dense_fill(model, config, fill_of_rcnn());
  model.mode().training = true;
  const Batch batch = training_batch(golden);
  const Losses losses = model.losses(batch.images, batch.sizes, batch.truth);
  expect_losses(losses, golden);
  expect_sampled(model, batch, golden);
  expect_backward(model, losses, batch.images, golden);
  expect_taps(model, batch.images, golden.at("taps"), true);
}

// The mask of a detection over the original image as COCO's string (train/detection/paste.h).
std::string pasted(const Detection& d, const Json& golden) {
  const Box& b = d.box;
  return data::to_text(train::paste_mask(d.mask, {b.x1, b.y1, b.width(), b.height()},
                                         golden.at("original").at(1), golden.at("original").at(0),
                                         golden.at("mask_threshold")));
}

void expect_evaluation(const std::string& backbone, const RcnnOptions& rules, const Json& golden) {
  const RmtConfig config = still(backbone);
  Rcnn model(config, kClasses, {.score_threshold = golden.at("score_threshold")}, rules);
  dense_fill(model, config, fill_of_rcnn());
  const Evaluation e = evaluation(golden);
  expect_taps(model, e.images, golden.at("taps"), false);
  auto found = model.detect(e.images, {e.size}, {e.scale})[0];
  expect_detections(found, golden.at("detections"));
  std::stable_sort(found.begin(), found.end(),
                   [](const Detection& a, const Detection& b) { return a.label < b.label; });
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_EQ(pasted(found[i], golden), golden["detections"][i].at("runs")) << i;
}

}  // namespace

TEST(DetectionParity, RetinaNetInTraining) {
  const Json golden = dense_golden("retinanet_t_train");
  const RmtConfig config = still("rmt_t");
  RetinaNet model(config, kClasses, {});
  dense_fill(model, config, fill_of_retinanet());
  model.mode().training = true;
  const Batch batch = training_batch(golden);
  expect_taps(model, batch.images, golden.at("taps"));
  const Losses losses = model.losses(batch.images, batch.sizes, batch.truth);
  expect_losses(losses, golden);
  expect_backward(model, losses, batch.images, golden);
}

TEST(DetectionParity, RetinaNetInEvaluation) {
  const Json golden = dense_golden("retinanet_t_eval");
  const RmtConfig config = still("rmt_t");
  RetinaNet model(config, kClasses, {});
  dense_fill(model, config, fill_of_retinanet());
  const Evaluation e = evaluation(golden);
  expect_taps(model, e.images, golden.at("taps"));
  expect_detections(model.detect(e.images, {e.size}, {e.scale})[0], golden.at("detections"));
}

TEST(DetectionParity, MaskRcnnInTraining) {
  expect_training("rmt_t", mask_rcnn_options({}), dense_golden("maskrcnn_t_train"), 512);
}

TEST(DetectionParity, MaskRcnnInEvaluation) {
  expect_evaluation("rmt_t", mask_rcnn_options({}), dense_golden("maskrcnn_t_eval"));
}

// 64 boxes of an image, not 512, for the time that f64 takes.
TEST(DetectionParity, CascadeInTraining) {
  expect_training("rmt_s", cascade_options({}), dense_golden("cascade_s_train"), 64);
}

TEST(DetectionParity, CascadeInEvaluation) {
  expect_evaluation("rmt_s", cascade_options({}), dense_golden("cascade_s_eval"));
}

}  // namespace rmt::test

// Segmenters against the official ones: for the same weights and images the same maps, losses,
// gradient of every parameter, moved statistics, and classes. The golden files tests/golden/dense_*
// hold a norm and a projection of each tensor (tests/nn/dense_golden.h).
//
// In f64 both sides round differently and no more: 1e-16 a sum, some thousand of them one after the
// other, and batch norms that divide by small deviations. 1e-9 is asked for.
#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "nn/segmentation/semantic_fpn.h"
#include "nn/segmentation/upernet.h"
#include "ops/adaptive_avg_pool2d.h"
#include "ops/add.h"
#include "ops/resize_bilinear.h"
#include "ops/scale.h"
#include "ops/softmax.h"
#include "tests/nn/dense_golden.h"
#include "tests/nn/segmentation/pixel_loss.h"

namespace rmt::test {
namespace {

using namespace nn;

constexpr double kTolerance = 1e-9;
constexpr int64_t kClasses = 150;

RmtConfig still(const std::string& model) {
  RmtConfig c = rmt_config(model);
  c.drop_path = 0;
  return c;
}

void expect_statistics(Module& model, const Json& golden) {
  size_t found = 0;
  for (const Entry& e : model.state()) {
    if (e.parameter || !golden.contains(e.name)) continue;
    ++found;
    EXPECT_LE(probe_error(probe(e.name, *e.tensor), golden_probe(golden.at(e.name))), kTolerance)
        << e.name;
  }
  EXPECT_EQ(found, golden.size());
}

// Losses, accuracies, gradients and statistics of one training step.
void expect_training(Segmenter& model, const Json& golden) {
  const Tensor images = leaf(dense_images(2, 128, 160));
  const std::vector<int64_t> labels = block_labels(2, 128, 160, kClasses);
  const SegmentationLogits y = model.forward(images);
  const PixelLoss main = pixel_loss(y.main, labels, 128, 160);
  const Json& losses = golden.at("losses");
  EXPECT_NEAR(main.loss.item<double>(), losses.at("decode.loss_seg"), kTolerance);
  EXPECT_NEAR(main.accuracy, losses.at("decode.acc_seg"), kTolerance);
  Tensor total = main.loss;
  ASSERT_EQ(y.aux.defined(), losses.contains("aux.loss_seg"));
  if (y.aux.defined()) {
    const PixelLoss aux = pixel_loss(y.aux, labels, 128, 160);
    const Tensor weighted = ops::scale(aux.loss, kAuxiliaryWeight);
    EXPECT_NEAR(weighted.item<double>(), losses.at("aux.loss_seg"), kTolerance);
    EXPECT_NEAR(aux.accuracy, losses.at("aux.acc_seg"), kTolerance);
    total = ops::add(total, weighted);
  }
  backward(total);
  Json gradients = golden.at("grads");
  const double input =
      probe_error(probe_of_map("input", grad(images)), golden_probe(gradients.at("input")));
  EXPECT_LE(input, kTolerance) << "gradient of the input";
  gradients.erase("input");
  const double worst = expect_gradients(model, gradients, kTolerance);
  expect_statistics(model, golden.at("running"));
  std::printf("    loss off by %.1e, input's gradient %.1e, worst gradient %.1e\n",
              std::fabs(total.item<double>() - double(golden.at("total"))), input, worst);
}

// The maps on the way.
void expect_taps(SemanticFpn& model, const Tensor& images, const Json& taps) {
  const NoGrad off;
  const Maps maps = model.backbone.forward(images), levels = model.neck.forward(maps);
  for (size_t i = 0; i < 4; ++i) {
    expect_tap(taps, str("backbone:", i), maps[i], kTolerance);
    expect_tap(taps, str("neck:", i), levels[i], kTolerance);
    expect_tap(taps, str("decode_head.scale_heads.", i, ":0"),
               model.decode_head.ladders[i]->forward(levels[i]), kTolerance);
  }
}

void expect_taps(UperNet& model, const Tensor& images, const Json& taps) {
  const NoGrad off;
  const Maps maps = model.backbone.forward(images);
  for (size_t i = 0; i < 4; ++i) expect_tap(taps, str("backbone:", i), maps[i], kTolerance);
  UperNetHead& head = model.decode_head;
  const int64_t pools[] = {1, 2, 3, 6};
  for (size_t j = 0; j < 4; ++j) {
    const Tensor x = ops::adaptive_avg_pool2d(maps[3], pools[j], pools[j]);
    expect_tap(taps, str("decode_head.psp_modules:", j),
               ops::resize_bilinear(head.psp_modules[j]->forward(x), 4, 5), kTolerance);
  }
  expect_tap(taps, "decode_head.bottleneck:0", head.with_pools(maps[3]), kTolerance);
  expect_tap(taps, "decode_head.fpn_bottleneck:0", head.features(maps), kTolerance);
}

// Training: the maps first; they move the statistics, which are filled anew.
template <class Model>
void expect_parity(const std::string& backbone, const Json& golden) {
  const RmtConfig config = still(backbone);
  Model model(config, kClasses, {.dropout = 0});
  EXPECT_EQ(model.parameter_count(), golden.at("parameters"));
  dense_fill(model, config);
  model.mode().training = true;
  expect_taps(model, dense_images(2, 128, 160), golden.at("taps"));
  dense_fill(model, config);
  expect_training(model, golden);
}

}  // namespace

TEST(SegmentationParity, SemanticFpnInTraining) {
  expect_parity<SemanticFpn>("rmt_t", dense_golden("fpn_t_train"));
}

// An image of odd size: the logits are resized to the image's size, then to that of the photograph.
TEST(SegmentationParity, SemanticFpnInEvaluation) {
  const Json golden = dense_golden("fpn_t_eval");
  const NoGrad off;
  const RmtConfig config = still("rmt_t");
  SemanticFpn model(config, kClasses, {});
  dense_fill(model, config);
  const Tensor images = dense_images(1, 127, 170);
  expect_taps(model, images, golden.at("taps"));
  const Tensor logits =
      ops::resize_bilinear(ops::resize_bilinear(model.forward(images).main, 127, 170), 90, 121);
  const Tensor p = ops::softmax(logits);
  EXPECT_LE(probe_error(probe_of_map("probabilities", p), golden_probe(golden.at("probabilities"))),
            kTolerance);
  const std::vector<int64_t> classes = likeliest(p);
  // The closest two classes of a pixel differ by 7e-7, far beyond rounding.
  EXPECT_GT(double(golden.at("smallest_margin")), 1e-7);
  for (size_t row = 0; row < 90; ++row)
    EXPECT_EQ(std::vector<int64_t>(golden.at("prediction").at(row)),
              std::vector<int64_t>(classes.begin() + int64_t(row) * 121,
                                   classes.begin() + int64_t(row + 1) * 121))
        << "row " << row;
}

TEST(SegmentationParity, UperNetInTraining) {
  expect_parity<UperNet>("rmt_s", dense_golden("uper_s_train"));
}

}  // namespace rmt::test

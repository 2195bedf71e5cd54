// Small detectors of each kind, on small images: f32, the GPU (an emulated one), threads, images
// without objects, and what is said of wrong inputs.
#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/parallel.h"
#include "nn/detection/rcnn.h"
#include "tests/device.h"
#include "tests/nn/dense_golden.h"
#include "tests/nn/small_model.h"

namespace rmt::test {
namespace {

using namespace nn;

constexpr int64_t kClasses = 3;

RmtConfig tiny() { return small_model({8, 16, 16, 32}, {1, 1, 1, 1}, {2, 2, 2, 4}); }

// Anchors of 8 pixels and more.
DetectorOptions small_options() {
  return {.fpn_channels = 16,
          .fc_channels = 24,
          .anchor_scale = 2,
          .box_samples = 32,
          .proposals = 50,
          .score_threshold = .2,
          .most_detections = 10};
}

struct Batch {
  Tensor images;  // (2, 64, 64, 3)
  std::vector<ImageSize> sizes{{64, 64}, {50, 40}};
  std::vector<GroundTruth> truth;
};

// Masks are the left halves of their boxes.
GroundTruth objects(const std::vector<Box>& boxes, const std::vector<int64_t>& labels) {
  GroundTruth t{boxes, labels, Tensor::zeros({int64_t(boxes.size()), 64, 64}, DType::u8)};
  for (size_t i = 0; i < boxes.size(); ++i)
    for (int64_t y = int64_t(boxes[i].y1); y < int64_t(boxes[i].y2); ++y)
      for (int64_t x = int64_t(boxes[i].x1); x < int64_t(boxes[i].x1 + boxes[i].width() / 2); ++x)
        t.masks.data<uint8_t>()[(int64_t(i) * 64 + y) * 64 + x] = 1;
  return t;
}

Batch batch_of_two() {
  return {.images = dense_images(2, 64, 64),
          .truth = {objects({{4.5, 6.25, 30.1, 28.3}, {33.2, 20.9, 60.7, 61.4}}, {0, 2}),
                    objects({{3.1, 5.2, 21.7, 44.9}}, {1})}};
}

std::unique_ptr<Detector> detector(const std::string& name, DType dtype,
                                   Device device = Device::cpu) {
  auto model = make_detector(name, tiny(), kClasses, small_options());
  dense_fill(*model, tiny());
  model->to(dtype);
  model->to(device);
  model->mode().training = true;
  model->mode().seed = 3;
  return model;
}

Losses losses_of(Detector& model, const Batch& batch) {
  const Tensor& like = *model.parameters()[0].tensor;
  return model.losses(batch.images.to(like.dtype()).to(like.device()), batch.sizes, batch.truth);
}

void expect_same_losses(const Losses& a, const Losses& b, double tolerance) {
  ASSERT_EQ(a.parts.size(), b.parts.size());
  for (size_t i = 0; i < a.parts.size(); ++i) {
    EXPECT_EQ(a.parts[i].first, b.parts[i].first);
    EXPECT_NEAR(a.parts[i].second.to(DType::f64).item<double>(),
                b.parts[i].second.to(DType::f64).item<double>(), tolerance)
        << a.parts[i].first;
  }
}

class SmallDetectors : public testing::TestWithParam<std::string> {};

INSTANTIATE_TEST_SUITE_P(Kinds, SmallDetectors, testing::ValuesIn(detector_names()),
                         [](const auto& kind) { return kind.param; });

}  // namespace

// f32 has 6e-8; a loss goes through some thousand roundings, of which most cancel.
TEST_P(SmallDetectors, LossesInF32) {
  const auto wide = detector(GetParam(), DType::f64), narrow = detector(GetParam(), DType::f32);
  expect_same_losses(losses_of(*wide, batch_of_two()), losses_of(*narrow, batch_of_two()), 1e-4);
}

TEST_P(SmallDetectors, TheSameBitsForAnyNumberOfThreads) {
  const int before = threads();
  std::vector<double> totals, gradients;
  for (const int n : {1, 2, 3}) {
    set_threads(n);
    const auto model = detector(GetParam(), DType::f32);
    const Losses losses = losses_of(*model, batch_of_two());
    backward(losses.total);
    totals.push_back(losses.total.item<float>());
    gradients.push_back(probe("g", grad(*model->parameters()[0].tensor)).projection);
  }
  set_threads(before);
  for (size_t i = 1; i < totals.size(); ++i) {
    EXPECT_EQ(totals[i], totals[0]);
    EXPECT_EQ(gradients[i], gradients[0]);
  }
}

// The boxes that are learned from are a function of the seed, the step and the image's place among
// all that the step has, whichever process they are in.
TEST_P(SmallDetectors, StepsDrawOtherBoxes) {
  const auto total = [&](uint64_t seed, int64_t step, int64_t first_sample = 0) {
    const auto model = detector(GetParam(), DType::f64);
    model->mode().seed = seed;
    model->mode().step = step;
    model->mode().first_sample = first_sample;
    return losses_of(*model, batch_of_two()).total.item<double>();
  };
  EXPECT_EQ(total(1, 5), total(1, 5));
  if (GetParam() == "retinanet") return;  // it learns from all
  EXPECT_NE(total(1, 5), total(1, 6));
  EXPECT_NE(total(1, 5), total(2, 5));
  EXPECT_NE(total(1, 5), total(1, 5, 2));
}

// Nothing is there: all is background. Every parameter has a gradient all the same, so that
// processes of which one has no objects add up the same list.
TEST_P(SmallDetectors, ImagesWithoutObjects) {
  Batch batch = batch_of_two();
  batch.truth.assign(2, {});
  const auto model = detector(GetParam(), DType::f64);
  const Losses losses = losses_of(*model, batch);
  for (const auto& [name, value] : losses.parts) {
    const bool of_objects =
        name.find("bbox") != std::string::npos || name.find("mask") != std::string::npos;
    if (of_objects) {
      EXPECT_EQ(value.item<double>(), 0) << name;
    } else if (name.find("loss") != std::string::npos) {
      EXPECT_GT(value.item<double>(), 0) << name;
    }
  }
  backward(losses.total);
  for (const Entry& e : model->parameters()) {
    const bool unused = GetParam() == "retinanet" && e.name.find("extra_norms.0") != e.name.npos;
    ASSERT_EQ(grad(*e.tensor).defined(), !unused) << e.name;
    EXPECT_TRUE(unused || grad(*e.tensor).all_finite()) << e.name;
  }
}

TEST_P(SmallDetectors, DetectionsLieInTheOriginalImage) {
  const auto model = detector(GetParam(), DType::f32);
  model->mode().training = false;
  const Batch batch = batch_of_two();
  const auto found =
      model->detect(batch.images.to(DType::f32), batch.sizes, {{{2, 2}}, {{.5, .25}}});
  ASSERT_EQ(found.size(), 2u);
  const double widths[] = {32, 80}, heights[] = {32, 200};
  for (size_t b = 0; b < 2; ++b) {
    EXPECT_FALSE(found[b].empty());
    EXPECT_LE(found[b].size(), 10u);
    for (size_t i = 0; i < found[b].size(); ++i) {
      const Detection& d = found[b][i];
      EXPECT_TRUE(d.box.x1 >= 0 && d.box.x1 <= d.box.x2 && d.box.x2 <= widths[b]);
      EXPECT_TRUE(d.box.y1 >= 0 && d.box.y1 <= d.box.y2 && d.box.y2 <= heights[b]);
      EXPECT_TRUE(d.score > .2 && d.score <= 1);
      EXPECT_TRUE(i == 0 || d.score <= found[b][i - 1].score);
      EXPECT_EQ(d.mask.size(), model->has_masks() ? size_t(kMaskSide * kMaskSide) : 0u);
      for (float p : d.mask) EXPECT_TRUE(p > 0 && p < 1);
    }
  }
}

TEST_P(SmallDetectors, WrongInputsAreErrors) {
  const auto model = detector(GetParam(), DType::f64);
  Batch batch = batch_of_two();
  batch.sizes.pop_back();
  EXPECT_THROW(losses_of(*model, batch), Error);
  batch = batch_of_two();
  batch.sizes[1] = {65, 40};
  EXPECT_THROW(losses_of(*model, batch), Error);
  batch = batch_of_two();
  batch.truth[1].labels[0] = kClasses;
  EXPECT_THROW(losses_of(*model, batch), Error);
  batch = batch_of_two();
  batch.truth[1].boxes[0].x2 = batch.truth[1].boxes[0].x1;
  EXPECT_THROW(losses_of(*model, batch), Error);
  batch = batch_of_two();
  batch.truth[0].masks = {};
  if (model->has_masks()) {
    EXPECT_THROW(losses_of(*model, batch), Error);
  } else {
    EXPECT_NO_THROW(losses_of(*model, batch));
  }
  EXPECT_THROW(make_detector("yolo", tiny(), kClasses), Error);
}

// A network that has gone astray gives nothing to look at, and does not stop the program.
TEST_P(SmallDetectors, NumbersThatAreNotFinite) {
  const auto model = detector(GetParam(), DType::f32);
  model->mode().training = false;
  const Batch batch = batch_of_two();
  const Tensor images = Tensor::full({2, 64, 64, 3}, NAN);
  for (const auto& of_image : model->detect(images, batch.sizes, {{{1, 1}}, {{1, 1}}}))
    EXPECT_TRUE(of_image.empty());
}

// At first all anchors say the same: the biases, and weights that hardly matter.
TEST_P(SmallDetectors, InitialValues) {
  const auto model = make_detector(GetParam(), tiny(), kClasses, small_options());
  model->init(1);
  for (const Entry& e : model->parameters()) {
    const std::vector<double> v = e.tensor->to(DType::f64).to_vector<double>();
    double square = 0, largest = 0;
    for (double x : v) square += x * x, largest = std::max(largest, std::fabs(x));
    const double deviation = std::sqrt(square / double(v.size()));
    const auto is = [&](const char* part) { return e.name.find(part) != std::string::npos; };
    if (is("retina_cls.bias")) {
      EXPECT_NEAR(deviation, 4.59512, 1e-5);
    } else if (is("head.") && e.tensor->rank() == 1 && !is(".bn.weight")) {
      EXPECT_EQ(largest, 0) << e.name;
    } else if (is("upsample.weight")) {  // 2 / (I k k) of (I, O, 2, 2)
      EXPECT_NEAR(deviation, std::sqrt(2. / (16 * 4)), .02) << e.name;
    } else if (is("conv_logits.weight")) {
      EXPECT_NEAR(deviation, std::sqrt(2. / kClasses), .25) << e.name;
    } else if (is("fc_reg.weight")) {
      EXPECT_NEAR(deviation, .001, .0003) << e.name;
    } else if (is("shared_fcs.0.weight")) {
      EXPECT_NEAR(largest, std::sqrt(6. / (16 * 49 + 24)), .001) << e.name;
    } else if (is("fc_cls.weight") || is("rpn_conv.weight") || is("retina_reg.weight")) {
      EXPECT_NEAR(deviation, .01, .002) << e.name;
    }
  }
}

// The emulated GPU computes in the same order in f64 but for sums; 1e-9 is a thousand times more
// than they differ by. A gradient that is 0 but for rounding is compared at the largest's scale.
class SmallDetectorsOnDevice : public OnDevice, public testing::WithParamInterface<std::string> {};
INSTANTIATE_TEST_SUITE_P(Kinds, SmallDetectorsOnDevice, testing::ValuesIn(detector_names()),
                         [](const auto& kind) { return kind.param; });

TEST_P(SmallDetectorsOnDevice, LossesAndGradientsAreThoseOfTheCpu) {
  const auto host = detector(GetParam(), DType::f64),
             gpu = detector(GetParam(), DType::f64, Device::cuda);
  const Losses a = losses_of(*host, batch_of_two()), b = losses_of(*gpu, batch_of_two());
  expect_same_losses(a, b, 1e-9);
  backward(a.total);
  backward(b.total);
  const std::vector<Entry> of_host = host->parameters(), of_gpu = gpu->parameters();
  double largest = 0;
  for (const Entry& e : of_host)
    if (grad(*e.tensor).defined()) largest = std::max(largest, probe("g", grad(*e.tensor)).norm);
  for (size_t i = 0; i < of_host.size(); ++i) {
    const Tensor g = grad(*of_host[i].tensor);
    if (!g.defined()) continue;
    const Probe expected = probe("g", g);
    EXPECT_LE(probe_error(probe("g", grad(*of_gpu[i].tensor)), expected, 1e-6 * largest), 1e-9)
        << of_host[i].name;
  }
}

TEST_P(SmallDetectorsOnDevice, LossesInF32AndDetections) {
  const auto host = detector(GetParam(), DType::f64),
             gpu = detector(GetParam(), DType::f32, Device::cuda);
  expect_same_losses(losses_of(*host, batch_of_two()), losses_of(*gpu, batch_of_two()), 1e-4);
  const Batch batch = batch_of_two();
  for (Detector* model : {host.get(), gpu.get()}) model->mode().training = false;
  const auto expected = host->detect(batch.images, batch.sizes, {{{1, 1}}, {{1, 1}}}),
             found = gpu->detect(batch.images.to(DType::f32).to(Device::cuda), batch.sizes,
                                 {{{1, 1}}, {{1, 1}}});
  for (size_t b = 0; b < 2; ++b) {
    ASSERT_EQ(found[b].size(), expected[b].size());
    for (size_t i = 0; i < found[b].size(); ++i)
      EXPECT_NEAR(found[b][i].score, expected[b][i].score, 1e-4);
  }
}

}  // namespace rmt::test

// Segmenters: names, shapes and sizes of the published ones, what they cost, how they begin, what
// they refuse, and that f32 and the GPU compute what f64 does.
#include <gtest/gtest.h>

#include <cmath>
#include <iomanip>
#include <map>
#include <sstream>

#include "autograd/backward.h"
#include "nn/rmt/cost.h"
#include "nn/segmentation/segmenter.h"
#include "ops/add.h"
#include "ops/kernels/multiply_adds.h"
#include "ops/scale.h"
#include "tests/check_op.h"
#include "tests/device.h"
#include "tests/golden_model.h"
#include "tests/nn/dense_golden.h"
#include "tests/nn/segmentation/pixel_loss.h"

namespace rmt::test {
namespace {

using namespace nn;

struct Published {
  const char *config, *head, *backbone;
  int64_t parameters;
};

constexpr Published kPublished[] = {
    {"RMT_FPN_t_1x", "semantic_fpn", "rmt_t", 17034038},
    {"RMT_FPN_s_1x", "semantic_fpn", "rmt_s", 29667062},
    {"RMT_FPN_m_1x", "semantic_fpn", "rmt_b", 56883614},
    {"RMT_FPN_l_1x", "semantic_fpn", "rmt_l", 98153326},
    {"RMT_Uper_s_2x", "upernet", "rmt_s", 55724428},
    {"RMT_Uper_m_2x", "upernet", "rmt_b", 83117108},
    {"RMT_Uper_l_2x", "upernet", "rmt_l", 125558276},
};

std::unique_ptr<Segmenter> published(const Published& p) {
  return make_segmenter(p.head, rmt_config(p.backbone), 150);
}

// "P name [2, 3]" for a parameter, "B name []" for a buffer, in the order of state().
std::vector<std::string> listed(Module& model) {
  std::vector<std::string> lines;
  for (const Entry& e : model.state()) {
    std::string shape;
    for (int64_t n : e.tensor->shape()) shape += str(shape.empty() ? "" : ", ", n);
    lines.push_back(str(e.parameter ? "P " : "B ", e.name, " [", shape, "]"));
  }
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + line;
  return text;
}

// Of a forward pass on zeros of one image, without the products of attention.
int64_t counted(Segmenter& model, int64_t H, int64_t W) {
  const NoGrad off;
  multiply_adds_counted = 0;
  model.forward(Tensor::zeros({1, H, W, 3}));
  const int64_t attention = total(cost(model.backbone.config, H, W)).attention_multiply_adds;
  return multiply_adds_counted - attention;
}

// Without attention every layer but those behind UperNet's pools costs the same for each pixel, and
// those cost the same for every image: a + b H W, for sizes that 32 divides. Two small images give
// both numbers exactly.
int64_t of_image(Segmenter& model, int64_t H, int64_t W) {
  const int64_t one = counted(model, 32, 32), two = counted(model, 32, 64);
  return one + (two - one) * (H * W / (32 * 32) - 1);
}

// A small segmenter's training step on two images of 64 x 64 pixels. Results are on the CPU, in
// f64.
struct Step {
  double loss;
  std::vector<Tensor> gradients;
};

Step step_of(const std::string& head, DType dtype, Device device) {
  RmtConfig config = rmt_config("rmt_n");
  config.drop_path = 0;
  const auto model = make_segmenter(head, config, 11, {.channels = 32, .dropout = 0});
  dense_fill(*model, config);
  model->to(dtype);
  model->to(device);
  model->mode().training = true;
  const SegmentationLogits y = model->forward(dense_images(2, 64, 64).to(dtype).to(device));
  const std::vector<int64_t> labels = block_labels(2, 64, 64, 11);
  Tensor loss = pixel_loss(y.main, labels, 64, 64).loss;
  if (y.aux.defined())
    loss = ops::add(loss, ops::scale(pixel_loss(y.aux, labels, 64, 64).loss, kAuxiliaryWeight));
  backward(loss);
  Step s{loss.to(Device::cpu).to(DType::f64).item<double>(), {}};
  for (const Entry& e : model->parameters())
    s.gradients.push_back(grad(*e.tensor).to(Device::cpu).to(DType::f64));
  return s;
}

// ||g - g'|| / ||g'|| of all gradients together.
double distance(const Step& s, const Step& reference) {
  double difference = 0, norm = 0;
  for (size_t p = 0; p < s.gradients.size(); ++p) {
    const double* g = s.gradients[p].data<double>();
    const double* r = reference.gradients[p].data<double>();
    for (int64_t i = 0; i < s.gradients[p].numel(); ++i) {
      difference += (g[i] - r[i]) * (g[i] - r[i]);
      norm += r[i] * r[i];
    }
  }
  return std::sqrt(difference / norm);
}

void expect_close(const std::string& head, Device device) {
  const Step exact = step_of(head, DType::f64, Device::cpu), s = step_of(head, DType::f32, device);
  const double loss = std::fabs(s.loss - exact.loss) / exact.loss, gradients = distance(s, exact);
  std::printf("    %s in f32: loss off by %.1e, gradients by %.1e\n", head.c_str(), loss,
              gradients);
  EXPECT_LE(loss, 1e-4);
  EXPECT_LE(gradients, 1e-4);
}

class SegmenterOnGpu : public OnDevice {};

}  // namespace

TEST(Segmenter, NamesOrderAndShapesAreTheOfficialOnes) {
  const Json golden = dense_golden("segmentation_names");
  for (const Published& p : kPublished) {
    const auto model = published(p);
    const Json& official = golden.at(p.config);
    EXPECT_EQ(model->parameter_count(), p.parameters) << p.config;
    EXPECT_EQ(model->parameter_count(), official.at("parameters")) << p.config;
    const std::vector<std::string> lines = listed(*model);
    EXPECT_EQ(lines.size(), official.at("entries")) << p.config;
    if (official.contains("heads")) {
      std::vector<std::string> heads;
      for (const std::string& line : lines)
        if (line.find(" backbone.") == std::string::npos) heads.push_back(line);
      EXPECT_EQ(joined(heads), joined(official.at("heads"))) << p.config;
    }
    std::ostringstream hash;
    hash << std::hex << std::setw(16) << std::setfill('0') << golden_seed(joined(lines));
    EXPECT_EQ(hash.str(), official.at("hash")) << p.config;
  }
}

// The paper's table counts what the official tool counts: no attention, no auxiliary head; Semantic
// FPN with RMT-T on 512 x 512 pixels and with RMT-S, like UperNet, on 512 x 2048, in 1e9.
TEST(Segmenter, MultiplyAddsAreThePapers) {
  struct Row {
    size_t published;
    int64_t H, W;
    double paper, digit;
  };
  for (const Row& r :
       {Row{0, 512, 512, 33.7, 0.1}, {1, 512, 2048, 180, 1}, {4, 512, 2048, 937, 1}}) {
    const Published& p = kPublished[r.published];
    const auto model = published(p);
    const int64_t n = of_image(*model, r.H, r.W);
    const int64_t attention = total(cost(rmt_config(p.backbone), r.H, r.W)).attention_multiply_adds;
    EXPECT_NEAR(double(n) / 1e9, r.paper, r.digit) << p.config;
    std::printf("    %s: %.1f e9, with attention %.1f e9\n", p.config, double(n) / 1e9,
                double(n + attention) / 1e9);
  }
}

// In f32 a number is off by 2^-24 = 6e-8, and a chain of some hundred layers adds up to some
// hundred such errors with random signs: about 1e-6. Batch norms of few numbers make it more where
// their deviation is small; 1e-4 is asked for, and no other formula comes that near.
TEST(Segmenter, SinglePrecision) {
  for (const std::string& head : segmentation_heads()) expect_close(head, Device::cpu);
}

TEST_F(SegmenterOnGpu, ComputesTheSame) {
  for (const std::string& head : segmentation_heads()) expect_close(head, Device::cuda);
}

TEST(Segmenter, InitialValues) {
  for (const std::string& head : segmentation_heads()) {
    const auto model = make_segmenter(head, rmt_config("rmt_n"), 30, {.channels = 64});
    model->init(1);
    std::map<std::string, Tensor> of;
    for (const Entry& e : model->state()) of[e.name] = e.tensor->to(DType::f64);
    const auto deviation = [&](const std::string& name) {
      return probe("", of.at(name)).norm / std::sqrt(double(of.at(name).numel()));
    };
    // N(0, 0.01^2), of 30 x 32 or 30 x 128 numbers n: a deviation is known to 1 / sqrt(2 n) = 2 %.
    EXPECT_NEAR(deviation("decode_head.conv_seg.weight"), 0.01, 0.001) << head;
    // He's rule, N(0, 2 / (O k k)), in the neck, too: nothing asks for Xavier's there.
    const bool fpn = head == "semantic_fpn";
    const std::string conv = fpn ? "neck.fpn_convs.0.conv" : "decode_head.fpn_convs.0.conv";
    const double O = double(of.at(conv + ".weight").dim(0)), he = std::sqrt(2 / (9 * O));
    EXPECT_NEAR(deviation(conv + ".weight"), he, 0.02 * he) << head;
    const std::string biased = fpn ? "neck.lateral_convs.0.conv" : "decode_head.conv_seg";
    EXPECT_EQ(deviation(biased + ".bias"), 0) << head;
    EXPECT_EQ(deviation(fpn ? "decode_head.scale_heads.0.0.bn.weight"
                            : "decode_head.bottleneck.bn.weight"),
              1);
  }
}

// The logits are at a quarter of the image, for sides that 4 does not divide rounded up; the
// auxiliary ones at a sixteenth, in training alone.
TEST(Segmenter, SizesAndModes) {
  const NoGrad off;
  const Tensor images = dense_images(2, 45, 67).to(DType::f32);
  for (const std::string& head : segmentation_heads()) {
    const auto model = make_segmenter(head, rmt_config("rmt_n"), 5, {.channels = 8});
    EXPECT_EQ(model->num_classes, 5);
    model->init(2);
    const SegmentationLogits y = model->forward(images);
    EXPECT_EQ(y.main.shape(), (Shape{2, 12, 17, 5}));
    EXPECT_FALSE(y.aux.defined());
    model->mode().training = true;
    const SegmentationLogits in_training = model->forward(images);
    const Shape expected = head == "upernet" ? Shape{2, 3, 5, 5} : Shape{};
    EXPECT_EQ(in_training.aux.defined(), head == "upernet");
    EXPECT_EQ(in_training.aux.shape(), expected);
    for (const std::string& layer : model->class_layers()) {
      int64_t rows = 0;
      for (const Entry& e : model->parameters())
        if (e.name == layer + ".weight") rows = e.tensor->dim(0);
      EXPECT_EQ(rows, 5) << layer;
    }
  }
}

// Dropout draws by the step and the image's place in the batch, and is off in evaluation.
TEST(Segmenter, DropoutIsAFunctionOfTheStep) {
  const NoGrad off;
  RmtConfig config = rmt_config("rmt_n");
  config.drop_path = 0;
  const auto model = make_segmenter("semantic_fpn", config, 5, {.channels = 64, .dropout = 0.5});
  model->init(3);
  model->mode().training = true;
  const Tensor images = dense_images(2, 32, 32).to(DType::f32);
  const auto logits = [&](int64_t step) {
    model->mode().step = step;
    return model->forward(images).main.to_vector<float>();
  };
  const std::vector<float> first = logits(7);
  EXPECT_EQ(first, logits(7));
  EXPECT_NE(first, logits(8));
}

TEST(Segmenter, Errors) {
  const RmtConfig config = rmt_config("rmt_n");
  expect_error([&] { make_segmenter("fcn", config, 5); }, {"\"fcn\"", "semantic_fpn, upernet"});
  expect_error([&] { make_segmenter("upernet", config, 0); }, {"0 classes", "at least 1"});
  expect_error([&] { make_segmenter("upernet", config, 5, {.channels = 63}); }, {"63", "even"});
  const auto model = make_segmenter("upernet", config, 5, {.channels = 8});
  model->mode().training = true;
  expect_error([&] { model->forward(Tensor::zeros({1, 64, 64, 3})); }, {"a larger batch"});
  expect_error([&] { model->forward(Tensor::zeros({2, 31, 64, 3})); }, {"31 x 64", "32 x 32"});
}

}  // namespace rmt::test

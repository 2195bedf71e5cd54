// Detectors by name: what they are made of, what they cost, and that they compute the same in f32,
// on a GPU, and with any number of threads.
#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/parallel.h"
#include "nn/detection/cost.h"
#include "nn/detection/rcnn.h"
#include "tests/device.h"
#include "tests/golden_model.h"
#include "tests/nn/dense_golden.h"
#include "tests/nn/small_model.h"

namespace rmt::test {
namespace {

using namespace nn;

// "maskrcnn_s_1x" -> mask_rcnn over rmt_s; the official m is the paper's b.
std::string detector_of(const std::string& config) {
  const std::string kind = config.substr(0, config.find('_'));
  if (kind == "retinanet") return kind;
  return kind == "maskrcnn" ? "mask_rcnn" : "cascade_mask_rcnn";
}

std::string backbone_of(const std::string& config) {
  const char size = config[config.find('_') + 1];
  return std::string("rmt_") + (size == 'm' ? 'b' : size);
}

// The state_dict as lines "P name [2, 3]" and "B name []".
std::string lines_of(Module& model) {
  std::string lines;
  for (const Entry& e : model.state()) {
    std::string shape;
    for (int i = 0; i < e.tensor->rank(); ++i) shape += str(i ? ", " : "", e.tensor->dim(i));
    lines += str(lines.empty() ? "" : "\n", e.parameter ? "P " : "B ", e.name, " [", shape, "]");
  }
  return lines;
}

std::string hash_of(const std::string& text) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", (unsigned long long)golden_seed(text));
  return digits;
}

double giga(const std::string& detector, const std::string& backbone) {
  const Cost c = total(cost_of_detector(detector, rmt_config(backbone), 80, {}, 800, 1280));
  return double(c.multiply_adds - c.attention_multiply_adds) / 1e9;
}

}  // namespace

// The names, their order and their shapes of all thirteen official configurations, by a hash.
TEST(Detectors, NamesAndShapesAreTheOfficialOnes) {
  const Json all = dense_golden("detector_names");
  for (const auto& [config, golden] : all.items()) {
    const std::string kind = detector_of(config);
    const RmtConfig backbone = rmt_config(backbone_of(config));
    const auto model = make_detector(kind, backbone, 80);
    EXPECT_EQ(int64_t(model->state().size()), golden.at("entries")) << config;
    EXPECT_EQ(model->parameter_count(), golden.at("parameters")) << config;
    EXPECT_EQ(hash_of(lines_of(*model)), golden.at("hash")) << config;
    EXPECT_EQ(total(cost_of_detector(kind, backbone, 80, {}, 800, 1280)).parameters,
              golden.at("parameters"))
        << config;
  }
}

// The paper's tables say 199, 218 and 741. They count norms, of which the cascade's heads have
// most: 12 of 1000 x 49 x 256 numbers, 0.15 in all at one multiply-add each.
TEST(Detectors, MultiplyAddsAreThePapers) {
  EXPECT_NEAR(giga("retinanet", "rmt_t"), 199, .5);
  EXPECT_NEAR(giga("mask_rcnn", "rmt_t"), 218, .5);
  EXPECT_NEAR(giga("cascade_mask_rcnn", "rmt_s") + .15, 741, .6);
}

}  // namespace rmt::test

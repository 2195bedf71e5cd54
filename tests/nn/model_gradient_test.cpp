// The gradient of the whole model, with every switch of the ablations: all parameters move along a
// random direction d, and (f(w + h d) - f(w - h d)) / 2h is compared with d . df/dw.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "autograd/backward.h"
#include "ops/mul.h"
#include "ops/sum.h"
#include "tests/check_op.h"
#include "tests/nn/small_model.h"

namespace rmt::test {
namespace {

using nn::AttentionForm, nn::Rmt, nn::RmtConfig, nn::StageConfig;

// A name, and what is changed in the model.
struct Switch {
  const char* name;
  std::function<void(RmtConfig&)> change;
};

Switch off(const char* name, bool RmtConfig::*field) {
  return {name, [field](RmtConfig& c) { c.*field = false; }};
}
Switch in_all_stages(const char* name, bool StageConfig::*field, bool value) {
  return {name, [field, value](RmtConfig& c) { set_stages(c, field, value); }};
}
Switch decay_mode(const char* name, ops::DecayMode mode) {
  return {name, [mode](RmtConfig& c) { c.decay_mode = mode; }};
}

Switch attention(const char* name, AttentionForm form, bool decay) {
  return {name, [form, decay](RmtConfig& c) {
            c.attention = form;
            c.decay = decay;
            c.retention_chunk = 5;
          }};
}

std::vector<Switch> switches() {
  return {{"as published", [](RmtConfig&) {}},
          decay_mode("post_multiply", ops::DecayMode::post_multiply),
          decay_mode("post_multiply_normalised", ops::DecayMode::post_multiply_normalised),
          attention("retention", AttentionForm::retention, true),
          attention("retention without decay", AttentionForm::retention, false),
          attention("gate", AttentionForm::gate, true),
          attention("gate without decay", AttentionForm::gate, false),
          off("vanilla attention", &RmtConfig::decay),
          off("no LCE", &RmtConfig::local_context),
          off("no CPE", &RmtConfig::position_conv),
          off("patch stem", &RmtConfig::conv_stem),
          off("no rotary", &RmtConfig::rotary),
          off("no FFN conv", &RmtConfig::ffn_conv),
          in_all_stages("LayerScale", &StageConfig::layer_scale, true),
          in_all_stages("all decomposed", &StageConfig::decomposed, true),
          in_all_stages("none decomposed", &StageConfig::decomposed, false),
          {"no projection", [](RmtConfig& c) { c.projection = 0; }},
          {"drop path", [](RmtConfig& c) { c.drop_path = 0.4; }},
          {"recompute", [](RmtConfig& c) {
             c.recompute = true;
             c.drop_path = 0.4;
           }}};
}

// Adds `by` times the directions to the parameters.
void move(Rmt& model, const std::vector<Tensor>& directions, double by) {
  const std::vector<nn::Entry> parameters = model.parameters();
  for (size_t p = 0; p < parameters.size(); ++p)
    for (int64_t i = 0; i < directions[p].numel(); ++i)
      parameters[p].tensor->data<double>()[i] += by * directions[p].data<double>()[i];
}

// In f64 and in training, with weights that are larger than the initial ones, so that every part
// matters to the result.
void prepare(Rmt& model) {
  model.init(3);
  for (nn::Entry& e : model.parameters()) {
    Tensor noise = randn(e.tensor->shape(), std::hash<std::string>()(e.name), 0, 0.15);
    for (int64_t i = 0; i < noise.numel(); ++i)
      e.tensor->data<float>()[i] += float(noise.data<double>()[i]);
  }
  model.to(DType::f64);
  model.mode() = {.training = true, .seed = 11, .step = 4};
}

// d . df/dw by the backward pass, and the directions d. Every parameter must get a gradient.
double slope_along(Rmt& model, std::vector<Tensor>& directions) {
  double slope = 0;
  for (nn::Entry& e : model.parameters()) {
    Tensor d = randn(e.tensor->shape(), std::hash<std::string>()(e.name) + 1, 0, 0.1);
    directions.push_back(d);
    EXPECT_TRUE(grad(*e.tensor).defined()) << e.name << " gets no gradient";
    if (!grad(*e.tensor).defined()) continue;
    for (int64_t i = 0; i < d.numel(); ++i)
      slope += d.data<double>()[i] * grad(*e.tensor).data<double>()[i];
  }
  return slope;
}

}  // namespace

TEST(Model, GradientAlongARandomDirectionForEverySwitch) {
  const Tensor images = randn({2, 45, 64, 3}, 5), u = randn({2, 7}, 6);
  for (const Switch& s : switches()) {
    SCOPED_TRACE(s.name);
    RmtConfig c = small_model({8, 16, 16, 32}, {1, 1, 2, 1}, {1, 2, 2, 4});
    c.num_classes = 7;
    c.projection = 24;
    s.change(c);
    Rmt model(c);
    prepare(model);
    auto value = [&] { return ops::sum(ops::mul(model.forward(images), u)); };
    backward(value());
    std::vector<Tensor> directions;
    const double slope = slope_along(model, directions);
    auto at = [&](double h) {
      NoGrad off;
      move(model, directions, h);
      const double f = value().item<double>();
      move(model, directions, -h);
      return f;
    };
    // Four-point central difference: error h^4 f^(5) / 30 + 1e-16 |f| / h, both below 1e-9 for
    // h = 1e-4 and values of order 1 to 100.
    const double h = 1e-4, numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
    EXPECT_NEAR(slope, numeric, 1e-7 * (1 + std::fabs(slope)));
  }
}

}  // namespace rmt::test

// The gradient of the whole model, with every switch of the ablations.
#include <functional>

#include "tests/nn/gradient_along.h"
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
    expect_gradient_along_a_direction(model, images, u);
  }
}

}  // namespace rmt::test

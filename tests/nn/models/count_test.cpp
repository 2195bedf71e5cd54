// The multiply-adds that the ops count while an image passes are those of the closed formula.
#include "nn/models/count.h"

#include <gtest/gtest.h>

#include "nn/rmt/cost.h"
#include "nn/rmt/model.h"

namespace rmt::test {
namespace {

void expect_same(const nn::RmtConfig& c, const std::string& what, int64_t S = 64) {
  nn::Rmt model(c);
  model.init(1);
  model.mode().training = true;
  EXPECT_EQ(nn::counted_multiply_adds(model, S), nn::total(nn::cost(c, S, S)).multiply_adds)
      << c.name << ", " << what;
  EXPECT_TRUE(model.mode().training) << "counting leaves the mode as it was";
}

}  // namespace

TEST(Count, OfAnRmtItIsTheFormula) {
  for (const char* name : {"rmt_n", "rmt_t"}) expect_same(nn::rmt_config(name), "as published");
  expect_same(nn::rmt_config("rmt_n"), "sides that do not halve", 77);
}

TEST(Count, OfEachAblation) {
  auto with = [](const std::string& what, const auto& change) {
    nn::RmtConfig c = nn::rmt_config("rmt_n");
    change(c);
    expect_same(c, what);
  };
  with("no decay", [](nn::RmtConfig& c) { c.decay = false; });
  with("no rotary", [](nn::RmtConfig& c) { c.rotary = false; });
  with("no LCE", [](nn::RmtConfig& c) { c.local_context = false; });
  with("no CPE", [](nn::RmtConfig& c) { c.position_conv = false; });
  with("no FFN conv", [](nn::RmtConfig& c) { c.ffn_conv = false; });
  with("no conv stem", [](nn::RmtConfig& c) { c.conv_stem = false; });
  with("no projection", [](nn::RmtConfig& c) { c.projection = 0; });
  with("7 classes", [](nn::RmtConfig& c) { c.num_classes = 7; });
  with("recompute", [](nn::RmtConfig& c) { c.recompute = true; });
  for (bool decomposed : {false, true})
    with("decomposed", [&](nn::RmtConfig& c) {
      for (nn::StageConfig& s : c.stages) s.decomposed = decomposed, s.layer_scale = true;
    });
  for (auto mode : {ops::DecayMode::post_multiply, ops::DecayMode::post_multiply_normalised})
    with("another decay mode", [&](nn::RmtConfig& c) { c.decay_mode = mode; });
}

}  // namespace rmt::test

// The drawings of a model say what the model has: every number of the picture is looked up in its
// config and its costs.
#include "nn/rmt/drawing.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "nn/rmt/cost.h"

namespace rmt::test {
namespace {

using nn::RmtConfig, nn::StageConfig;

// A text element of the picture is exactly this.
void expect_text(const std::string& svg, const std::string& text) {
  EXPECT_NE(svg.find(">" + text + "</text>"), std::string::npos)
      << text << " is not in the picture";
}

std::string with_commas(int64_t n) {
  std::string out = std::to_string(n);
  for (int64_t at = int64_t(out.size()) - 3; at > 0; at -= 3) out.insert(size_t(at), 1, ',');
  return out;
}

std::string printed(const char* format, double x) {
  char text[32];
  std::snprintf(text, sizeof text, format, x);
  return text;
}

}  // namespace

TEST(Drawing, ArchitectureHasTheNumbersOfEachPart) {
  for (const std::string& name : nn::rmt_names()) {
    SCOPED_TRACE(name);
    const RmtConfig c = nn::rmt_config(name);
    const std::string svg = draw_architecture(c, 224, 192);
    expect_text(svg, name);
    int64_t H = 56, W = 48;
    for (const StageConfig& s : c.stages) {
      expect_text(svg, str(H, " x ", W, " x ", s.channels));
      expect_text(svg, str(s.blocks));
      expect_text(svg, str(s.heads, " of ", s.channels / s.heads));
      expect_text(svg, str(s.hidden()));
      H /= 2;
      W /= 2;
    }
    for (const nn::Cost& part : cost(c, 224, 192)) {
      expect_text(svg, with_commas(part.parameters));
      expect_text(svg, printed("%.3f", double(part.multiply_adds) / 1e9));
    }
  }
}

TEST(Drawing, ABlockShowsOnlyWhatTheModelHas) {
  RmtConfig c = nn::rmt_config("rmt_t");
  for (const char* part : {"CPE", "LCE", "q k rotated", "with decay", "of g, plus g"})
    expect_text(draw_architecture(c, 224, 224), part);
  c.position_conv = false;
  c.local_context = false;
  c.rotary = false;
  c.decay = false;
  c.ffn_conv = false;
  const std::string bare = draw_architecture(c, 224, 224);
  for (const char* part : {"CPE", "LCE", "rotated", "with decay", "of g, plus g"})
    EXPECT_EQ(bare.find(part), std::string::npos) << part;
}

TEST(Drawing, DecayHasEveryHeadsGamma) {
  const RmtConfig c = nn::rmt_config("rmt_l");
  const std::string svg = draw_decay(c, 224, 224);
  for (const StageConfig& s : c.stages)
    for (int64_t i = 0; i < s.heads; ++i) {
      const double gamma =
          1 - std::exp2(-s.decay_first - s.decay_range * double(i) / double(s.heads));
      expect_text(svg, printed("%.4f", gamma));
      expect_text(svg, printed("%.1f", std::log(0.5) / std::log(gamma)));
    }
}

TEST(Drawing, ANameIsTextAndNothingElse) {
  RmtConfig c = nn::rmt_config("rmt_n");
  c.name = "</text><script>";
  for (const std::string& svg : {draw_architecture(c, 64, 64), draw_decay(c, 64, 64)}) {
    EXPECT_EQ(svg.find("<script"), std::string::npos);
    expect_text(svg, "&lt;/text&gt;&lt;script&gt;");
  }
}

}  // namespace rmt::test

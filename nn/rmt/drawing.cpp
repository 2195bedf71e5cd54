#include "nn/rmt/drawing.h"

#include <algorithm>
#include <cmath>

#include "nn/rmt/cost.h"
#include "nn/rmt/svg.h"

namespace rmt::nn {
namespace {

constexpr double kWidth = 1000, kGutter = 100;  // the gutter holds the names of the rows
constexpr double kBottom = 170, kFace = 86;     // of the maps: where they stand, the largest's side

std::string grouped(int64_t n) {  // 14334216 -> 14,334,216
  const std::string digits = std::to_string(n);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

std::string billions(int64_t n) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", double(n) / 1e9);
  return text;
}

// A column of the upper picture: a part of the model, and what it makes of its input.
struct Column {
  Cost cost;
  double middle = 0, width = 0;
  // The map that a stem or a stage gives out. Downsamplings and head draw none: theirs is the map
  // that they take in.
  int64_t H = 0, W = 0, C = 0;
  const StageConfig* stage = nullptr;  // null for stem, downsamplings and head
  bool has_map() const { return stage || cost.name == "stem"; }
};

// The model's parts, side by side from the gutter on: a stage gets the widest column, a
// downsampling the narrowest. From the stem on (H, W) is the map of the part at hand.
std::vector<Column> columns(const RmtConfig& c, int64_t H, int64_t W) {
  std::vector<Column> out;
  double left = kGutter;
  const std::vector<Cost> parts = cost(c, H, W);
  // Two padded convolutions of stride 2 round up, one of 4 x 4 without padding rounds down.
  H = c.conv_stem ? (H + 3) / 4 : H / 4;
  W = c.conv_stem ? (W + 3) / 4 : W / 4;
  size_t stage = 0;
  for (const Cost& part : parts) {
    Column column{.cost = part, .width = 120, .H = H, .W = W, .C = c.stages[stage].channels};
    if (part.name.starts_with("stage")) {
      column.stage = &c.stages[stage];
    } else if (part.name.starts_with("down")) {
      column.width = 72;
      H = (H + 1) / 2;
      W = (W + 1) / 2;
      ++stage;
    } else {
      column.width = 96;
    }
    column.middle = left + column.width / 2;
    left += column.width;
    out.push_back(column);
  }
  return out;
}

// A box whose front is the map, to scale, and whose depth tells the channels. On the front a query
// and the tokens that it attends to.
void draw_map(Svg& svg, const Column& column, double scale) {
  const double w = double(column.W) * scale, h = double(column.H) * scale;
  const double depth = 3 + 0.055 * double(column.C), left = column.middle - (w + depth) / 2;
  const double right = left + w, top = kBottom - h;
  svg.polygon(
      {{left, top}, {left + depth, top - depth}, {right + depth, top - depth}, {right, top}},
      "top");
  svg.polygon({{right, top},
               {right + depth, top - depth},
               {right + depth, kBottom - depth},
               {right, kBottom}},
              "side");
  svg.rectangle({left, top}, w, h, "face");
  if (!column.stage) return;
  const double x = left + std::floor(double(column.W) * 0.4) * scale,
               y = top + std::floor(double(column.H) * 0.55) * scale;
  if (column.stage->decomposed) {
    svg.rectangle({left, y}, w, scale, "row");
    svg.rectangle({x, top}, scale, h, "column");
  } else {
    svg.rectangle({left, top}, w, h, "map");
  }
  svg.dot({x + scale / 2, y + scale / 2}, std::max(1.6, scale * 0.5), "query");
}

// The texts under a part, a row each; empty where the part has nothing to say.
std::vector<std::string> texts(const RmtConfig& c, const Column& column) {
  const std::string& name = column.cost.name;
  if (column.stage) {
    const StageConfig& s = *column.stage;
    return {str(column.H, " x ", column.W, " x ", s.channels), str(s.blocks),
            str(s.heads, " of ", s.channels / s.heads),        str(s.hidden()),
            s.decomposed ? "rows, columns" : "whole map",      s.layer_scale ? "yes" : "no"};
  }
  if (name == "stem")
    return {str(column.H, " x ", column.W, " x ", column.C),
            c.conv_stem ? "4 conv 3x3" : "conv 4x4", c.conv_stem ? "strides 2 1 2 1" : "stride 4"};
  if (name == "head")
    return {str(c.projection ? str(c.projection, ", ") : "", c.num_classes),
            c.projection ? "linear, BN, SiLU" : "batch norm", "mean", "linear"};
  return {"", "conv 3x3", "stride 2"};
}

// A number, and a bar whose length is its share of the largest of the row.
void draw_share(Svg& svg, const Column& column, double y, int64_t value, int64_t largest,
                const std::string& text, const std::string& look) {
  const double full = 64;
  svg.text({column.middle, y}, text);
  svg.rectangle({column.middle - full / 2, y + 5},
                std::max(0.5, full * double(value) / double(largest)), 6, look);
}

void draw_parts(Svg& svg, const RmtConfig& c, const std::vector<Column>& parts) {
  int64_t side = 1, parameters = 1, work = 1;
  for (const Column& p : parts) {
    side = std::max({side, p.H, p.W});
    parameters = std::max(parameters, p.cost.parameters);
    work = std::max(work, p.cost.multiply_adds);
  }
  const char* rows[] = {"map",        "blocks",      "heads",      "FFN, hidden",
                        "attends to", "layer scale", "parameters", "multiply-adds"};
  double y = kBottom + 52;
  for (const char* row : rows) {
    svg.text({kGutter - 10, y}, row, "note end");
    y += row == rows[6] ? 32 : 21;
  }
  svg.text({kGutter - 10, y - 6}, "1e9", "note end small");
  for (const Column& p : parts) {
    if (p.has_map()) draw_map(svg, p, kFace / double(side));
    const bool down = p.width < 80;
    if (down) svg.arrow({{p.middle - 20, kBottom - 12}, {p.middle + 20, kBottom - 12}});
    svg.text({p.middle, kBottom + 28}, down ? "down" : p.cost.name, "bold");
    y = kBottom + 52;
    for (const std::string& text : texts(c, p)) {
      svg.text({p.middle, y}, text, p.stage ? "" : "small note");
      y += 21;
    }
    y = kBottom + 52 + 6 * 21;
    draw_share(svg, p, y, p.cost.parameters, parameters, grouped(p.cost.parameters), "parameters");
    draw_share(svg, p, y + 32, p.cost.multiply_adds, work, billions(p.cost.multiply_adds), "work");
  }
}

// One block, from left to right: boxes on a line, a loop over each residual branch.
class BlockDrawing {
 public:
  BlockDrawing(Svg& svg, double y) : svg_(svg), y_(y) {}

  void box(const std::string& upper, const std::string& lower) {
    svg_.arrow({{x_, y_}, {x_ + kGap, y_}});
    x_ += kGap;
    svg_.rectangle({x_, y_ - 19}, kBox, 38, "box");
    svg_.text({x_ + kBox / 2, y_ - 3}, upper, "small");
    svg_.text({x_ + kBox / 2, y_ + 11}, lower, "small note");
    x_ += kBox;
  }
  void begin_branch() {
    x_ += 7;
    svg_.line({{x_ - 7, y_}, {x_, y_}});
    from_ = x_;
  }
  void end_branch(const std::string& what) {
    const double top = y_ - 38;
    sum();
    svg_.arrow({{from_, y_}, {from_, top}, {x_ - 8, top}, {x_ - 8, y_ - 8}});
    svg_.text({(from_ + x_) / 2, top - 7}, what, "small note");
  }
  // The local context: out of the box before the last one, past the last one, into a sum.
  void beside(const std::string& upper, const std::string& lower) {
    const double middle = x_ - kBox / 2, start = x_ - kBox * 1.5 - kGap, y = y_ + 54;
    svg_.arrow({{start, y_ + 19}, {start, y}, {middle - kBox / 2, y}});
    svg_.text({start - 6, y_ + 42}, "v", "small note");
    svg_.rectangle({middle - kBox / 2, y - 17}, kBox, 34, "box");
    svg_.text({middle, y - 2}, upper, "small");
    svg_.text({middle, y + 11}, lower, "small note");
    sum();
    svg_.arrow({{middle + kBox / 2, y}, {x_ - 8, y}, {x_ - 8, y_ + 8}});
  }
  void end() { svg_.arrow({{x_, y_}, {x_ + 18, y_}}); }

 private:
  static constexpr double kBox = 66, kGap = 13;
  void sum() {
    svg_.arrow({{x_, y_}, {x_ + kGap, y_}});
    x_ += kGap + 16;
    svg_.dot({x_ - 8, y_}, 8, "sum");
    svg_.text({x_ - 8, y_ + 4}, "+");
  }
  Svg& svg_;
  double x_ = 14, y_, from_ = 0;
};

void draw_block(Svg& svg, const RmtConfig& c, double y) {
  svg.text({14, y - 82}, "a block", "title start");
  svg.text({80, y - 82},
           str("(B, H, W, C) to the same; linear layers act on a token's channels, depthwise ",
               "convolutions (DW) on one channel's neighbourhood"),
           "note start");
  BlockDrawing d(svg, y);
  if (c.position_conv) {
    d.begin_branch();
    d.box("DW 3x3", "CPE");
    d.end_branch("x");
  }
  d.begin_branch();
  d.box("layer norm", "of a token");
  d.box("q k v", c.rotary ? "q k rotated" : "linear");
  d.box("attention", c.decay ? "with decay" : "no decay");
  if (c.local_context) d.beside("DW 5x5", "LCE");
  d.box("linear", "out_proj");
  d.end_branch("x;  the branch: times gamma_1 with layer scale, drop path in training");
  d.begin_branch();
  d.box("layer norm", "of a token");
  d.box("linear", "C to hidden");
  d.box("GELU", "g");
  if (c.ffn_conv) d.box("DW 3x3", "of g, plus g");
  d.box("linear", "hidden to C");
  d.end_branch("x;  the branch: times gamma_2 with layer scale, drop path in training");
  d.end();
}

}  // namespace

std::string draw_architecture(const RmtConfig& c, int64_t H, int64_t W) {
  Svg svg(kWidth, 590);
  const Cost sum = total(cost(c, H, W));
  svg.text({14, 28}, c.name, "title start");
  svg.text({80, 28},
           str(H, " x ", W, " pixels, ", grouped(sum.parameters), " parameters, ",
               billions(sum.multiply_adds), "e9 multiply-adds an image (",
               billions(sum.attention_multiply_adds), "e9 of them Q K^T and A V)"),
           "note start");
  const std::vector<Column> parts = columns(c, H, W);
  draw_parts(svg, c, parts);
  svg.line({{14, 412}, {kWidth - 14, 412}}, "line rule");
  draw_block(svg, c, 516);
  return svg.picture();
}

}  // namespace rmt::nn

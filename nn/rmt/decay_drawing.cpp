// The picture of the decay: for each head a map of its stage with the query in the middle. All
// tokens at one Manhattan distance form a diamond; eight of them lie on one another, so that a
// place is as dark as its weight gamma^d is high.
#include <algorithm>
#include <cmath>

#include "nn/rmt/drawing.h"
#include "nn/rmt/position.h"
#include "nn/rmt/svg.h"

namespace rmt::nn {
namespace {

constexpr double kWidth = 1000, kGutter = 100, kRow = 118;
constexpr int kLevels = 8;

// The part of the diamond |x| + |y| <= radius that lies in the square |x|, |y| <= half, around
// `middle`: eight corners, two of which coincide where the diamond fits in.
std::vector<Point> diamond(Point middle, double radius, double half) {
  const double along = std::min(radius, half), aside = std::clamp(radius - half, 0., half);
  std::vector<Point> corners;
  for (auto [x, y] : {Point{along, -aside},
                      {along, aside},
                      {aside, along},
                      {-aside, along},
                      {-along, aside},
                      {-along, -aside},
                      {-aside, -along},
                      {aside, -along}})
    corners.push_back({middle.x + x, middle.y + y});
  return corners;
}

std::string printed(const char* format, double x) {
  char text[32];
  std::snprintf(text, sizeof text, format, x);
  return text;
}

// One head on a square of `side` pixels that stands for `tokens` tokens.
void draw_head(Svg& svg, Point middle, double side, double tokens, double log_gamma) {
  for (int level = 1; level <= kLevels; ++level) {
    const double weight = (level - 0.5) / kLevels, distance = std::log(weight) / log_gamma;
    svg.polygon(diamond(middle, distance * side / tokens, side / 2), "shade");
  }
  svg.rectangle({middle.x - side / 2, middle.y - side / 2}, side, side, "frame");
  const double y = middle.y + side / 2;
  svg.text({middle.x, y + 14}, printed("%.4f", std::exp(log_gamma)), "small");
  svg.text({middle.x, y + 27}, printed("%.1f", std::log(0.5) / log_gamma), "small note");
}

}  // namespace

std::string draw_decay(const RmtConfig& c, int64_t H, int64_t W) {
  Svg svg(kWidth, 60 + kRow * double(c.stages.size()));
  svg.text({14, 28}, c.name, "title start");
  svg.text({80, 28},
           "how much each place of the map counts beside the query in its middle, head by head; "
           "below: gamma, and steps to half the weight",
           "note start");
  int64_t tokens = (std::max(H, W) + 3) / 4;
  double y = 96;
  for (size_t s = 0; s < c.stages.size(); ++s, tokens = (tokens + 1) / 2, y += kRow) {
    const StageConfig& stage = c.stages[s];
    const Position position(stage);
    const double pitch = std::min(78., (kWidth - kGutter - 14) / double(stage.heads));
    svg.text({14, y - 6}, str("stage ", s + 1), "bold start");
    svg.text({14, y + 12}, str(tokens, " x ", tokens), "note start");
    for (int64_t head = 0; head < stage.heads; ++head)
      draw_head(svg, {kGutter + pitch * (double(head) + 0.5), y}, std::min(64., pitch - 5),
                double(tokens), double(position.decay.data<float>()[head]));
  }
  return svg.picture();
}

}  // namespace rmt::nn

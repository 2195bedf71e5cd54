#include "train/run/curves.h"
#include "tests/train/run/accuracy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/error.h"

namespace rmt::test {
using namespace train;
namespace {

// Every tag is closed in order, every attribute quoted, nothing but the five entities behind '&':
// well-formed, for what we write.
void expect_well_formed(const std::string& svg) {
  std::vector<std::string> open;
  for (size_t at = 0; at < svg.size();) {
    if (svg[at] == '&') {
      const std::string rest = svg.substr(at, 6);
      EXPECT_TRUE(rest.starts_with("&amp;") || rest.starts_with("&lt;") ||
                  rest.starts_with("&gt;") || rest.starts_with("&quot;"))
          << rest;
    }
    EXPECT_NE(svg[at], '>') << "at " << at;
    if (svg[at++] != '<') continue;
    const size_t end = svg.find('>', at);
    ASSERT_NE(end, std::string::npos);
    const std::string tag = svg.substr(at, end - at),
                      name = tag.substr(0, tag.find_first_of(" /", 1));
    at = end + 1;
    if (tag[0] == '/') {
      ASSERT_FALSE(open.empty());
      EXPECT_EQ(tag.substr(1), open.back());
      open.pop_back();
      continue;
    }
    EXPECT_EQ(tag.find('<'), std::string::npos) << tag;
    EXPECT_EQ(std::count(tag.begin(), tag.end(), '"') % 2, 0) << tag;
    if (!tag.ends_with("/")) open.push_back(name);
  }
  EXPECT_TRUE(open.empty()) << open.back();
}

struct Polyline {
  std::string tag;
  std::vector<std::pair<double, double>> points;
};
std::vector<Polyline> polylines(const std::string& svg) {
  std::vector<Polyline> out;
  for (size_t at = 0; (at = svg.find("<polyline", at)) != std::string::npos; ++at) {
    Polyline line{svg.substr(at, svg.find('>', at) - at), {}};
    const size_t begin = line.tag.find("points=\"") + 8;
    std::istringstream in(line.tag.substr(begin, line.tag.find('"', begin) - begin));
    char comma;
    for (double x, y; in >> x >> comma >> y;) line.points.push_back({x, y});
    out.push_back(line);
  }
  return out;
}

const std::vector<EpochLog> kFour = {
    {.epoch = 0, .train_loss = 4, .test = accuracy(0, 3.5), .test_ema = accuracy(20)},
    {.epoch = 1, .train_loss = 3, .test = accuracy(50), .test_ema = accuracy(20)},
    {.epoch = 3, .train_loss = 2, .test = accuracy(40, 2.5), .test_ema = accuracy(100)}};

}  // namespace

TEST(Curves, PointsLieWhereTheAxesSay) {
  const std::string svg = draw_curves({{"a", kFour}});
  expect_well_formed(svg);
  const std::vector<Polyline> lines = polylines(svg);
  ASSERT_EQ(lines.size(), 4u);
  // Loss on 2 ... 4: a panel is 350 x 240 pixels, its corner at (52, 34); epoch 4 is its right
  // edge, and epoch 3 is missing in the log.
  using Points = std::vector<std::pair<double, double>>;
  EXPECT_NE(lines[0].tag.find("validation"), std::string::npos) << "dotted, below the other loss";
  EXPECT_EQ(lines[0].points, (Points{{139.5, 94}, {402, 214}})) << "epoch 2 says nothing of it";
  EXPECT_EQ(lines[1].points, (Points{{139.5, 34}, {227, 154}, {402, 274}}));
  EXPECT_NE(lines[2].tag.find("ema"), std::string::npos) << "dashed, and below the raw one";
  EXPECT_EQ(lines[2].points, (Points{{571.5, 226}, {659, 226}, {834, 34}}));
  EXPECT_EQ(lines[3].points, (Points{{571.5, 274}, {659, 154}, {834, 178}}));
  for (const char* text :
       {">2.0<", ">4.0<", ">0<", ">100<", "loss 2.000, val 2.500",
        "top-1 40.00 % (best 50.00, epoch 2)", "EMA 100.00 % (best 100.00, epoch 4)"})
    EXPECT_NE(svg.find(text), std::string::npos) << text << " is not in\n" << svg;
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(draw_curves({{"a", kFour}}), svg);
}

TEST(Curves, OursLiesOnTopOfTheOthers) {
  const std::vector<Polyline> lines = polylines(draw_curves(
      {{"ours", kFour}, {"theirs", {{.epoch = 1, .train_loss = 3, .test = accuracy(9)}}}}));
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_NE(lines[0].tag.find("#e0701a"), std::string::npos);
  EXPECT_NE(lines[1].tag.find("#1f83c6"), std::string::npos);
}

TEST(Curves, NamesAreTextAndNothingElse) {
  const std::string svg = draw_curves({{"</text><script>alert(\"1\")</script>", kFour},
                                       {std::string(25, 'x') + "äää&&&&&&&", kFour}});
  expect_well_formed(svg);
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_NE(svg.find(std::string(25, 'x') + "…"), std::string::npos)
      << "a long name is cut, not inside a character";
  EXPECT_EQ(svg.find('?'), std::string::npos);
}

TEST(Curves, AnyNumbersGiveAPicture) {
  const double nan = std::nan(""), inf = INFINITY;
  std::vector<std::vector<EpochLog>> logs{
      {},
      {{.train_loss = nan, .test = accuracy(nan)}},
      {{.train_loss = 1e300, .test = accuracy(-inf)}},
      {{.train_loss = 1e12, .test = accuracy(0)},
       {.epoch = 1, .train_loss = 1e12 + 1, .test = accuracy(1e-300)}},
      {{.train_loss = -1e12, .test = accuracy(5)},
       {.epoch = 999'999'999, .train_loss = 1e12, .test = accuracy(5)}},
      {{.train_loss = 0.1 + 0.2, .test = accuracy(7)},
       {.epoch = 1, .train_loss = 0.3, .test = accuracy(7)}}};
  for (const auto& log : logs) {
    const std::string svg = draw_curves({{"a", log}});
    expect_well_formed(svg);
    EXPECT_LT(svg.size(), 10'000u);
    for (const char* bad : {"nan", "inf"}) EXPECT_EQ(svg.find(bad), std::string::npos) << svg;
    for (const Polyline& line : polylines(svg))
      for (auto [x, y] : line.points)
        EXPECT_TRUE(x >= 52 && x <= 834 && y >= 34 && y <= 274) << x << " " << y;
  }
  expect_well_formed(draw_curves({}));
}

TEST(Curves, TicksAreRoundAndCoverTheRange) {
  EXPECT_EQ(round_ticks(0, 300, 7), (std::vector<double>{0, 50, 100, 150, 200, 250, 300}));
  EXPECT_EQ(round_ticks(0.1, 82.4, 6), (std::vector<double>{0, 20, 40, 60, 80, 100}));
  EXPECT_EQ(round_ticks(2.35, 6.92, 6), (std::vector<double>{2, 3, 4, 5, 6, 7}));
  for (double low : {-1e12, -3.7, 0., 1e-9, 2.3, 1e12})
    for (double range : {0., 1e-9, 0.013, 1., 777., 1e12}) {
      const std::vector<double> ticks = round_ticks(low, low + range, 6);
      ASSERT_GE(ticks.size(), 2u);
      EXPECT_LE(ticks.size(), 11u)
          << low << " " << range;  // 6 / 0.75 steps, one more at either end
      const double rounding = 1e-6 * std::abs(low) + 1e-8 * range;
      EXPECT_LE(ticks.front(), low + rounding);
      EXPECT_GE(ticks.back(), low + range - rounding);
      for (size_t i = 1; i < ticks.size(); ++i) EXPECT_GT(ticks[i], ticks[i - 1]);
    }
}

}  // namespace rmt::test

// A picture in the making: the few SVG elements that drawings of the model need. No scripts, no
// fonts of its own; light or dark as the reader's browser is.
#pragma once
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/xml.h"

namespace rmt::nn {

struct Point {
  double x, y;
};

class Svg {
 public:
  Svg(double width, double height) : width_(width), height_(height) {}

  // `look` is a list of the classes below, for example "note end".
  void text(Point at, const std::string& words, const std::string& look = "") {
    body_ += str("<text", classes(look), " x=\"", number(at.x), "\" y=\"", number(at.y), "\">",
                 xml_text(words), "</text>\n");
  }
  void rectangle(Point corner, double w, double h, const std::string& look) {
    body_ += str("<rect", classes(look), " x=\"", number(corner.x), "\" y=\"", number(corner.y),
                 "\" width=\"", number(w), "\" height=\"", number(h), "\"/>\n");
  }
  void polygon(const std::vector<Point>& corners, const std::string& look) {
    body_ += str("<polygon", classes(look), points(corners), "/>\n");
  }
  void line(const std::vector<Point>& corners, const std::string& look = "line") {
    body_ += str("<polyline", classes(look), points(corners), "/>\n");
  }
  void arrow(const std::vector<Point>& corners) { line(corners, "line arrow"); }
  void dot(Point at, double radius, const std::string& look) {
    body_ += str("<circle", classes(look), " cx=\"", number(at.x), "\" cy=\"", number(at.y),
                 "\" r=\"", number(radius), "\"/>\n");
  }

  // The whole file.
  std::string picture() const {
    return str("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", number(width_), "\" height=\"",
               number(height_), "\" viewBox=\"0 0 ", number(width_), " ", number(height_), "\">\n",
               kStyle, "<rect class=\"page\" width=\"", number(width_), "\" height=\"",
               number(height_), "\" rx=\"6\"/>\n", body_, "</svg>\n");
  }

 private:
  static constexpr const char* kStyle =
      R"(<style>
  .page { fill: #ffffff } text { fill: #24292f; font: 12px sans-serif; text-anchor: middle }
  .title { font: bold 14px sans-serif } .bold { font-weight: bold } .small { font-size: 10.5px }
  .note { fill: #6e7781 } .start { text-anchor: start } .end { text-anchor: end }
  .line { fill: none; stroke: #57606a; stroke-width: 1.2 } .arrow { marker-end: url(#head) }
  .tip { fill: #57606a } .rule { stroke: #d8dee4 } .sum { fill: #ffffff; stroke: #57606a }
  .box { fill: #f6f8fa; stroke: #8c959f } .face { fill: #f6f8fa; stroke: #57606a }
  .top { fill: #e7ecf0; stroke: #57606a } .side { fill: #d5dce2; stroke: #57606a }
  .row { fill: #1f83c6; fill-opacity: .55 } .column { fill: #e0701a; fill-opacity: .6 }
  .map { fill: #2a9d5c; fill-opacity: .45 } .query { fill: #24292f }
  .parameters { fill: #8250df; fill-opacity: .55 } .work { fill: #1f83c6; fill-opacity: .55 }
  .shade { fill: #1f83c6; fill-opacity: .15 } .frame { fill: none; stroke: #8c959f }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #c9d1d9 } .note { fill: #8b949e } .tip { fill: #8b949e }
    .line { stroke: #8b949e } .rule { stroke: #262c36 } .sum { fill: #0d1117; stroke: #8b949e }
    .box { fill: #161b22; stroke: #6e7681 } .face { fill: #161b22; stroke: #8b949e }
    .top { fill: #21262d; stroke: #8b949e } .side { fill: #2d333b; stroke: #8b949e }
    .query { fill: #f0f6fc }
  }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" )"
      R"(orient="auto"><path class="tip" d="M0 0L8 4L0 8z"/></marker></defs>
)";

  static std::string number(double x) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", x);
    return text;
  }
  static std::string classes(const std::string& look) {
    return look.empty() ? "" : str(" class=\"", look, "\"");
  }
  static std::string points(const std::vector<Point>& corners) {
    std::string out = " points=\"";
    for (const Point& p : corners)
      out += str(&p == &corners[0] ? "" : " ", number(p.x), ",", number(p.y));
    return out + "\"";
  }

  double width_, height_;
  std::string body_;
};

}  // namespace rmt::nn

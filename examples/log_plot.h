// How costs grow, as a picture: panels with logarithmic axes, in which a power of x is a straight
// line. Light or dark as the reader's browser is.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "core/error.h"

namespace rmt {

inline std::string format_number(const char* text, double x) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, text, x);
  return buffer;
}
inline std::string bytes_text(double bytes) {
  if (bytes >= 1e9) return format_number("%.3g GB", bytes / 1e9);
  if (bytes >= 1e6) return format_number("%.3g MB", bytes / 1e6);
  return format_number("%.3g kB", bytes / 1e3);
}
inline std::string seconds_text(double seconds) {
  if (seconds >= 1) return format_number("%.3g s", seconds);
  if (seconds >= 1e-3) return format_number("%.3g ms", seconds * 1e3);
  return format_number("%.3g us", seconds * 1e6);
}

struct PlotLine {
  std::string name, colour;
  std::vector<double> values;  // one for each x, above 0
  bool dashed = false;
};

struct PlotPanel {
  std::string title;
  std::vector<PlotLine> lines;
  std::string (*label)(double);  // writes a value of the vertical axis
};

// One panel, 320 x 240, whose left edge is at `left`. x: above 0, ascending; ticks: its labels.
inline std::string draw_panel(double left, const PlotPanel& panel, const std::vector<double>& x,
                              const std::vector<std::string>& ticks) {
  constexpr double top = 40, width = 320, height = 240;
  double low = 1e300, high = 0;
  for (const PlotLine& line : panel.lines)
    for (double v : line.values) low = std::min(low, v), high = std::max(high, v);
  low = std::floor(std::log10(low));
  high = std::ceil(std::log10(high));
  auto at_x = [&](double v) {
    return format_number("%.1f", left + width * std::log(v / x[0]) / std::log(x.back() / x[0]));
  };
  auto at_y = [&](double v) {
    return format_number("%.1f", top + height * (high - std::log10(v)) / (high - low));
  };
  std::string out = str("<text class=\"title\" x=\"", left + width / 2,
                        "\" y=\"24\" text-anchor=\"middle\">", panel.title, "</text>\n");
  for (double decade = low; decade <= high; ++decade) {
    const double v = std::pow(10, decade);
    out += str("<line class=\"grid\" x1=\"", left, "\" x2=\"", left + width, "\" y1=\"", at_y(v),
               "\" y2=\"", at_y(v), "\"/><text x=\"", left - 6, "\" y=\"", at_y(v),
               "\" dy=\"4\" text-anchor=\"end\">", panel.label(v), "</text>\n");
  }
  for (size_t i = 0; i < x.size(); ++i)
    out += str("<text x=\"", at_x(x[i]), "\" y=\"", top + height + 18, "\" text-anchor=\"middle\">",
               ticks[i], "</text>\n");
  out += str("<rect class=\"frame\" x=\"", left, "\" y=\"", top, "\" width=\"", width,
             "\" height=\"", height, "\"/>\n");
  double legend = top + 18;
  for (const PlotLine& line : panel.lines) {
    out += str("<polyline class=\"line", line.dashed ? " dashed" : "", "\" stroke=\"", line.colour,
               "\" points=\"");
    for (size_t i = 0; i < x.size(); ++i) out += at_x(x[i]) + "," + at_y(line.values[i]) + " ";
    out += "\"/>\n";
    for (size_t i = 0; i < x.size() && !line.dashed; ++i)
      out += str("<circle cx=\"", at_x(x[i]), "\" cy=\"", at_y(line.values[i]),
                 "\" r=\"3\" fill=\"", line.colour, "\"/>");
    out += str("<text x=\"", left + 12, "\" y=\"", legend, "\" style=\"fill:", line.colour, "\">",
               line.name, "</text>\n");
    legend += 16;
  }
  return out;
}

// The whole file: two panels over the same x, and what x is.
inline std::string plot(const PlotPanel& a, const PlotPanel& b, const std::vector<double>& x,
                        const std::vector<std::string>& ticks, const std::string& caption) {
  return str(
      R"(<svg xmlns="http://www.w3.org/2000/svg" width="860" height="330" viewBox="0 0 860 330">
<style>
  .page { fill: #ffffff } text { fill: #333333; font: 11px sans-serif } .title { font-weight: bold }
  .frame { stroke: #999999; fill: none } .grid { stroke: #e4e4e4 }
  .line { fill: none; stroke-width: 1.8 } .dashed { stroke-dasharray: 5 3 }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } text { fill: #c9d1d9 } .frame { stroke: #6e7681 }
    .grid { stroke: #262c36 }
  }
</style>
<rect class="page" width="860" height="330"/>
)",
      draw_panel(70, a, x, ticks), draw_panel(500, b, x, ticks),
      "<text x=\"430\" y=\"322\" text-anchor=\"middle\">", caption, "</text>\n</svg>\n");
}

}  // namespace rmt

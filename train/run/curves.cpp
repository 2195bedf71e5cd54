// The picture is text from beginning to end: an SVG file lists lines, circles and words with their
// coordinates. y grows downwards, so the highest value of a panel stands at its top.
#include "train/run/curves.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "core/xml.h"

namespace rmt::train {
namespace {

// The page, in pixels: two panels side by side, below them a line of legend for each curve.
constexpr double kWidth = 860;
constexpr double kPanelWidth = 350, kPanelHeight = 240;
constexpr double kTop = 34, kLeft = 52;  // of the first panel
constexpr double kBetween = 432;         // from the first panel's left to the second one's
constexpr double kLegendTop = 326, kLegendLine = 20;

// Colours that the colour-blind can tell apart too (Okabe and Ito, 2008), in an order that keeps
// neighbours different. They show on white and on near black.
const char* const kCurveColours[] = {"#1f83c6", "#e0701a", "#009e73", "#cc79a7",
                                     "#c59a00", "#56b4e9", "#8a8a8a"};
const char* colour_of_curve(size_t k) { return kCurveColours[k % std::size(kCurveColours)]; }

const char* const kStyle =
    "<style>\n"
    "  .page { fill: #ffffff } text { fill: #333333; font: 11px sans-serif } "
    ".title { font-weight: bold } .frame { stroke: #999999; fill: none }\n"
    "  .grid { stroke: #e4e4e4 } "
    ".curve { fill: none; stroke-width: 1.8; stroke-linejoin: round } "
    ".ema { stroke-dasharray: 5 3 } .validation { stroke-dasharray: 2 2 }\n"
    "  @media (prefers-color-scheme: dark) { .page { fill: #0d1117 } "
    "text { fill: #c9d1d9 } .frame { stroke: #6e7681 } .grid { stroke: #262c36 } }\n"
    "</style>\n";

struct Point {
  double epoch, value;
};
using Points = std::vector<Point>;

// What a panel shows of one log. The point of epoch 0 lies at 1: one epoch has been trained by
// then.
template <class F>
Points points(const Curve& curve, const F& value) {
  Points out;
  for (const EpochLog& e : curve.epochs) {
    const double v = value(e);
    if (std::abs(v) <= 1e12) out.push_back({double(e.epoch + 1), v});  // nan is not
  }
  return out;
}
Points train_loss(const Curve& c) {
  return points(c, [](const EpochLog& e) { return e.train_loss; });
}
// A cross entropy is above zero: zero stands where a log says nothing of it.
Points validation_loss(const Curve& c) {
  return points(c, [](const EpochLog& e) { return e.test.loss > 0 ? e.test.loss : std::nan(""); });
}
Points score(const Curve& c) {
  return points(c, [](const EpochLog& e) { return e.test.score(); });
}
Points ema_score(const Curve& c) {
  return points(c,
                [](const EpochLog& e) { return e.test_ema ? e.test_ema->score() : std::nan(""); });
}

// What the curves' scores are called.
std::string measure(const Curve& c) {
  const bool named = !c.epochs.empty() && !c.epochs[0].test.scores.empty();
  return title_of(named ? c.epochs[0].test.scores[0].name : "acc1");
}

struct Line {
  Points points;
  size_t curve;             // whose it is, which gives it its colour
  const char* stroke = "";  // or " ema": dashed, or " validation": dotted
};

std::string number(const char* format, double x) {
  char text[64];
  std::snprintf(text, sizeof text, format, x);
  return text;
}
std::string coordinate(double x) { return number("%.1f", x); }

// A tick's number, with no more digits than tell it from its neighbours, `step` away.
std::string tick_text(double x, double step) {
  if (std::abs(x) < step / 2) return "0";
  if (step >= 1e6 || step < 1e-4) return number("%.3g", x);
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", std::max(0, -int(std::floor(std::log10(step) + 1e-9))),
                x);
  return text;
}

// Axes with round ticks, and the lines. The frame is as wide as the epochs and as high as from the
// first to the last tick of the values.
std::string panel(double left, const std::string& title, const std::vector<Line>& lines) {
  double low = 1e300, high = -1e300, epochs = 1;
  for (const Line& line : lines)
    for (const Point& p : line.points) {
      low = std::min(low, p.value);
      high = std::max(high, p.value);
      epochs = std::max(epochs, p.epoch);
    }
  if (low > high) {  // no point at all
    low = 0;
    high = 1;
  }
  const std::vector<double> y_ticks = round_ticks(low, high, 6),
                            x_ticks = round_ticks(0, epochs, 7);
  low = y_ticks.front();
  high = y_ticks.back();
  auto x = [&](double epoch) { return coordinate(left + kPanelWidth * epoch / epochs); };
  auto y = [&](double value) {
    return coordinate(kTop + kPanelHeight * (high - value) / (high - low));
  };

  const double right = left + kPanelWidth, bottom = kTop + kPanelHeight;
  std::string out = str("<text class=\"title\" x=\"", left + kPanelWidth / 2, "\" y=\"", kTop - 12,
                        "\" text-anchor=\"middle\">", title, "</text>\n");
  for (double v : y_ticks)
    out +=
        str("<line class=\"grid\" x1=\"", left, "\" x2=\"", right, "\" y1=\"", y(v), "\" y2=\"",
            y(v), "\"/><text x=\"", left - 6, "\" y=\"", y(v), "\" dy=\"4\" text-anchor=\"end\">",
            tick_text(v, y_ticks[1] - y_ticks[0]), "</text>\n");
  for (double e : x_ticks)
    if (e <= epochs && e == std::floor(e))
      out += str("<line class=\"frame\" x1=\"", x(e), "\" x2=\"", x(e), "\" y1=\"", bottom,
                 "\" y2=\"", bottom + 4, "\"/><text x=\"", x(e), "\" y=\"", bottom + 17,
                 "\" text-anchor=\"middle\">", tick_text(e, 1), "</text>\n");
  out += str("<text x=\"", left + kPanelWidth / 2, "\" y=\"", bottom + 34,
             "\" text-anchor=\"middle\">epochs</text>\n<rect class=\"frame\" x=\"", left, "\" y=\"",
             kTop, "\" width=\"", kPanelWidth, "\" height=\"", kPanelHeight, "\"/>\n");
  // What is drawn last lies on top: ours, which is the first.
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    if (line->points.empty()) continue;
    const char* colour = colour_of_curve(line->curve);
    out += str("<polyline class=\"curve", line->stroke, "\" stroke=\"", colour, "\" points=\"");
    for (const Point& p : line->points) out += x(p.epoch) + "," + y(p.value) + " ";
    out.back() = '"';
    out += "/>\n";
    const Point& end = line->points.back();  // its dot shows a line of one point too
    out += str("<circle cx=\"", x(end.epoch), "\" cy=\"", y(end.value), "\" r=\"2.5\" fill=\"",
               colour, "\"/>\n");
  }
  return out;
}

// The first epoch with the highest value.
Point best(const Points& p) {
  return *std::max_element(p.begin(), p.end(),
                           [](const Point& a, const Point& b) { return a.value < b.value; });
}

std::string figures(const std::string& what, const Points& p) {
  if (p.empty()) return "";
  const Point top = best(p);
  return str(what, number(" %.2f %%", p.back().value), number(" (best %.2f", top.value),
             number(", epoch %.0f)", top.epoch));
}

// At most 26 bytes of a name, cut between two characters of UTF-8: a byte 10xxxxxx goes on with the
// character of the bytes before it.
std::string short_name(const std::string& name) {
  if (name.size() <= 26) return name;
  size_t cut = 25;
  while (cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xC0) == 0x80) --cut;
  return name.substr(0, cut) + "…";
}

// A stroke, the curve's name, and its last and best figures.
std::string legend(const Curve& curve, size_t k) {
  const double y = kLegendTop + kLegendLine * double(k);
  auto stroke = [&](double x, const char* dashed) {
    return str("<line class=\"curve", dashed, "\" x1=\"", x, "\" x2=\"", x + 24, "\" y1=\"", y,
               "\" y2=\"", y, "\" stroke=\"", colour_of_curve(k), "\"/>");
  };
  auto text = [&](double x, const std::string& s) {
    return str("<text x=\"", x, "\" y=\"", y, "\" dy=\"4\">", xml_text(s), "</text>\n");
  };
  std::string out = stroke(kLeft, "") + text(kLeft + 32, short_name(curve.name));
  std::string losses;
  if (const Points loss = train_loss(curve); !loss.empty())
    losses = number("loss %.3f", loss.back().value);
  if (const Points loss = validation_loss(curve); !loss.empty())
    losses += number(", val %.3f", loss.back().value);
  out += text(kLeft + 190, losses) + text(kLeft + 310, figures(measure(curve), score(curve)));
  if (const Points ema = ema_score(curve); !ema.empty())
    out += stroke(kLeft + 530, " ema") + text(kLeft + 562, figures("EMA", ema));
  return out;
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int count) {
  // Numbers that differ by less than a thousandth of themselves are one.
  high = std::max(high, low + std::max({std::abs(low), std::abs(high), 1e-6}) * 1e-3);
  const double rough = (high - low) / count, power = std::pow(10., std::floor(std::log10(rough)));
  double step = 10 * power;
  for (double nice : {5., 2., 1.})
    if (nice * power >= rough * 0.75) step = nice * power;
  std::vector<double> out;
  const double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  for (double i = first; i <= last; ++i) out.push_back(i * step);
  if (out.size() < 2) out.push_back(out.back() + step);
  return out;
}

std::string draw_curves(const std::vector<Curve>& curves) {
  std::vector<Line> losses, accuracies;
  std::string legends;
  for (size_t k = 0; k < curves.size(); ++k) {
    losses.push_back({train_loss(curves[k]), k});
    losses.push_back({validation_loss(curves[k]), k, " validation"});
    accuracies.push_back({score(curves[k]), k});
    accuracies.push_back({ema_score(curves[k]), k, " ema"});
    legends += legend(curves[k], k);
  }
  const std::string what = measure(curves.empty() ? Curve() : curves[0]);
  const double height = kLegendTop + kLegendLine * double(curves.size());
  return str("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"", kWidth, "\" height=\"", height,
             "\" viewBox=\"0 0 ", kWidth, " ", height, "\">\n", kStyle,
             "<rect class=\"page\" width=\"", kWidth, "\" height=\"", height, "\" rx=\"6\"/>\n",
             panel(kLeft, "loss in training, and in validation (dotted)", losses),
             panel(kLeft + kBetween, str("validation ", what, ", %"), accuracies), legends,
             "</svg>\n");
}

}  // namespace rmt::train

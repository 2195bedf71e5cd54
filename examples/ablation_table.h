// The result of an experiment with variants of a model: what each reached in its runs, as a table
// and as a picture, beside what the paper found when it took the same part out of RMT-T (82.4 %
// top-1 on ImageNet).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "nn/rmt/svg.h"

namespace rmt {

struct VariantResult {
  std::string name, what;       // "no-position-conv", "without CPE"
  std::optional<double> paper;  // points of top-1 that the paper lost with it
  std::vector<double> top1;     // of each seed, per cent, after the last epoch
  int64_t parameters = 0;
  double multiply_adds = 0;  // of one image
  double images_per_s = 0;   // of training steps
};

inline double mean_of(const std::vector<double>& x) {
  double sum = 0;
  for (double v : x) sum += v;
  return x.empty() ? NAN : sum / double(x.size());
}

// The standard deviation of the runs, estimated from them (n - 1); NAN of fewer than two.
inline double deviation_of(const std::vector<double>& x) {
  if (x.size() < 2) return NAN;
  double squares = 0;
  for (double v : x) squares += (v - mean_of(x)) * (v - mean_of(x));
  return std::sqrt(squares / double(x.size() - 1));
}

// The standard error of the difference of two means, with the deviation of a run taken from all
// variants together: of two runs alone a deviation says next to nothing.
inline double error_of_difference(const std::vector<VariantResult>& all) {
  double squares = 0, freedom = 0, runs = 0;
  for (const VariantResult& r : all) {
    runs = std::max(runs, double(r.top1.size()));
    if (r.top1.size() < 2) continue;
    squares += deviation_of(r.top1) * deviation_of(r.top1) * double(r.top1.size() - 1);
    freedom += double(r.top1.size() - 1);
  }
  return freedom > 0 ? std::sqrt(squares / freedom * 2 / runs) : NAN;
}

inline std::string formatted(const char* format, double x) {
  char text[64];
  std::snprintf(text, sizeof text, format, x);
  return text;
}

// Where the order of the variants differs from the paper's: a line for each pair of which the paper
// lost more with one and these runs with the other.
inline std::string contradictions(const std::vector<VariantResult>& all) {
  std::string text;
  const double error = error_of_difference(all);
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < all.size(); ++j) {
      const VariantResult &a = all[i], &b = all[j];
      if (!a.paper || !b.paper || !(*a.paper > *b.paper)) continue;
      const double more = mean_of(a.top1) - mean_of(b.top1);  // the paper: below 0
      if (!(more > 0)) continue;
      text += str("* ", a.what, ": ", formatted("%.2f", more), " points above ", b.what,
                  ", with which the paper lost less (", formatted("%.1f", *a.paper), " against ",
                  formatted("%.1f", *b.paper), ")",
                  more < 2 * error ? "; less than two standard errors, so no order is shown" : "",
                  "\n");
    }
  return text.empty() ? "The order is the paper's.\n"
                      : "The order differs from the paper's:\n\n" + text;
}

// The table, in Markdown; the first result is the model as it is.
inline std::string ablation_table(const std::vector<VariantResult>& all) {
  const double whole = mean_of(all.at(0).top1);
  std::string text =
      "| variant | top-1, % | deviation | seeds | difference | the paper's | parameters | 1e6 "
      "multiply-adds | training images/s |\n|---|---|---|---|---|---|---|---|---|\n";
  for (const VariantResult& r : all) {
    const double deviation = deviation_of(r.top1);
    text += str("| ", r.what, " | ", formatted("%.2f", mean_of(r.top1)), " | ",
                std::isnan(deviation) ? "" : formatted("%.2f", deviation), " | ", r.top1.size(),
                " | ", &r == &all[0] ? "" : formatted("%+.2f", mean_of(r.top1) - whole), " | ",
                r.paper && &r != &all[0] ? formatted("%+.1f", -*r.paper) : "", " | ", r.parameters,
                " | ", formatted("%.1f", r.multiply_adds * 1e-6), " | ",
                r.images_per_s > 0 ? formatted("%.0f", r.images_per_s) : "", " |\n");
  }
  const double error = error_of_difference(all);
  if (!std::isnan(error))
    text += str("\nThe standard error of a difference of two means is ", formatted("%.2f", error),
                " points.\n");
  return text + "\n" + contradictions(all);
}

// A row for each variant: a dot for each run, a bar at their mean, and a frame where the paper's
// difference would put it.
inline std::string ablation_picture(const std::vector<VariantResult>& all) {
  constexpr double kLeft = 250, kWidth = 460, kTop = 46, kRow = 26;
  double low = 1e300, high = -1e300;
  const double whole = mean_of(all.at(0).top1);
  for (const VariantResult& r : all) {
    std::vector<double> shown = r.top1;
    if (r.paper) shown.push_back(whole - *r.paper);
    for (double v : shown) low = std::min(low, v), high = std::max(high, v);
  }
  low = std::floor(low), high = std::ceil(high + 1e-9);
  auto x = [&](double v) { return kLeft + kWidth * (v - low) / std::max(1., high - low); };
  const double bottom = kTop + kRow * double(all.size());
  nn::Svg svg(kLeft + kWidth + 40, bottom + 58);
  svg.text({kLeft + kWidth / 2, 24}, "top-1 after the last epoch, per cent", "title");
  const double step = std::max(1., std::ceil((high - low) / 12));
  for (double v = low; v <= high; v += step) {
    svg.line({{x(v), kTop}, {x(v), bottom}}, "rule");
    svg.text({x(v), bottom + 16}, formatted("%.0f", v), "small note");
  }
  for (size_t i = 0; i < all.size(); ++i) {
    const VariantResult& r = all[i];
    const double y = kTop + kRow * (double(i) + 0.5), mean = mean_of(r.top1);
    svg.text({kLeft - 12, y + 4}, r.what, "end");
    if (r.paper) svg.rectangle({x(whole - *r.paper) - 4, y - 8}, 8, 16, "frame");
    svg.rectangle({x(mean) - 1.5, y - 9}, 3, 18, "query");
    for (double v : r.top1) svg.dot({x(v), y}, 4, "work");
  }
  svg.text({kLeft + kWidth / 2, bottom + 42},
           "dot: a run; bar: their mean; frame: the first row's mean and the paper's difference",
           "small note");
  return svg.picture();
}

}  // namespace rmt

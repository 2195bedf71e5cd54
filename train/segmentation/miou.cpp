#include "train/segmentation/miou.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>

#include "core/error.h"

namespace rmt::train {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

double ratio(int64_t part, int64_t whole) {
  return whole > 0 ? double(part) / double(whole) : kNone;
}

// Of the numbers that are not nan.
double mean(const std::vector<ClassAgreement>& classes, double ClassAgreement::*field) {
  double sum = 0;
  int64_t n = 0;
  for (const ClassAgreement& c : classes)
    if (!std::isnan(c.*field)) sum += c.*field, ++n;
  return n > 0 ? sum / double(n) : kNone;
}

// Four characters and a dot: "87.34", or "-" for nan.
std::string per_cent(double x) {
  char text[16] = "-";
  if (!std::isnan(x)) std::snprintf(text, sizeof text, "%.2f", 100 * x);
  return text;
}

}  // namespace

PixelCounts::PixelCounts(int64_t classes) : classes_(classes) {
  CHECK(classes >= 1 && classes <= 255, "PixelCounts: ", classes,
        " classes; a label is a byte, so there must be 1 to 255");
  counts_.resize(size_t(classes * classes));
}

// First all pairs of bytes are counted, so that the loop over pixels decides nothing; pairs of one
// class each, which are most, go to two tables in turn, since an addition waits for the one before
// it at the same place.
void PixelCounts::add(const data::LabelImage& prediction, const data::LabelImage& truth) {
  CHECK(prediction.width == truth.width && prediction.height == truth.height &&
            prediction.labels.size() == truth.labels.size(),
        "PixelCounts: a prediction of ", prediction.width, " x ", prediction.height,
        " pixels for labels of ", truth.width, " x ", truth.height);
  std::vector<std::array<uint32_t, 2>> pairs(256 * 256);
  const uint8_t *p = prediction.labels.data(), *t = truth.labels.data();
  for (size_t i = 0; i < truth.labels.size(); ++i) ++pairs[size_t(t[i]) << 8 | p[i]][i & 1];
  constexpr int64_t kKnown = int64_t(data::kIgnored) << 8;  // pairs whose truth is known
  const auto both = [&](int64_t i) { return int64_t(pairs[size_t(i)][0]) + pairs[size_t(i)][1]; };
  for (int64_t i = 0; i < kKnown; ++i)
    CHECK(both(i) == 0 || (i >> 8 < classes_ && (i & 255) < classes_), "PixelCounts: class ",
          i >> 8, " taken for class ", i & 255, ", but there are ", classes_);
  for (int64_t i = 0; i < kKnown; ++i)
    if (both(i) > 0) counts_[size_t((i >> 8) * classes_ + (i & 255))] += both(i);
}

void PixelCounts::add(const PixelCounts& more) {
  CHECK(more.classes_ == classes_, "PixelCounts: counts of ", more.classes_,
        " classes added to those of ", classes_);
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += more.counts_[i];
}

Agreement agreement_of(const PixelCounts& counts) {
  const int64_t K = counts.classes();
  Agreement all;
  int64_t right = 0;
  for (int64_t k = 0; k < K; ++k) {
    ClassAgreement c;
    for (int64_t other = 0; other < K; ++other) {
      c.pixels += counts.count(k, other);
      c.predicted += counts.count(other, k);
    }
    const int64_t both = counts.count(k, k);
    c.iou = ratio(both, c.pixels + c.predicted - both);
    c.accuracy = ratio(both, c.pixels);
    right += both;
    all.pixels += c.pixels;
    all.classes.push_back(c);
  }
  all.accuracy = ratio(right, all.pixels);
  all.mean_iou = mean(all.classes, &ClassAgreement::iou);
  all.mean_accuracy = mean(all.classes, &ClassAgreement::accuracy);
  return all;
}

std::string agreement_table(const Agreement& agreement, const std::vector<std::string>& classes) {
  std::vector<size_t> order;
  for (size_t k = 0; k < agreement.classes.size(); ++k)
    if (!std::isnan(agreement.classes[k].iou)) order.push_back(k);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return agreement.classes[a].iou < agreement.classes[b].iou;
  });
  std::string text = "   IoU     acc  % of pixels  class\n";
  for (size_t k : order) {
    const ClassAgreement& c = agreement.classes[k];
    char line[64];
    std::snprintf(line, sizeof line, "%6s  %6s  %11s  ", per_cent(c.iou).c_str(),
                  per_cent(c.accuracy).c_str(),
                  per_cent(ratio(c.pixels, agreement.pixels)).c_str());
    text += line + (k < classes.size() ? printable(classes[k]) : std::to_string(k)) + "\n";
  }
  return text;
}

}  // namespace rmt::train

// The 12 numbers: means over what coco_evaluate has found.
#include <cstdio>

#include "train/detection/coco_eval.h"

namespace rmt::train {
namespace {

constexpr int64_t kAll = -1;

// The mean of what is not -1, or -1 where all is.
struct Mean {
  double sum = 0;
  int64_t n = 0;
  void add(double x) {
    if (x <= -1) return;
    sum += x;
    ++n;
  }
  double value() const { return n ? sum / double(n) : -1; }
};

// Of overlap t or all, category k or all, area a, number of detections m.
double mean_precision(const CocoScores& s, int64_t t, int64_t k, int64_t a, int64_t m) {
  const int64_t K = int64_t(s.categories.size());
  Mean mean;
  for (int64_t i = 0; i < kCocoOverlaps * kCocoRecalls * K; ++i)
    if ((t == kAll || i / K / kCocoRecalls == t) && (k == kAll || i % K == k))
      mean.add(s.precision[size_t((i * kCocoAreas + a) * kCocoCounts + m)]);
  return mean.value();
}

double mean_recall(const CocoScores& s, int64_t a, int64_t m) {
  Mean mean;
  for (int64_t i = 0; i < kCocoOverlaps * int64_t(s.categories.size()); ++i)
    mean.add(s.recall[size_t((i * kCocoAreas + a) * kCocoCounts + m)]);
  return mean.value();
}

}  // namespace

CocoStats CocoScores::stats() const {
  const auto ap = [&](int64_t t, int64_t a) { return mean_precision(*this, t, kAll, a, 2); };
  const auto ar = [&](int64_t a, int64_t m) { return mean_recall(*this, a, m); };
  return {ap(kAll, 0), ap(0, 0), ap(5, 0), ap(kAll, 1), ap(kAll, 2), ap(kAll, 3),
          ar(0, 0),    ar(0, 1), ar(0, 2), ar(1, 2),    ar(2, 2),    ar(3, 2)};
}

double CocoScores::ap(int64_t k) const { return mean_precision(*this, kAll, k, 0, 2); }

std::string CocoScores::summary() const {
  constexpr std::array<const char*, 12> meaning = {"overlap .50 to .95",
                                                   "overlap .50",
                                                   "overlap .75",
                                                   "small objects, up to 32 x 32",
                                                   "medium ones",
                                                   "large ones, above 96 x 96",
                                                   "recall with one detection an image and class",
                                                   "with ten",
                                                   "with a hundred",
                                                   "of small objects",
                                                   "of medium ones",
                                                   "of large ones"};
  const CocoStats values = stats();
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    char line[96];
    std::snprintf(line, sizeof line, "%-5s  %6.2f  %s\n", kCocoNames[i],
                  values[i] < 0 ? values[i] : 100 * values[i], meaning[i]);
    text += line;
  }
  return text;
}

}  // namespace rmt::train

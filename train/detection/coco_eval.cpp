// Within an image and a category, for each range of areas and each overlap t:
//
//   objects      those that count first, then the ignored: crowds, and areas outside the range
//   detections   by falling score, the first 100 of them
//   match        the object with the largest IoU >= t that is not taken; the last of equals; an
//                ignored one only where none that counts is there; a crowd is never taken
//   ignored      detections that match an ignored object, and those that match none and have an
//                area outside the range themselves
//
// Then within a category, over all images, by falling score: TP and FP are the numbers of matched
// and unmatched detections up to here, n that of the objects that count.
//
//   recall = TP / n, precision = TP / (TP + FP + 2^-52)
//   precision at recall r: the largest from the first place on where the recall is at least r
#include "train/detection/coco_eval.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/parallel.h"

namespace rmt::train {
namespace {

constexpr std::array<int64_t, kCocoCounts> kCounts = {1, 10, 100};
constexpr std::array<std::array<double, 2>, kCocoAreas> kAreas = {
    {{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}}};

// As numpy's linspace: the first plus i steps, and the last as it is.
double overlap(int64_t t) {
  return t == kCocoOverlaps - 1 ? .95 : .5 + double(t) * ((.95 - .5) / 9);
}
double recall_at(int64_t r) { return double(r) * .01; }

bool outside(double area, int64_t a) {
  return area < kAreas[size_t(a)][0] || area > kAreas[size_t(a)][1];
}

double box_iou(const CocoBox& d, const CocoBox& g, bool crowd) {
  const double w = std::min(d[2] + d[0], g[2] + g[0]) - std::max(d[0], g[0]);
  const double h = std::min(d[3] + d[1], g[3] + g[1]) - std::max(d[1], g[1]);
  if (w <= 0 || h <= 0) return 0;
  const double both = w * h, area = d[2] * d[3];
  return both / (crowd ? area : area + g[2] * g[3] - both);
}

// The objects and detections of an image and a category: places in the sorted lists.
struct Group {
  int64_t category, image;
  size_t truth, truths_end, detection, detections_end;
};

// What became of a detection: bit t for overlap t.
struct Fate {
  uint16_t matched = 0, ignored = 0;
};

class Evaluator {
 public:
  Evaluator(const std::vector<CocoTruth>& truths, const std::vector<CocoDetection>& detections,
            const std::vector<int64_t>& categories, CocoKind kind)
      : all_truths_(truths), all_detections_(detections), categories_(categories), kind_(kind) {
    check_all();
    sort_all();
    make_groups();
  }

  void run(CocoScores& scores) {
    for (auto& fates : fates_) fates.resize(detections_.size());
    for (auto& counted : counted_) counted.resize(groups_.size());
    parallel_for(int64_t(groups_.size()), 16, [&](int64_t begin, int64_t end) {
      for (int64_t g = begin; g < end; ++g) match(size_t(g));
    });
    const int64_t K = int64_t(categories_.size());
    parallel_for(K, 1, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) accumulate(k, scores);
    });
  }

 private:
  struct Key {
    int64_t category, image;
    double falling;  // -score
    size_t index;
    auto place() const { return std::pair(category, image); }
  };

  const CocoTruth& truth(size_t i) const { return all_truths_[truths_[i].index]; }
  const CocoDetection& detection(size_t i) const { return all_detections_[detections_[i].index]; }

  // `what` i of image n: an object with its area, or a detection with its score.
  template <class T>
  void check_one(const char* what, size_t i, const T& of, double number) const {
    const auto name = [&] { return str(what, " ", i, " of image ", of.image); };
    CHECK(std::binary_search(categories_.begin(), categories_.end(), of.category), name(),
          " has category ", of.category, ", which is none of the ", categories_.size(),
          " that exist");
    CHECK(std::isfinite(number), name(), " has the score or area ", number);
    for (const double x : of.box)
      CHECK(kind_ == CocoKind::kMasks || std::isfinite(x), name(), " has a box with ", x, " in it");
    if (kind_ == CocoKind::kBoxes) return;
    CHECK(!of.mask.counts.empty(), name(), " has no mask, and masks are compared");
    try {
      data::check_mask(of.mask);
    } catch (const Error& e) {
      throw Error(str(name(), ": ", e.what()));
    }
  }

  void check_all() const {
    for (size_t i = 0; i < all_truths_.size(); ++i)
      check_one("object", i, all_truths_[i], all_truths_[i].area);
    for (size_t i = 0; i < all_detections_.size(); ++i)
      check_one("detection", i, all_detections_[i], all_detections_[i].score);
  }

  // By category and image; detections then by falling score. What is equal keeps its order.
  void sort_all() {
    for (size_t i = 0; i < all_truths_.size(); ++i)
      truths_.push_back({all_truths_[i].category, all_truths_[i].image, 0, i});
    for (size_t i = 0; i < all_detections_.size(); ++i)
      detections_.push_back(
          {all_detections_[i].category, all_detections_[i].image, -all_detections_[i].score, i});
    const auto before = [](const Key& a, const Key& b) {
      return std::tie(a.category, a.image, a.falling, a.index) <
             std::tie(b.category, b.image, b.falling, b.index);
    };
    std::sort(truths_.begin(), truths_.end(), before);
    std::sort(detections_.begin(), detections_.end(), before);
  }

  void make_groups() {
    for (size_t t = 0, d = 0; t < truths_.size() || d < detections_.size();) {
      const bool by_truth = d == detections_.size() ||
                            (t < truths_.size() && truths_[t].place() <= detections_[d].place());
      const auto place = by_truth ? truths_[t].place() : detections_[d].place();
      Group group{place.first, place.second, t, t, d, d};
      while (t < truths_.size() && truths_[t].place() == place) ++t;
      while (d < detections_.size() && detections_[d].place() == place) ++d;
      group.truths_end = t;
      group.detections_end = std::min(d, group.detection + size_t(kCounts.back()));
      groups_.push_back(group);
    }
  }

  // IoU of each detection with each object, (D, G).
  std::vector<double> overlaps(const Group& group) const {
    const size_t G = group.truths_end - group.truth;
    std::vector<double> out;
    out.reserve((group.detections_end - group.detection) * G);
    std::vector<CocoBox> boxes;  // of the objects
    for (size_t g = group.truth; g < group.truths_end; ++g) boxes.push_back(box(truth(g)));
    for (size_t i = group.detection; i < group.detections_end; ++i) {
      const CocoDetection& d = detection(i);
      const CocoBox own = box(d);
      for (size_t g = 0; g < G; ++g) {
        const CocoTruth& t = truth(group.truth + g);
        double value = box_iou(own, boxes[g], t.crowd);
        if (kind_ == CocoKind::kMasks &&
            (value > 0 || d.mask.width != t.mask.width || d.mask.height != t.mask.height))
          value = mask_iou(d, t);
        out.push_back(value);
      }
    }
    return out;
  }

  template <class T>
  CocoBox box(const T& of) const {
    if (kind_ == CocoKind::kBoxes) return of.box;
    const auto box = data::box_of(of.mask);
    return {double(box[0]), double(box[1]), double(box[2]), double(box[3])};
  }

  static double mask_iou(const CocoDetection& d, const CocoTruth& t) {
    try {
      return data::iou(d.mask, t.mask, t.crowd);
    } catch (const Error& e) {
      throw Error(str("image ", d.image, ": a detection and an object have ", e.what()));
    }
  }

  double area(const CocoDetection& d) const {
    return kind_ == CocoKind::kBoxes ? d.box[2] * d.box[3] : double(data::area(d.mask));
  }

  void match(size_t index) {
    const Group& group = groups_[index];
    const size_t G = group.truths_end - group.truth;
    const std::vector<double> ious = overlaps(group);
    std::vector<double> areas;
    for (size_t i = group.detection; i < group.detections_end; ++i)
      areas.push_back(area(detection(i)));
    for (int64_t a = 0; a < kCocoAreas; ++a) {
      std::vector<size_t> order;  // of the objects: those that count, then the ignored
      for (const bool ignored : {false, true}) {
        for (size_t g = 0; g < G; ++g)
          if (ignores(truth(group.truth + g), a) == ignored) order.push_back(g);
        if (!ignored) counted_[size_t(a)][index] = int64_t(order.size());
      }
      const size_t counted = size_t(counted_[size_t(a)][index]);
      for (int64_t t = 0; t < kCocoOverlaps; ++t) match_at(group, ious, order, counted, a, t);
      for (size_t i = 0; i < areas.size(); ++i)
        if (outside(areas[i], a)) {
          Fate& fate = fates_[size_t(a)][group.detection + i];
          fate.ignored |= uint16_t(~fate.matched);
        }
    }
  }

  static bool ignores(const CocoTruth& t, int64_t a) { return t.crowd || outside(t.area, a); }

  void match_at(const Group& group, const std::vector<double>& ious,
                const std::vector<size_t>& order, size_t counted, int64_t a, int64_t t) {
    const size_t G = order.size();
    std::vector<char> taken(G);
    for (size_t i = group.detection; i < group.detections_end; ++i) {
      double best = std::min(overlap(t), 1 - 1e-10);
      size_t found = G;
      for (size_t o = 0; o < G; ++o) {
        if (o >= counted && found < counted) break;
        const size_t g = order[o];
        if (taken[o] && !truth(group.truth + g).crowd) continue;
        const double value = ious[(i - group.detection) * G + g];
        if (value < best) continue;
        best = value;
        found = o;
      }
      if (found == G) continue;
      taken[found] = 1;
      Fate& fate = fates_[size_t(a)][i];
      fate.matched |= uint16_t(1 << t);
      if (found >= counted) fate.ignored |= uint16_t(1 << t);
    }
  }

  // A detection in the order of the whole category.
  struct Ranked {
    double falling;  // -score
    size_t place;    // in detections_
    int64_t rank;    // in its image and category
  };

  std::vector<Ranked> ranked(size_t first, size_t last) const {
    std::vector<Ranked> out;
    for (size_t g = first; g < last; ++g)
      for (size_t i = groups_[g].detection; i < groups_[g].detections_end; ++i)
        out.push_back({detections_[i].falling, i, int64_t(i - groups_[g].detection)});
    std::stable_sort(out.begin(), out.end(),
                     [](const Ranked& a, const Ranked& b) { return a.falling < b.falling; });
    return out;
  }

  void accumulate(int64_t k, CocoScores& scores) const {
    const auto by_category = [](const Group& g, int64_t category) { return g.category < category; };
    const auto at = [&](int64_t category) {
      return size_t(std::lower_bound(groups_.begin(), groups_.end(), category, by_category) -
                    groups_.begin());
    };
    const int64_t category = categories_[size_t(k)];
    const size_t first = at(category);
    size_t last = first;
    while (last < groups_.size() && groups_[last].category == category) ++last;
    const std::vector<Ranked> all = ranked(first, last);
    for (int64_t a = 0; a < kCocoAreas; ++a) {
      int64_t counted = 0;
      for (size_t g = first; g < last; ++g) counted += counted_[size_t(a)][g];
      if (counted == 0) continue;
      for (int64_t m = 0; m < kCocoCounts; ++m)
        for (int64_t t = 0; t < kCocoOverlaps; ++t) curve(all, counted, {t, k, a, m}, scores);
    }
  }

  struct Place {
    int64_t t, k, a, m;
  };

  // Precision over recall of one category, range of areas, number of detections and overlap.
  void curve(const std::vector<Ranked>& all, int64_t counted, Place at, CocoScores& scores) const {
    const std::vector<Fate>& fates = fates_[size_t(at.a)];
    const int64_t K = int64_t(categories_.size());
    std::vector<double> recall, precision;
    double tp = 0, fp = 0;
    for (const Ranked& d : all) {
      if (d.rank >= kCounts[size_t(at.m)]) continue;
      const Fate fate = fates[d.place];
      if (!(fate.ignored >> at.t & 1)) ++(fate.matched >> at.t & 1 ? tp : fp);
      recall.push_back(tp / double(counted));
      precision.push_back(tp / (fp + tp + 0x1p-52));
    }
    for (size_t i = precision.size(); i-- > 1;)
      precision[i - 1] = std::max(precision[i - 1], precision[i]);
    scores.recall[size_t(((at.t * K + at.k) * kCocoAreas + at.a) * kCocoCounts + at.m)] =
        recall.empty() ? 0 : recall.back();
    size_t i = 0;
    for (int64_t r = 0; r < kCocoRecalls; ++r) {
      while (i < recall.size() && recall[i] < recall_at(r)) ++i;
      const int64_t row = (at.t * kCocoRecalls + r) * K + at.k;
      scores.precision[size_t((row * kCocoAreas + at.a) * kCocoCounts + at.m)] =
          i < recall.size() ? precision[i] : 0;
    }
  }

  const std::vector<CocoTruth>& all_truths_;
  const std::vector<CocoDetection>& all_detections_;
  const std::vector<int64_t>& categories_;
  const CocoKind kind_;
  std::vector<Key> truths_, detections_;
  std::vector<Group> groups_;                             // by category and image
  std::array<std::vector<Fate>, kCocoAreas> fates_;       // of detections_
  std::array<std::vector<int64_t>, kCocoAreas> counted_;  // objects that count, of groups_
};

}  // namespace

CocoScores coco_evaluate(const std::vector<CocoTruth>& truths,
                         const std::vector<CocoDetection>& detections,
                         std::vector<int64_t> categories, CocoKind kind) {
  std::sort(categories.begin(), categories.end());
  CHECK(std::adjacent_find(categories.begin(), categories.end()) == categories.end(),
        "coco_evaluate: a category is listed twice");
  CocoScores scores;
  const size_t n = categories.size() * size_t(kCocoAreas * kCocoCounts);
  scores.precision.assign(size_t(kCocoOverlaps * kCocoRecalls) * n, -1);
  scores.recall.assign(size_t(kCocoOverlaps) * n, -1);
  Evaluator(truths, detections, categories, kind).run(scores);
  scores.categories = std::move(categories);
  return scores;
}

}  // namespace rmt::train

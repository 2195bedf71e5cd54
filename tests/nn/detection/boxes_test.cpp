// What detectors do with boxes on the host, against numbers by hand and slow definitions.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "core/random.h"
#include "nn/detection/anchor_targets.h"
#include "nn/detection/anchors.h"
#include "nn/detection/matching.h"
#include "nn/detection/nms.h"
#include "nn/detection/sampler.h"

namespace rmt::test {
namespace {

using namespace nn;

void expect_box(const Box& a, const Box& b, double tolerance = 1e-12) {
  EXPECT_NEAR(a.x1, b.x1, tolerance);
  EXPECT_NEAR(a.y1, b.y1, tolerance);
  EXPECT_NEAR(a.x2, b.x2, tolerance);
  EXPECT_NEAR(a.y2, b.y2, tolerance);
}

std::vector<Box> random_boxes(int64_t n, uint64_t stream, double side) {
  Random random(7, Purpose::test, stream);
  std::vector<Box> boxes;
  for (int64_t i = 0; i < n; ++i) {
    const double x = random.uniform(0, 100), y = random.uniform(0, 80);
    boxes.push_back({x, y, x + random.uniform(1, side), y + random.uniform(1, side)});
  }
  return boxes;
}

TEST(Boxes, Overlap) {
  const Box a{0, 0, 4, 2};
  EXPECT_DOUBLE_EQ(iou(a, a), 1);
  EXPECT_DOUBLE_EQ(iou(a, {2, 1, 6, 3}), 2. / 14);  // 2 x 1 of 8 + 8 - 2
  EXPECT_EQ(iou(a, {4, 0, 5, 2}), 0);               // they touch
  EXPECT_EQ(iou(a, {5, 5, 6, 6}), 0);
  EXPECT_EQ(iou({1, 1, 1, 1}, {1, 1, 1, 1}), 0);  // no area
}

TEST(Boxes, DeltasLeadThereAndBack) {
  const Delta stds{.1, .1, .2, .2};
  // A box of 10 x 20 moved by (1, -4) and made twice as wide and half as high.
  const Delta d = encode({0, 0, 10, 20}, {-4, 1, 16, 11}, stds);
  EXPECT_NEAR(d[0], .1 / .1, 1e-12);
  EXPECT_NEAR(d[1], -.2 / .1, 1e-12);
  EXPECT_NEAR(d[2], std::log(2) / .2, 1e-12);
  EXPECT_NEAR(d[3], -std::log(2) / .2, 1e-12);
  const std::vector<Box> p = random_boxes(50, 1, 40), g = random_boxes(50, 2, 40);
  for (size_t i = 0; i < p.size(); ++i)
    expect_box(decode(p[i], encode(p[i], g[i], stds), stds), g[i], 1e-10);
}

TEST(Boxes, WildDeltasAreCut) {
  const Box b = decode({0, 0, 16, 16}, {0, 0, 100, -100}, {1, 1, 1, 1});
  EXPECT_NEAR(b.width(), 1000, 1e-9);
  EXPECT_NEAR(b.height(), 16 * 16 / 1000., 1e-9);
  expect_box(clip(b, 30, 20), {0, 8 - .128, 30, 8 + .128}, 1e-9);
}

TEST(Anchors, OfALevel) {
  const AnchorRule rule = anchors_of_proposals(8);
  const std::vector<Box> boxes = anchors_of_level(rule, 1, 2, 3);  // stride 8
  ASSERT_EQ(boxes.size(), 2u * 3 * 3);
  // Ratio 1 at pixel (y, x) = (1, 2): 64 x 64 around (16, 8).
  expect_box(boxes[(1 * 3 + 2) * 3 + 1], {16 - 32, 8 - 32, 16 + 32, 8 + 32});
  // Ratio 1/2 at (0, 0): twice as wide as high, of the same area.
  EXPECT_NEAR(boxes[0].width(), 2 * boxes[0].height(), 1e-12);
  EXPECT_NEAR(boxes[0].area(), 64 * 64, 1e-9);

  const AnchorRule retina = anchors_of_retinanet(4);
  EXPECT_EQ(retina.per_pixel(), 9);
  const std::vector<Box> nine = anchors_of_level(retina, 0, 1, 1);
  EXPECT_NEAR(nine[1].area(), std::pow(32 * std::pow(2, 1. / 3), 2), 1e-9);  // ratio 1/2, scale 2
  EXPECT_NEAR(nine[8].height(), 2 * nine[8].width(), 1e-12);
}

// An image of 50 x 40 is padded to 64 x 64 by itself; in a batch of 128 x 96 the rest is not its.
TEST(Anchors, ThoseOfAnotherImagesPaddingAreLeftOut) {
  const AnchorRule rule = anchors_of_proposals(8);
  const std::vector<char> valid = valid_anchors(rule, 4, 2, 2, 50, 40);  // stride 64
  EXPECT_EQ(valid, (std::vector<char>{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST(Anchors, BestRowsAreSortedAndNanComesLast) {
  const double one[] = {1, NAN, 3, 2, 3};
  EXPECT_EQ(best_rows(one, 5, 1, 3), (std::vector<int64_t>{2, 4, 3}));
  EXPECT_EQ(best_rows(one, 5, 1, 4), (std::vector<int64_t>{2, 4, 3, 0}));
  EXPECT_EQ(best_rows(one, 5, 1, 5), (std::vector<int64_t>{0, 1, 2, 3, 4}));
  const double two[] = {0, 5, NAN, 6, 7, 1};
  EXPECT_EQ(best_rows(two, 3, 2, 2), (std::vector<int64_t>{2, 1}));
}

TEST(Matching, RulesInOrder) {
  const std::vector<Box> objects{{0, 0, 10, 10}, {20, 0, 30, 10}, {100, 0, 110, 10}};
  const std::vector<Box> boxes{
      {0, 0, 10, 8},      // IoU .8 with object 0
      {20, 0, 30, 4.5},   // .45 with object 1: neither
      {20, 0, 30, 3},     // .3
      {50, 50, 60, 60},   // 0
      {100, 0, 110, 4},   // .4 with object 2, and no other has more
      {100, 6, 110, 10},  // the same
  };
  const MatchRule rule{.5, .4};
  EXPECT_EQ(match(boxes, {}, objects, rule),
            (std::vector<int64_t>{0, kUnsure, kBackground, kBackground, kUnsure, kUnsure}));
  // Each object takes all boxes that are nearest to it, if near enough.
  EXPECT_EQ(match(boxes, {}, objects, {.5, .4, .42}),
            (std::vector<int64_t>{0, 1, kBackground, kBackground, kUnsure, kUnsure}));
  EXPECT_EQ(match(boxes, {}, objects, {.5, .4, 0}),
            (std::vector<int64_t>{0, 1, kBackground, kBackground, 2, 2}));
  // A box that is not considered is no object's nearest either.
  EXPECT_EQ(match(boxes, {1, 0, 1, 1, 1, 0}, objects, {.5, .4, 0}),
            (std::vector<int64_t>{0, kUnsure, 1, kBackground, 2, kUnsure}));
  EXPECT_EQ(match(boxes, {}, {}, {.5, .4, 0}), std::vector<int64_t>(6, kBackground));
  // An object that no box touches takes none, not all.
  EXPECT_EQ(match({boxes[3]}, {}, objects, {.5, .4, 0}), std::vector<int64_t>{kBackground});
}

TEST(Matching, ALaterObjectTakesAnEarlierOnesNearest) {
  const std::vector<Box> boxes{{0, 0, 10, 10}};
  EXPECT_EQ(match(boxes, {}, {{0, 0, 10, 9}, {0, 0, 10, 5}}, {.7, .3, .3}),
            std::vector<int64_t>{1});
  EXPECT_EQ(match(boxes, {}, {{0, 0, 10, 9}, {0, 0, 10, 5}}, {.7, .3}), std::vector<int64_t>{0});
  // The nearest alone, not all that were so for a while.
  EXPECT_EQ(match({{0, 0, 10, 2}, {0, 0, 10, 4}}, {}, {{0, 0, 10, 10}}, {.7, .3, .1}),
            (std::vector<int64_t>{kBackground, 0}));
  // Of equal IoUs the first.
  EXPECT_EQ(match(boxes, {}, {{0, 0, 10, 9}, {0, 1, 10, 10}}, {.7, .3}), std::vector<int64_t>{0});
}

std::vector<int64_t> some_matches(int64_t n, int64_t positives) {
  std::vector<int64_t> matched(size_t(n), kBackground);
  for (int64_t i = 0; i < positives; ++i) matched[size_t(3 * i)] = i;
  matched[1] = kUnsure;
  return matched;
}

TEST(Sampler, CountsAndOrder) {
  const auto even = [](int64_t n, int64_t k) {
    std::vector<int64_t> chosen;
    for (int64_t i = 0; i < k; ++i) chosen.push_back(i * n / k);
    return chosen;
  };
  const std::vector<int64_t> matched = some_matches(40, 10);
  const Sample few = sample(matched, 12, .25, even);
  EXPECT_EQ(few.positive, (std::vector<int64_t>{0, 9, 18}));  // 3 of 10: the places 0, 3, 6
  EXPECT_EQ(few.negative.size(), 9u);
  const Sample all = sample(matched, 100, .5, even);
  EXPECT_EQ(all.positive.size(), 10u);
  EXPECT_EQ(all.negative.size(), 29u);  // all but the unsure one
}

TEST(Sampler, DrawsAreAFunctionOfSeedStepImageAndStage) {
  const std::vector<int64_t> matched = some_matches(600, 100);
  const auto drawn = [&](uint64_t seed, int64_t step, int64_t image, int64_t stage) {
    const Sample s = sample(matched, 64, .5, random_choice(seed, step, image, stage));
    EXPECT_EQ(s.positive.size(), 32u);
    EXPECT_EQ(s.negative.size(), 32u);
    EXPECT_TRUE(std::is_sorted(s.positive.begin(), s.positive.end()));
    EXPECT_EQ(std::set<int64_t>(s.negative.begin(), s.negative.end()).size(), 32u);
    std::vector<int64_t> both = s.positive;
    both.insert(both.end(), s.negative.begin(), s.negative.end());
    return both;
  };
  const auto first = drawn(1, 2, 3, 0);
  EXPECT_EQ(drawn(1, 2, 3, 0), first);
  EXPECT_NE(drawn(2, 2, 3, 0), first);
  EXPECT_NE(drawn(1, 3, 3, 0), first);
  EXPECT_NE(drawn(1, 2, 4, 0), first);
  EXPECT_NE(drawn(1, 2, 3, 1), first);
}

// Over N draws of k of n each index comes about N k / n times. The deviation of such a count is
// below sqrt(N k / n) = 20; six of them are never seen, for one index or for all ten.
TEST(Sampler, EveryIndexIsAsLikely) {
  std::vector<double> counts(10);
  for (int64_t step = 0; step < 1000; ++step)
    for (int64_t i : random_choice(5, step, 0, 0)(10, 4)) ++counts[size_t(i)];
  for (double count : counts) EXPECT_NEAR(count, 400, 120);
}

// The definition, without any order of work: a box stays unless one of its group that stays comes
// before it and overlaps it.
std::vector<int64_t> suppress_slowly(const std::vector<Candidate>& c, double threshold) {
  std::vector<int64_t> order, kept;
  for (size_t i = 0; i < c.size(); ++i) order.push_back(int64_t(i));
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return std::pair(-c[size_t(a)].score, a) < std::pair(-c[size_t(b)].score, b);
  });
  for (int64_t i : order) {
    bool stays = true;
    for (int64_t j : kept)
      if (c[size_t(i)].group == c[size_t(j)].group &&
          iou(c[size_t(i)].box, c[size_t(j)].box) > threshold)
        stays = false;
    if (stays) kept.push_back(i);
  }
  return kept;
}

TEST(Suppression, IsItsDefinition) {
  const std::vector<Box> boxes = random_boxes(300, 3, 50);
  Random random(7, Purpose::test, 4);
  std::vector<Candidate> candidates;
  for (const Box& box : boxes)  // some scores are equal
    candidates.push_back({box, double(random.below(40)), random.below(3)});
  const std::vector<int64_t> all = suppress_slowly(candidates, .3);
  ASSERT_GT(all.size(), 20u);
  ASSERT_LT(all.size(), 200u);
  EXPECT_EQ(suppress(candidates, .3, 1000), all);
  EXPECT_EQ(suppress(candidates, .3, 7), std::vector<int64_t>(all.begin(), all.begin() + 7));
  EXPECT_EQ(suppress({}, .3, 7), std::vector<int64_t>{});
}

// The threshold itself does not suppress.
TEST(Suppression, OnlyAboveTheThreshold) {
  const std::vector<Candidate> two{{{0, 0, 2, 1}, .9, 0}, {{1, 0, 2, 1}, .8, 0}};  // IoU 1/2
  EXPECT_EQ(suppress(two, .5, 9).size(), 2u);
  EXPECT_EQ(suppress(two, .49, 9).size(), 1u);
}

}  // namespace
}  // namespace rmt::test

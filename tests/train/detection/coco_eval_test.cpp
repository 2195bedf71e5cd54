// COCO's evaluation against pycocotools on made-up detections (tests/golden/coco_eval.py), and what
// it says of a few by hand.
#include "train/detection/coco_eval.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/parallel.h"

using namespace rmt;
using namespace rmt::train;

namespace {

struct Case {
  std::vector<CocoTruth> truths;
  std::vector<CocoDetection> detections;
  std::vector<double> boxes, masks;  // what pycocotools says
};

template <class T>
void read_shape(std::istringstream& words, T& of) {
  int64_t width, height;
  std::string text;
  for (double& x : of.box) words >> x;
  words >> width >> height >> text;
  of.mask = data::from_text(text, width, height);
}

const std::vector<int64_t> kCategories = {1, 3, 4, 90};

Case golden() {
  std::ifstream in("tests/golden/coco_eval.txt");
  Case out;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    std::string kind;
    words >> kind;
    if (kind == "truth") {
      CocoTruth t;
      words >> t.image >> t.category >> t.area >> t.crowd;
      read_shape(words, t);
      out.truths.push_back(t);
    } else if (kind == "detection") {
      CocoDetection d;
      words >> d.image >> d.category >> d.score;
      read_shape(words, d);
      out.detections.push_back(d);
    } else {
      for (double x; words >> x;) (kind == "boxes" ? out.boxes : out.masks).push_back(x);
    }
  }
  return out;
}

// The golden line of `scores`: stats, AP by category, sums.
std::vector<double> line_of(const CocoScores& scores) {
  const CocoStats stats = scores.stats();
  std::vector<double> out(stats.begin(), stats.end());
  for (size_t k = 0; k < scores.categories.size(); ++k) out.push_back(scores.ap(int64_t(k)));
  double precision = 0, recall = 0, places = 0;
  for (size_t i = 0; i < scores.precision.size(); ++i) {
    const double p = std::max(scores.precision[i], 0.);
    precision += p;
    places += p * double(i % 997);
  }
  for (const double r : scores.recall) recall += std::max(r, 0.);
  out.insert(out.end(), {precision, recall, places});
  return out;
}

// Sums of n positive numbers in two orders differ by n 2^-53 of the sum at most; n is 48,480 here:
// 5e-12, if all errors had one sign. They have not: 1e-12 of a number above 1.
void expect_near(const std::vector<double>& found, const std::vector<double>& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i)
    EXPECT_NEAR(found[i], expected[i], 1e-12 * std::max(1., expected[i])) << "number " << i;
}

// One object of category 1 in image 1, 100 x 100 pixels.
const CocoTruth kObject{1, 1, 10'000, false, {0, 0, 100, 100}, {}};

CocoDetection found(double score, double width, int64_t image = 1) {
  return {image, 1, score, {0, 0, width, 100}, {}};
}

double ap50(const std::vector<CocoTruth>& truths, const std::vector<CocoDetection>& detections) {
  return coco_evaluate(truths, detections, {1}, CocoKind::kBoxes).stats()[1];
}

}  // namespace

TEST(CocoEval, NumbersAreThoseOfCoco) {
  const Case all = golden();
  ASSERT_GT(all.truths.size(), 50u);
  ASSERT_GT(all.detections.size(), 200u);
  expect_near(line_of(coco_evaluate(all.truths, all.detections, kCategories, CocoKind::kBoxes)),
              all.boxes);
  expect_near(line_of(coco_evaluate(all.truths, all.detections, kCategories, CocoKind::kMasks)),
              all.masks);
}

TEST(CocoEval, SameBitsForAnyNumberOfThreads) {
  const Case all = golden();
  const int before = threads();
  std::vector<CocoScores> scores;
  for (const int n : {1, 2, 5}) {
    set_threads(n);
    scores.push_back(coco_evaluate(all.truths, all.detections, {90, 4, 1, 3}, CocoKind::kMasks));
  }
  set_threads(before);
  for (const CocoScores& s : scores) {
    EXPECT_EQ(s.precision, scores[0].precision);
    EXPECT_EQ(s.recall, scores[0].recall);
    EXPECT_EQ(s.categories, kCategories);
  }
}

TEST(CocoEval, OneObject) {
  EXPECT_EQ(ap50({kObject}, {}), 0);
  EXPECT_EQ(ap50({}, {found(.9, 100)}), -1);
  const double one = 1 / (1 + 0x1p-52);
  EXPECT_NEAR(ap50({kObject}, {found(.9, 100)}), one, 1e-15);
  EXPECT_NEAR(ap50({kObject}, {found(.9, 50)}), one, 1e-15);  // an overlap of .5 is enough
  EXPECT_EQ(ap50({kObject}, {found(.9, 49)}), 0);
  // A better score and wrong: half of what is found is right.
  EXPECT_NEAR(ap50({kObject}, {found(.9, 100, 2), found(.8, 100)}), .5, 1e-15);
  // Found twice: the second is wrong, and comes too late to matter.
  EXPECT_NEAR(ap50({kObject}, {found(.9, 60), found(.8, 100)}), one, 1e-15);
  // At equal scores the first counts as the better one.
  EXPECT_NEAR(ap50({kObject}, {found(.9, 10), found(.9, 100)}), .5, 1e-15);
  EXPECT_NEAR(ap50({kObject}, {found(.9, 100), found(.9, 10)}), one, 1e-15);
  // At 0.60 the one of 60 pixels' width still matches: six of ten... of .50, .55 and .60.
  const auto stats = coco_evaluate({kObject}, {found(.9, 60)}, {1}, CocoKind::kBoxes).stats();
  EXPECT_NEAR(stats[0], .3, 1e-15);
  EXPECT_NEAR(stats[8], .3, 1e-15);
  EXPECT_EQ(stats[3], -1);           // no small object
  EXPECT_NEAR(stats[5], .3, 1e-15);  // it is a large one
}

TEST(CocoEval, WhatIsFoundInACrowdIsNeitherRightNorWrong) {
  CocoTruth crowd = kObject;
  crowd.crowd = true;
  CocoTruth other = kObject;
  other.box[0] = 500;
  const CocoDetection right{1, 1, .5, {500, 0, 100, 100}, {}};
  const double alone = ap50({other}, {right});
  EXPECT_EQ(ap50({other, crowd}, {found(.9, 10), found(.8, 20), right}), alone);
  crowd.crowd = false;
  EXPECT_LT(ap50({other, crowd}, {found(.9, 10), found(.8, 20), right}), alone);
}

// An object that counts is better than a crowd, whatever the overlaps.
TEST(CocoEval, ACrowdTakesNothingFromAnObject) {
  CocoTruth crowd = kObject;
  crowd.crowd = true;
  crowd.box = {0, 0, 300, 300};
  EXPECT_EQ(ap50({crowd, kObject}, {found(.9, 60)}), ap50({kObject}, {found(.9, 60)}));
  EXPECT_GT(ap50({crowd, kObject}, {found(.9, 60)}), .99);
}

// A detection in the middle of two objects takes the second; the other one then takes the first.
TEST(CocoEval, OfEqualOverlapsTheLastWins) {
  CocoTruth right = kObject;
  right.box[0] = 20;
  const CocoDetection middle{1, 1, .9, {10, 0, 100, 100}, {}};
  const auto ap75 = [&](const std::vector<CocoTruth>& truths) {
    return coco_evaluate(truths, {middle, found(.8, 100)}, {1}, CocoKind::kBoxes).stats()[2];
  };
  EXPECT_NEAR(ap75({kObject, right}), 1, 1e-12);
  EXPECT_NEAR(ap75({right, kObject}), 51. / 101, 1e-12);  // recall .5, and one that is wrong
}

TEST(CocoEval, WhatDoesNotFitIsAnError) {
  const auto error = [](std::vector<CocoTruth> t, std::vector<CocoDetection> d,
                        std::vector<int64_t> categories, CocoKind kind) -> std::string {
    try {
      coco_evaluate(t, d, categories, kind);
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  };
  const auto boxes = CocoKind::kBoxes, masks = CocoKind::kMasks;
  CocoTruth object = kObject;
  CocoDetection one = found(.9, 100);
  EXPECT_EQ(error({object}, {one}, {1}, boxes), "no error");
  EXPECT_EQ(error({object}, {one}, {2, 3}, boxes),
            "object 0 of image 1 has category 1, which is none of the 2 that exist");
  EXPECT_EQ(error({}, {one}, {2}, boxes),
            "detection 0 of image 1 has category 1, which is none of the 1 that exist");
  EXPECT_EQ(error({object}, {one}, {1, 1}, boxes), "coco_evaluate: a category is listed twice");
  EXPECT_EQ(error({object}, {one}, {1}, masks),
            "object 0 of image 1 has no mask, and masks are compared");
  object.mask = data::runs_of({2, 1, {0, 1}});
  one.mask = {2, 1, {1, 2}};
  EXPECT_EQ(error({object}, {one}, {1}, masks),
            "detection 0 of image 1: a mask's runs have 3 pixels in all; 2 x 1 are 2");
  one.mask = data::runs_of({1, 2, {0, 1}});
  EXPECT_EQ(error({object}, {one}, {1}, masks),
            "image 1: a detection and an object have a mask of 1 x 2 pixels and one of 2 x 1; both "
            "must be of one image's size");
  one.score = NAN;
  EXPECT_EQ(error({object}, {one}, {1}, boxes), "detection 0 of image 1 has the score or area nan");
  one.score = 1;
  one.box[2] = INFINITY;
  EXPECT_EQ(error({object}, {one}, {1}, boxes), "detection 0 of image 1 has a box with inf in it");
}

TEST(CocoEval, TheSummaryHasTheTwelveNumbers) {
  const CocoScores scores = coco_evaluate({kObject}, {found(.9, 60)}, {1}, CocoKind::kBoxes);
  const std::string text = scores.summary();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 12);
  EXPECT_NE(text.find("AP      30.00  overlap .50 to .95\n"), std::string::npos) << text;
  EXPECT_NE(text.find("APs     -1.00  small"), std::string::npos) << text;
}

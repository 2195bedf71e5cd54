#include "train/segmentation/miou.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/files/files.h"
#include "data/segmentation/labelled_folder.h"
#include "tests/data/folder_maker.h"
#include "train/segmentation/task.h"

using namespace rmt;
using namespace rmt::data;
using namespace rmt::train;
using nlohmann::json;

namespace {

// The maps of tests/golden/seg_miou.py.
LabelImage truth_of(int64_t image) {
  LabelImage out{37, 23, {}};
  for (int64_t y = 0; y < 23; ++y)
    for (int64_t x = 0; x < 37; ++x) {
      const int64_t v = (x / 4 + y / 3 + image * 5) % 9;
      out.labels.push_back(uint8_t(v == 8 ? 255 : v == 3 ? 2 : v));
    }
  return out;
}
LabelImage prediction_of(int64_t image) {
  LabelImage out{37, 23, {}};
  for (int64_t y = 0; y < 23; ++y)
    for (int64_t x = 0; x < 37; ++x) {
      const int64_t v = ((x + image) / 5 + y / 3 + image * 5) % 9;
      out.labels.push_back(uint8_t(v == 8 ? 0 : v == 6 ? 5 : v));
    }
  return out;
}

void expect_number(double got, const json& want, const std::string& what) {
  if (want.is_null())
    EXPECT_TRUE(std::isnan(got)) << what << " is " << got;
  else  // quotients of the same integers, and sums of at most 150 of them: some units of 2^-53
    EXPECT_NEAR(got, want.get<double>(), 1e-12) << what;
}

void expect_agreement(const Agreement& got, const json& want) {
  expect_number(got.accuracy, want["aAcc"], "aAcc");
  expect_number(got.mean_accuracy, want["mAcc"], "mAcc");
  expect_number(got.mean_iou, want["mIoU"], "mIoU");
  ASSERT_EQ(got.classes.size(), want["IoU"].size());
  for (size_t k = 0; k < got.classes.size(); ++k) {
    expect_number(got.classes[k].iou, want["IoU"][k], str("IoU of class ", k));
    expect_number(got.classes[k].accuracy, want["acc"][k], str("accuracy of class ", k));
  }
}

}  // namespace

// Class 3 is predicted and true nowhere, 6 is true and never predicted, 8 to 10 are neither.
TEST(Miou, EqualsMmSegmentationsNumbers) {
  const json want = json::parse(read_file("tests/golden/seg_miou.json", 1 << 20));
  PixelCounts counts(11);
  for (int64_t image = 0; image < 5; ++image) counts.add(prediction_of(image), truth_of(image));
  const Agreement got = agreement_of(counts);
  expect_agreement(got, want);
  EXPECT_EQ(got.pixels, want["pixels"].get<int64_t>());
  EXPECT_TRUE(std::isnan(got.classes[9].iou));
  EXPECT_EQ(got.classes[6].iou, 0);
}

TEST(Miou, CountsOfProcessesAddUp) {
  PixelCounts whole(11), a(11), b(11);
  for (int64_t image = 0; image < 5; ++image) {
    whole.add(prediction_of(image), truth_of(image));
    (image % 2 ? a : b).add(prediction_of(image), truth_of(image));
  }
  a.add(b);
  EXPECT_EQ(a.counts(), whole.counts());
  EXPECT_THROW(a.add(PixelCounts(10)), Error);
}

TEST(Miou, NoPixelsAreNoAgreement) {
  const Agreement none = agreement_of(PixelCounts(3));
  EXPECT_TRUE(std::isnan(none.mean_iou) && std::isnan(none.mean_accuracy) &&
              std::isnan(none.accuracy));
  EXPECT_EQ(none.pixels, 0);
}

TEST(Miou, RefusesWhatIsNoClass) {
  PixelCounts counts(3);
  const LabelImage truth{2, 1, {0, 255}};
  EXPECT_NO_THROW(counts.add({2, 1, {2, 200}}, truth));  // where nothing is known all goes
  EXPECT_TRUE(contains(error_of([&] { counts.add({2, 1, {3, 0}}, truth); }), "taken for class 3"));
  const LabelImage known{2, 1, {0, 1}};
  EXPECT_TRUE(contains(error_of([&] { counts.add({2, 1, {0, 7}}, known); }), "taken for class 7"));
  EXPECT_TRUE(contains(error_of([&] { counts.add({1, 2, {0, 0}}, truth); }), "1 x 2"));
  EXPECT_TRUE(contains(error_of([&] { counts.add({2, 1, {0, 0}}, {2, 1, {4, 0}}); }), "class 4"));
  EXPECT_EQ(agreement_of(counts).pixels, 1);  // what was refused has left nothing behind
  EXPECT_THROW(PixelCounts(0), Error);
  EXPECT_THROW(PixelCounts(256), Error);
}

TEST(Miou, ATableBeginsWithTheWorstClass) {
  PixelCounts counts(3);
  counts.add({4, 1, {0, 0, 1, 0}}, {4, 1, {0, 0, 1, 1}});
  EXPECT_EQ(agreement_table(agreement_of(counts), {"sky", "road", "tree"}),
            "   IoU     acc  % of pixels  class\n"
            " 50.00   50.00        50.00  road\n"
            " 66.67  100.00        50.00  sky\n");
}

TEST(Miou, ASetWithoutLabelledPixelsScoresZero) {
  PixelCounts counts(2);
  counts.add({2, 1, {0, 1}}, {2, 1, {255, 255}});
  for (const Score& s : segmentation_scores(agreement_of(counts))) EXPECT_EQ(s.value, 0) << s.name;
}

// RMT_DOWNSTREAM: a folder with camvid/ and coco-eval/expected.json, in which the same predictions
// were scored: the truth from five rows below and three columns to the right, and in every seventh
// column the class (x / 7) mod 11.
TEST(Miou, EqualsMmSegmentationsNumbersOnCamVid) {
  const char* root = std::getenv("RMT_DOWNSTREAM");
  if (!root) GTEST_SKIP() << "RMT_DOWNSTREAM is not set: no CamVid to read";
  const LabelledFolder set(str(root, "/camvid"), "val");
  PixelCounts counts(11);
  for (int64_t i = 0; i < set.size(); ++i) {
    const LabelImage truth = read_labels(set.label_name(i), set.rule());
    LabelImage prediction{truth.width, truth.height, {}};
    for (int64_t y = 0; y < truth.height; ++y)
      for (int64_t x = 0; x < truth.width; ++x) {
        const int64_t from_y = std::min(y + 5, truth.height - 1),
                      from_x = std::min(x + 3, truth.width - 1);
        const uint8_t v = truth.labels[size_t(from_y * truth.width + from_x)];
        prediction.labels.push_back(x % 7 == 0 ? uint8_t(x / 7 % 11) : v == 255 ? 0 : v);
      }
    counts.add(prediction, truth);
  }
  const json all = json::parse(read_file(str(root, "/coco-eval/expected.json"), 1 << 24));
  expect_agreement(agreement_of(counts), all["camvid validation"]);
}

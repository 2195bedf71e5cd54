// COCO's evaluation against pycocotools on real annotations: COCO's own example results, and others
// (RMT_DOWNSTREAM names a folder with coco-eval, where expected.json holds the numbers).
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "train/detection/coco_json.h"

using namespace rmt;
using namespace rmt::train;
using nlohmann::json;

namespace {

json json_in(const std::string& path) {
  std::ifstream in(path);
  return json::parse(in);
}

using Size = std::array<int64_t, 2>;  // width and height

data::RunLengths mask_of(const json& segmentation, Size size) {
  const auto [width, height] = size;
  if (segmentation.is_array())
    return data::from_polygons(segmentation.get<std::vector<std::vector<double>>>(), width, height);
  return data::from_counts(segmentation.at("counts").get<std::vector<int64_t>>(), width, height);
}

// Means and sums of up to 10^6 numbers, added in another order: errors of 2^-53 of the sum each,
// of either sign, so that they grow as the square root of the number: 1e-13.
void expect_near(double found, double expected, const std::string& what) {
  EXPECT_NEAR(found, expected, 1e-12 * std::max(1., std::abs(expected))) << what;
}

void check_file(const std::string& root, const std::string& file, const json& expected) {
  SCOPED_TRACE(file);
  const std::string truth_file = expected.at("ground_truth").get<std::string>();
  const json truth = json_in(
      root + (truth_file.find('/') == std::string::npos ? "/coco-eval/" : "/") + truth_file);
  const bool masks = expected.at("type") == "segm";
  std::map<int64_t, Size> sizes;
  for (const json& image : truth.at("images"))
    sizes[image.at("id")] = {image.at("width"), image.at("height")};
  std::map<int64_t, std::string> names;
  std::vector<int64_t> categories;
  for (const json& c : truth.at("categories")) names[c.at("id")] = c.at("name");
  for (const auto& c : names) categories.push_back(c.first);

  std::vector<CocoTruth> truths;
  for (const json& a : truth.at("annotations")) {
    CocoTruth t{a.at("image_id"),     a.at("category_id"), a.at("area"),
                a.at("iscrowd") == 1, a.at("bbox"),        {}};
    if (masks) t.mask = mask_of(a.at("segmentation"), sizes.at(t.image));
    truths.push_back(t);
  }
  const CocoKind kind = masks ? CocoKind::kMasks : CocoKind::kBoxes;
  const std::vector<CocoDetection> detections =
      read_coco_results(root + "/coco-eval/" + file, kind, {sizes, categories});

  const CocoScores scores = coco_evaluate(truths, detections, categories, kind);
  const CocoStats stats = scores.stats();
  for (size_t i = 0; i < stats.size(); ++i)
    expect_near(stats[i], expected.at("stats").at(kCocoNames[i]).get<double>(), kCocoNames[i]);
  for (size_t k = 0; k < categories.size(); ++k) {
    const json& ap = expected.at("per_class_AP").at(names.at(categories[k]));
    expect_near(scores.ap(int64_t(k)), ap.is_null() ? -1 : ap.get<double>(), names[categories[k]]);
  }
  double precision = 0, recall = 0;
  int64_t n = 0;
  for (const double p : scores.precision) precision += std::max(p, 0.), n += p > -1;
  for (const double r : scores.recall) recall += std::max(r, 0.);
  EXPECT_EQ(n, expected.at("precision_count"));
  expect_near(precision, expected.at("precision_sum").get<double>(), "precision");
  expect_near(recall, expected.at("recall_sum").get<double>(), "recall");
}

}  // namespace

TEST(CocoEval, RealAnnotations) {
  const char* folder = std::getenv("RMT_DOWNSTREAM");
  if (!folder) GTEST_SKIP() << "RMT_DOWNSTREAM names no folder with coco-mini and coco-eval";
  const std::string root = folder;
  const json expected = json_in(root + "/coco-eval/expected.json");
  int files = 0;
  for (const auto& [file, numbers] : expected.items())
    if (numbers.contains("ground_truth")) check_file(root, file, numbers), ++files;
  EXPECT_EQ(files, 4);
}

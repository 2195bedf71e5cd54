// Every annotation of a real part of COCO: RMT_DOWNSTREAM names a folder with coco-mini/annotations
// and the masks that pycocotools makes of them, coco-eval/coco-mini_masks.json.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/masks/run_lengths.h"

using namespace rmt::data;
using nlohmann::json;

namespace {

json json_in(const std::string& path) {
  std::ifstream in(path);
  return json::parse(in);
}

RunLengths mask_of(const json& segmentation, int64_t width, int64_t height) {
  return segmentation.is_array()
             ? from_polygons(segmentation.get<std::vector<std::vector<double>>>(), width, height)
             : from_counts(segmentation.at("counts").get<std::vector<int64_t>>(), width, height);
}

// The sum over all set pixels of their place, column by column, times 2654435761, modulo 2^32.
uint32_t checksum(const RunLengths& mask) {
  uint32_t sum = 0, at = 0;
  for (size_t i = 0; i < mask.counts.size(); at += mask.counts[i++])
    for (uint32_t j = 0; i % 2 == 1 && j < mask.counts[i]; ++j) sum += (at + j) * 2654435761u;
  return sum;
}

}  // namespace

TEST(RunLengths, EveryMaskOfCocoMini) {
  const char* folder = std::getenv("RMT_DOWNSTREAM");
  if (!folder) GTEST_SKIP() << "RMT_DOWNSTREAM names no folder with coco-mini and coco-eval";
  const std::string root = folder;
  std::map<int64_t, json> expected;
  const json masks = json_in(root + "/coco-eval/coco-mini_masks.json");
  for (const json& row : masks.at("rows")) expected[row.at(0).get<int64_t>()] = row;
  size_t seen = 0;
  for (const char* split : {"train", "val"}) {
    const json all = json_in(root + "/coco-mini/annotations/instances_" + split + ".json");
    std::map<int64_t, std::pair<int64_t, int64_t>> sizes;
    for (const json& image : all.at("images"))
      sizes[image.at("id")] = {image.at("width"), image.at("height")};
    for (const json& a : all.at("annotations")) {
      SCOPED_TRACE(a.at("id"));
      const json& row = expected.at(a.at("id"));
      const auto [width, height] = sizes.at(a.at("image_id"));
      const RunLengths mask = mask_of(a.at("segmentation"), width, height);
      EXPECT_EQ(area(mask), row.at(1));
      EXPECT_EQ(box_of(mask), (row.at(2).get<std::array<int64_t, 4>>()));
      EXPECT_EQ(checksum(mask), row.at(3));
      EXPECT_EQ(from_text(to_text(mask), width, height), mask);
      ++seen;
    }
  }
  EXPECT_EQ(seen, expected.size());
}

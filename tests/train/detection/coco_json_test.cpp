#include "train/detection/coco_json.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/files/files.h"
#include "tests/memory_file.h"
#include "tests/train/folder.h"

using namespace rmt;
using namespace rmt::train;

namespace {

const CocoNames kNames{{{42, {4, 3}}, {73, {2, 2}}}, {1, 18}};

std::string error_of(const std::string& text, CocoKind kind) {
  const test::MemoryFile file(text);
  try {
    read_coco_results(file.path(), kind, kNames);
  } catch (const Error& e) {
    const std::string message = e.what(), path = file.path() + ": ";
    EXPECT_TRUE(message.starts_with(path)) << message;
    return message.substr(std::min(message.size(), path.size()));
  }
  return "no error";
}

}  // namespace

TEST(CocoJson, WhatIsWrittenIsRead) {
  test::TemporaryFolder folder;
  std::vector<CocoDetection> out;
  for (int i = 0; i < 50; ++i) {
    CocoDetection d{42, i % 2 ? 1 : 18, std::sqrt(i) / 8, {i / 3., 1e-9, 1e300, .1}, {}};
    std::vector<uint8_t> on;
    for (int p = 0; p < 12; ++p) on.push_back(uint8_t(i * (p + 3) * 7 % 5 < 2));
    d.mask = data::runs_of({4, 3, on});
    out.push_back(d);
  }
  const std::string path = folder / "results.json";
  for (const CocoKind kind : {CocoKind::kBoxes, CocoKind::kMasks}) {
    write_coco_results(path, out, kind);
    const std::vector<CocoDetection> in = read_coco_results(path, kind, kNames);
    ASSERT_EQ(in.size(), out.size());
    for (size_t i = 0; i < in.size(); ++i) {
      EXPECT_EQ(in[i].image, out[i].image);
      EXPECT_EQ(in[i].category, out[i].category);
      EXPECT_EQ(in[i].score, out[i].score);
      EXPECT_EQ(in[i].box, kind == CocoKind::kBoxes ? out[i].box : CocoBox{});
      EXPECT_EQ(in[i].mask, kind == CocoKind::kMasks ? out[i].mask : data::RunLengths{});
    }
  }
  write_coco_results(path, {}, CocoKind::kBoxes);
  EXPECT_EQ(read_file(path, 100), "[]\n");
  EXPECT_TRUE(read_coco_results(path, CocoKind::kBoxes, kNames).empty());
}

TEST(CocoJson, TheFormIsCocos) {
  test::TemporaryFolder folder;
  const std::string path = folder / "results.json";
  CocoDetection d{42, 18, .236, {258.15, 41.29, 348.26, 243.78}, data::from_counts({12}, 4, 3)};
  write_coco_results(path, {d, d}, CocoKind::kBoxes);
  const std::string box =
      R"({"image_id":42,"category_id":18,"bbox":[258.15,41.29,348.26,243.78],"score":0.236})";
  EXPECT_EQ(read_file(path, 1000), "[" + box + ",\n" + box + "]\n");
  d.mask = data::from_counts({44, 5}, 7, 7);  // a string with a backslash: 44 = 12 + 32
  write_coco_results(path, {d}, CocoKind::kMasks);
  EXPECT_EQ(read_file(path, 1000),
            "[{\"image_id\":42,\"category_id\":18,\"segmentation\":{\"size\":[7,7],"
            "\"counts\":\"\\\\15\"},\"score\":0.236}]\n");
  d.score = NAN;
  EXPECT_THROW(write_coco_results(path, {d}, CocoKind::kMasks), Error);
}

TEST(CocoJson, ErrorsNameTheEntry) {
  const auto boxes = [](const std::string& text) { return error_of(text, CocoKind::kBoxes); };
  const auto masks = [](const std::string& text) { return error_of(text, CocoKind::kMasks); };
  const std::string head = R"({"image_id":42,"category_id":18,"score":1,)";
  const std::string fine =
      head + R"("bbox":[0,0,1,2.5],"segmentation":{"size":[3,4],"counts":[12]}})";
  EXPECT_EQ(boxes("[" + fine + "]"), "no error");
  EXPECT_EQ(masks("[" + fine + "]"), "no error");
  EXPECT_EQ(boxes("{\"a\":1}"), "is no list of detections, [{\"image_id\": ...}, ...]");
  EXPECT_EQ(boxes("7"), "is no list of detections, [{\"image_id\": ...}, ...]");
  EXPECT_TRUE(boxes("").starts_with("is no list of detections: "));
  EXPECT_TRUE(boxes("[" + fine).starts_with("is no list of detections: "));
  EXPECT_EQ(boxes("[" + fine + ",7]"), "entry 1 is no object, {\"image_id\": ...}");
  EXPECT_EQ(boxes("[[" + fine + "]]"), "entry 0 is no object, {\"image_id\": ...}");
  EXPECT_EQ(boxes("[{}]"), "entry 0: has no \"image_id\"");
  EXPECT_EQ(boxes(R"([{"image_id":"42"}])"), "entry 0: its \"image_id\" is no whole number");
  EXPECT_EQ(boxes(R"([{"image_id":41,"category_id":18,"score":1}])"),
            "entry 0: image 41 is none of the 2 that were to be looked at; the results are of "
            "another set");
  EXPECT_EQ(boxes(R"([{"image_id":42,"category_id":2,"score":1}])"),
            "entry 0: there is no category 2; categories go by the ids of the annotations");
  EXPECT_EQ(boxes("[" + fine + "," + head + R"("bbox":[0,0,1]}])"),
            "entry 1: its \"bbox\" is not [x, y, width, height]");
  EXPECT_EQ(boxes("[" + head + R"("bbox":[0,0,1,"2"]}])"),
            "entry 0: its \"bbox\" has something else than a number");
  EXPECT_EQ(boxes("[" + head + R"("bbox":[0,0,1,-2]}])"),
            "entry 0: its \"bbox\" is 1 wide and -2 high");
  EXPECT_TRUE(boxes("[" + head + R"("bbox":[0,0,1,1e999]}])").starts_with("is no list"));
  EXPECT_EQ(masks("[" + head + R"("bbox":[0,0,1,2]}])"), "entry 0: has no \"segmentation\"");
  EXPECT_EQ(masks("[" + head + R"("segmentation":{"size":[4,3],"counts":"<"}}])"),
            "entry 0: its mask's \"size\" is not [3,4], the image's height and width");
  EXPECT_EQ(masks("[" + head + R"("segmentation":{"size":[3,4],"counts":"5"}}])"),
            "entry 0: a mask's runs have 5 pixels in all; 4 x 3 are 12");
  EXPECT_EQ(masks("[" + head + R"("segmentation":{"size":[3,4],"counts":[12.5]}}])"),
            "entry 0: its mask's \"counts\" have something else than whole numbers");
}

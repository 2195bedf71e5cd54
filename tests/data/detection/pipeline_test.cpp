// The pipelines against OpenCV and numpy on made-up images (tests/golden/coco_pipeline.py), and
// against the published code on photographs where there are any: sizes, boxes to the last bit,
// labels, and pixels of images and masks by their hashes, after each step.
#include "data/detection/pipeline.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "data/detection/coco_set.h"
#include "data/detection/moves.h"
#include "data/images/resize_fixed.h"
#include "tests/data/detection/counted_draws.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using nlohmann::json;

namespace {

json read_json(const std::string& path) {
  std::ifstream in(path);
  return json::parse(in);
}

// Sum of value x (place x 2654435761 mod 2^32), mod 2^32; goes on at `place`.
uint32_t digest(const uint8_t* bytes, size_t n, uint32_t place = 0) {
  uint32_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += bytes[i] * ((place + uint32_t(i)) * 2654435761u);
  return sum;
}
uint32_t digest_bgr(const Image& image) {
  Image other = image;
  for (size_t i = 0; i < other.rgb.size(); i += 3) std::swap(other.rgb[i], other.rgb[i + 2]);
  return digest(other.rgb.data(), other.rgb.size());
}

void expect_boxes(const std::vector<Corners>& boxes, const json& expected) {
  ASSERT_EQ(boxes.size(), expected.size());
  for (size_t i = 0; i < boxes.size(); ++i)
    for (size_t k = 0; k < 4; ++k)
      EXPECT_EQ(double(boxes[i][k]), expected[i][k].get<double>()) << "box " << i;
}

void expect_state(const Sample& sample, const json& expected, bool with_image) {
  const Image& image = sample.image;
  ASSERT_EQ(json::array({image.height, image.width}), expected["shape"]);
  if (with_image) {
    EXPECT_EQ(digest_bgr(image), expected["image"].get<uint32_t>());
  }
  expect_boxes(sample.objects.boxes, expected["boxes"]);
  expect_boxes(sample.objects.crowds, expected["ignored"]);
  EXPECT_EQ(json(sample.objects.labels), expected["labels"]);
  uint32_t sum = 0;
  std::vector<int64_t> pixels;
  for (const Bitmap& mask : sample.objects.masks) {
    ASSERT_EQ(mask.width, image.width);
    ASSERT_EQ(mask.height, image.height);
    sum += digest(mask.on.data(), mask.on.size(), uint32_t(pixels.size() * mask.on.size()));
    pixels.push_back(std::count(mask.on.begin(), mask.on.end(), 1));
  }
  EXPECT_EQ(json(pixels), expected["mask_pixels"]);
  EXPECT_EQ(sum, expected["masks"].get<uint32_t>());
}

// All states of a row: the pipeline's result, and the steps before it one by one.
void replay(const Example& example, const json& row, const std::string& key, bool with_image,
            int64_t long_side, int64_t short_side) {
  const bool once = row["recipe"] == "1x";
  const DetectionOptions options =
      once ? detection_1x(long_side, short_side) : detection_3x(long_side, short_side);
  Draws draws = counted_draws(key);
  const Sample sample = detection_pipeline(options)(Example(example), draws);
  expect_state(sample, row["final"], with_image);
  EXPECT_EQ(sample.original_width, example.image.width);
  EXPECT_EQ(sample.original_height, example.image.height);
  // As many numbers were drawn as in the published code: the next is that of the next place.
  EXPECT_EQ(draws.unit(), number_of(key + "." + std::to_string(row["draws"].size())));

  MovedExample moved{Example(example)};
  expect_state(moved.sample(), row["loaded"], with_image);
  if (once) {
    moved.resize(long_side, short_side);
    return expect_state(moved.sample(), row["resized"], with_image);
  }
  if (row["flip"]) moved.mirror();
  expect_state(moved.sample(), row["flipped"], with_image);
  if (!row.contains("cropped")) return;
  const auto drawn = [&](size_t i) { return row["draws"][i].back().get<int64_t>(); };
  moved.resize(long_side, options.crop_sides[size_t(drawn(2))]);
  moved.crop(drawn(6), drawn(5), drawn(4), drawn(3));
  expect_state(moved.sample(), row["cropped"], with_image);
}

// Scene n of coco_pipeline.py: ellipses in boxes that may reach beyond the image.
Example scene(int64_t n) {
  const int64_t width = 61 + 7 * n, height = 97 - 3 * n;
  Example example{test_image(width, height, int(n)), {}, {}};
  for (int64_t i = 0; i <= n % 4; ++i) {
    const int64_t x0 = (i * 37 + n * 13) % width, y0 = (i * 53 + n * 7) % height,
                  w = 5 + (i * 29 + n * 11) % (width / 2), h = 5 + (i * 17 + n * 19) % (height / 2);
    const double x = double(x0) + 0.25, y = double(y0) + 0.13;
    example.objects.boxes.push_back(
        {float(x), float(y), float(x + (double(w) + 0.37)), float(y + (double(h) + 0.58))});
    example.objects.labels.push_back(i * 3);
    Bitmap mask{width, height, {}};
    for (int64_t r = 0; r < height; ++r)
      for (int64_t c = 0; c < width; ++c) {
        const int64_t a = (2 * c - 2 * x0 - w) * h, b = (2 * r - 2 * y0 - h) * w;
        mask.on.push_back(a * a + b * b <= w * h * w * h);
      }
    example.objects.masks.push_back(mask);
  }
  Corners crowd = example.objects.boxes[0];
  for (float& v : crowd) v *= 0.5f;
  example.objects.crowds = {crowd};
  return example;
}

}  // namespace

TEST(DetectionPipeline, IsThatOfOpenCvAndNumpy) {
  const json rows = read_json("tests/golden/coco_pipeline.json");
  ASSERT_EQ(rows.size(), 16u);
  for (size_t n = 0; n < rows.size(); ++n) {
    SCOPED_TRACE(n);
    replay(scene(int64_t(n)), rows[n], "made." + std::to_string(n), true, 213, 160);
  }
}

// RMT_DOWNSTREAM: a folder with coco-mini/, whose parent's parent has oracle/pipeline-detect.json.
// JPEG decoders differ by a level or two: RMT_DOWNSTREAM_PNG is a folder with the same images as
// libjpeg-turbo decodes them, <name>.png, for the hashes of pixels; without it boxes and masks are
// compared.
TEST(DetectionPipeline, IsThePublishedOneOnPhotographs) {
  const char *root = std::getenv("RMT_DOWNSTREAM"), *decoded = std::getenv("RMT_DOWNSTREAM_PNG");
  if (!root) GTEST_SKIP() << "RMT_DOWNSTREAM does not name a folder with coco-mini/";
  const json rows = read_json(std::string(root) + "/../../oracle/pipeline-detect.json");
  const auto set = open_coco(std::string(root) + "/coco-mini", "train", {.masks = true});
  const int64_t step = set->size() / 24;
  size_t at = 0;
  for (int64_t n = 0; n < 24; ++n) {
    const std::string file = set->coco().images[size_t(n * step)].file;
    if (at == rows.size() || rows[at]["file"] != file) continue;
    SCOPED_TRACE(file);
    Example example = set->example(n * step);
    if (decoded)
      example.image = read_image(decoded + ("/" + file.substr(0, file.rfind('.')) + ".png"));
    replay(example, rows[at++], "coco." + std::to_string(n), decoded, 1333, 800);
  }
  EXPECT_EQ(at, 23u);
}

TEST(DetectionPipeline, MasksThatAreMovedOnceAreResizedByTheNearestPixel) {
  const Example example = scene(3);
  MovedExample moved{Example(example)};
  moved.resize(300, 71);
  const Bitmap &from = example.objects.masks[0], to = moved.sample().objects.masks[0];
  std::vector<uint8_t> expected(to.on.size());
  resize_nearest_bytes(from.on.data(), from.width, from.height, to.width, to.height,
                       expected.data());
  EXPECT_EQ(to.on, expected);
}

TEST(DetectionPipeline, WhatIsOutsideAfterAResizeIsLeftOut) {
  Example example = scene(3);
  const size_t n = example.objects.boxes.size();
  const float w = float(example.image.width);
  example.objects.boxes[0] = {w, 1, w + 4, 9};
  MovedExample moved{std::move(example)};
  moved.resize(300, 71);
  const Objects left = moved.sample().objects;
  EXPECT_EQ(left.boxes.size(), n - 1);
  EXPECT_EQ(left.labels.size(), n - 1);
  EXPECT_EQ(left.masks.size(), n - 1);
}

TEST(DetectionPipeline, EvaluationDrawsNothing) {
  Draws none{[]() -> double { throw Error("a number was drawn"); }};
  const Sample sample = detection_pipeline(detection_evaluation(213, 160))(scene(2), none);
  EXPECT_EQ(sample.image.width, 160);
  EXPECT_EQ(sample.image.height, 194);  // 91 x 160 / 75
}

TEST(DetectionPipeline, SaysWhatDoesNotFit) {
  EXPECT_TRUE(contains(error_of([] { detection_pipeline(detection_1x(0, 5)); }), "the least is 1"));
  EXPECT_TRUE(contains(error_of([] {
                         Example example = scene(0);
                         example.objects.masks[0].width = 3;
                         MovedExample moved(std::move(example));
                       }),
                       "a mask of 3 x 97 for an image of 61 x 97"));
  EXPECT_TRUE(contains(error_of([] { MovedExample(scene(0)).crop(0, 0, 62, 5); }), "does not lie"));
}

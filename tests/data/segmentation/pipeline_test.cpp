#include "data/segmentation/pipeline.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/error.h"
#include "data/images/resize_fixed.h"
#include "tests/data/folder_maker.h"
#include "tests/data/segmentation/known_draws.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// The pictures of tests/golden/seg_pipeline.py.
Example made_up(int64_t width, int64_t height, int64_t classes) {
  Example e{{width, height, {}}, {width, height, {}}, {}};
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t noise = (x * 7919 + y * 104729 + c * 1299709) % 251,
                      slope = (x * (c + 1) + y * (3 - c)) % 256;
        e.image.rgb.push_back(uint8_t((x / 8 + y / 8) % 5 < 2 ? noise : slope));
      }
      const int64_t stripe = (x + y) / 12 % (4 * classes);
      const bool unlabelled = (x / 16 + 3 * (y / 16)) % 7 == 0;
      e.labels.labels.push_back(uint8_t(unlabelled ? 255 : stripe < classes ? stripe : 0));
    }
  return e;
}

SegmentationOptions small_options() {
  SegmentationOptions options;
  options.long_side = 256;
  options.short_side = 96;
  options.crop = 80;
  return options;
}

struct Counted {
  Sample sample;
  int taken = 0;  // chances
};
Counted run(const SegmentationOptions& options, Example example, const std::string& name) {
  Counted out;
  Draws draws = known_draws(name, out.taken);
  out.sample = segmentation_training(options)(std::move(example), draws);
  return out;
}

}  // namespace

TEST(SegmentationPipeline, EqualsMmSegmentationToTheByte) {
  std::ifstream golden("tests/golden/seg_pipeline.txt");
  ASSERT_TRUE(golden) << "run the tests from the project's root";
  int64_t width, height, classes, new_width, new_height, cases = 0;
  uint32_t image, resized, labels;
  int taken;
  for (std::string kind, name; golden >> kind && kind == "sample" &&
                               golden >> name >> width >> height >> classes >> new_width >>
                                   new_height >> image >> resized >> labels >> taken;
       ++cases) {
    SCOPED_TRACE(name);
    const Example example = made_up(width, height, classes);
    const Counted got = run(small_options(), example, name);
    EXPECT_EQ(got.sample.image.width, new_width);
    EXPECT_EQ(got.sample.labels.height, new_height);
    EXPECT_EQ(pixel_hash(got.sample.image.rgb), image);
    EXPECT_EQ(pixel_hash(got.sample.labels.labels), labels);
    EXPECT_EQ(got.taken, taken);
    EXPECT_EQ(got.sample.original_width, width);
  }
  EXPECT_EQ(cases, 40);
}

// Saturation and hue of every fifth colour there is, against OpenCV's way to HSV and back: in rows
// that are a multiple of 32 pixels wide, and in narrow ones, where every pixel is rounded.
TEST(SegmentationPipeline, DistortsColoursAsOpenCvDoes) {
  std::ifstream golden("tests/golden/seg_pipeline.txt");
  int cases = 0;
  for (std::string line; std::getline(golden, line);) {
    std::istringstream in(line);
    std::string kind;
    Photometric steps;
    int64_t width;
    uint32_t want;
    if (in >> kind; kind != "colours") continue;
    in >> width >> steps.saturation.emplace() >> steps.hue.emplace() >> want;
    Image colours{width, (52 << 16) / width, {}};
    for (int r = 0; r < 256; r += 5)
      for (int g = 0; g < 256; ++g)
        for (int b = 0; b < 256; ++b)
          for (int v : {r, g, b}) colours.rgb.push_back(uint8_t(v));
    distort(colours, steps);
    EXPECT_EQ(pixel_hash(colours.rgb), want) << line;
    ++cases;
  }
  EXPECT_EQ(cases, 2);
}

TEST(SegmentationPipeline, ACropIsTriedElevenTimesAndTheLastIsTaken) {
  LabelImage labels{200, 200, std::vector<uint8_t>(200 * 200, 3)};
  SegmentationOptions options;
  options.crop = 20;
  int taken;
  Draws draws = known_draws("crop", taken);
  const Crop crop = draw_crop(labels, options, draws);
  EXPECT_EQ(taken, 22);
  EXPECT_EQ(crop.x, int64_t(known_unit("crop.21") * 181));
  EXPECT_EQ(crop.y, int64_t(known_unit("crop.20") * 181));

  // One class and unlabelled pixels are no two classes.
  for (size_t i = 0; i < labels.labels.size(); ++i) labels.labels[i] = i % 2 ? 255 : 3;
  draws = known_draws("crop", taken);
  draw_crop(labels, options, draws);
  EXPECT_EQ(taken, 22);

  // Two classes of equal size and unlabelled pixels, which do not count: the first is taken.
  for (size_t i = 0; i < labels.labels.size(); ++i)
    labels.labels[i] = i % 4 < 2 ? 255 : uint8_t(i % 2);
  draws = known_draws("crop", taken);
  draw_crop(labels, options, draws);
  EXPECT_EQ(taken, 2);
}

TEST(SegmentationPipeline, EvaluationKeepsTheLabelsAsTheyAre) {
  const Example example = made_up(171, 120, 4);
  int taken;
  Draws draws = known_draws("none", taken);
  const Sample sample = segmentation_evaluation(small_options())(Example(example), draws);
  EXPECT_EQ(taken, 0);
  EXPECT_EQ(sample.image.width, 137);  // 171 x 96 / 120 = 136.8
  EXPECT_EQ(sample.image.height, 96);
  EXPECT_EQ(sample.image.rgb, resize_fixed(example.image, 137, 96).rgb);
  EXPECT_EQ(sample.labels.labels, example.labels.labels);
  EXPECT_EQ(sample.original_width, 171);
}

TEST(SegmentationPipeline, NamesTheOptionThatMakesNoSense) {
  const auto refused = [](auto change, const std::string& what) {
    SegmentationOptions options;
    change(options);
    EXPECT_TRUE(contains(error_of([&] { segmentation_training(options); }), what));
  };
  refused([](auto& o) { o.crop = 0; }, "crop of 0");
  refused([](auto& o) { o.long_side = 100; }, "sides of 100 and 512");
  refused([](auto& o) { o.ratio_min = 3; }, "ratios from 3 to 2");
  refused([](auto& o) { o.ratio_min = 0.001; }, "less than a pixel");
  refused([](auto& o) { o.largest_class = 0; }, "largest class of 0");
  refused([](auto& o) { o.flip = 1.5; }, "probability 1.5");
  refused([](auto& o) { o.photometric.hue = 180; }, "hue 180");

  Example example = made_up(30, 20, 2);
  example.labels.width = 20, example.labels.height = 30;
  EXPECT_TRUE(contains(error_of([&] { run(small_options(), example, "x"); }),
                       "labels of 20 x 30 pixels do not fit an image of 30 x 20"));
}

// The published pipeline on real photographs. RMT_DOWNSTREAM: a folder with ade-sample/ and
// camvid/, whose parent's parent has oracle/pipeline-segmentation.json, what MMSegmentation made of
// them with known draws. JPEG decoders differ by a level or two: RMT_DOWNSTREAM_PNG is a folder
// with the same photographs as libjpeg-turbo decodes them, <name>.png; without it sizes and labels
// are compared and no pixels.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "core/files/files.h"
#include "data/images/resize_fixed.h"
#include "data/segmentation/labelled_folder.h"
#include "data/segmentation/pipeline.h"
#include "tests/data/folder_maker.h"
#include "tests/data/segmentation/known_draws.h"

using namespace rmt;
using namespace rmt::data;
using nlohmann::json;

namespace {

const char* downstream() { return std::getenv("RMT_DOWNSTREAM"); }
const char* decoded() { return std::getenv("RMT_DOWNSTREAM_PNG"); }

int64_t index_of(const LabelledFolder& set, const std::string& file) {
  for (int64_t i = 0; i < set.size(); ++i)
    if (set.name(i) == set.place() + "/" + file) return i;
  throw Error("no image " + file);
}

// The sum and the sum of squares of the normalised pixels; what is padded adds nothing.
std::array<double, 2> sums_of(const Image& image) {
  const float mean[3] = {123.675f, 116.28f, 103.53f};
  const double deviation[3] = {58.395, 57.12, 57.375};
  std::array<double, 2> sums{};
  for (size_t i = 0; i < image.rgb.size(); ++i) {
    const float x = (float(image.rgb[i]) - mean[i % 3]) * float(1 / deviation[i % 3]);
    sums[0] += double(x);
    sums[1] += double(x) * double(x);
  }
  return sums;
}

LabelImage padded(const LabelImage& labels, int64_t side) {
  LabelImage out{side, side, std::vector<uint8_t>(size_t(side * side), kIgnored)};
  for (int64_t y = 0; y < labels.height; ++y)
    std::copy_n(labels.labels.begin() + y * labels.width, labels.width,
                out.labels.begin() + y * side);
  return out;
}

void expect_stage(const json& want, const Image& image, const LabelImage& labels) {
  EXPECT_EQ(image.height, want[0][0].get<int64_t>());
  EXPECT_EQ(image.width, want[0][1].get<int64_t>());
  if (decoded()) {
    EXPECT_EQ(pixel_hash(blue_first(image.rgb)), want[1].get<uint32_t>());
  }
  EXPECT_EQ(pixel_hash(labels.labels), want[2].get<uint32_t>());
}

void replay(const json& row, const Example& example, const std::string& key) {
  const SegmentationOptions options;
  int taken;
  Draws draws = known_draws(key, taken);
  const auto [width, height] = draw_size(example.image.width, example.image.height, options, draws);
  LabelImage labels{width, height, std::vector<uint8_t>(size_t(width * height))};
  resize_nearest_bytes(example.labels.labels.data(), example.labels.width, example.labels.height,
                       width, height, labels.labels.data());
  expect_stage(row["resized"], resize_fixed(example.image, width, height), labels);
  const Crop crop = draw_crop(labels, options, draws);
  expect_stage(row["cropped"], resize_fixed(example.image, width, height, crop),
               crop_labels(labels, crop));

  draws = known_draws(key, taken);
  const Sample sample = segmentation_training(options)(Example(example), draws);
  EXPECT_EQ(taken, int(row["draws"].size()));
  const json& final = row["final"];
  EXPECT_EQ(pixel_hash(padded(sample.labels, 512).labels), final["label"].get<uint32_t>());
  if (!decoded()) return;
  EXPECT_EQ(pixel_hash(blue_first(example.image.rgb)), row["decoded"].get<uint32_t>());
  EXPECT_EQ(pixel_hash(blue_first(sample.image.rgb)), row["distorted"].get<uint32_t>());
  // Each of up to 512 x 512 x 3 numbers is at most 2.7 and rounded twice, by 2^-24 of itself.
  const double rounded = 512 * 512 * 3 * 2.7 * 2 * 0x1p-24;
  const auto [sum, squares] = sums_of(sample.image);
  EXPECT_NEAR(sum, final["sum"].get<double>(), rounded);
  EXPECT_NEAR(squares, final["square_sum"].get<double>(), 2 * 2.7 * rounded);
}

}  // namespace

TEST(SegmentationRealData, EveryStepEqualsMmSegmentation) {
  if (!downstream()) GTEST_SKIP() << "RMT_DOWNSTREAM is not set: no real photographs to read";
  const std::string root = downstream();
  const json rows =
      json::parse(read_file(root + "/../../oracle/pipeline-segmentation.json", 1 << 24));
  std::map<std::string, int> count;  // of each set's photographs before
  for (const json& row : rows) {
    const std::string set = row["set"], file = row["file"];
    SCOPED_TRACE(set + " " + file);
    const LabelledFolder folder(
        root + "/" + set, row["split"] == "training" ? "train" : "val", {},
        set == "camvid" ? std::vector<std::string>{} : std::vector<std::string>(150, "x"));
    Example example = folder.example(index_of(folder, file));
    if (decoded())
      example.image = read_image(str(decoded(), "/", file.substr(0, file.rfind('.')), ".png"));
    replay(row, example, str(set, ".", count[set]++));
  }
  EXPECT_EQ(rows.size(), 24u);
}

TEST(SegmentationRealData, EveryPairOfTheFoldersIsRead) {
  if (!downstream()) GTEST_SKIP() << "RMT_DOWNSTREAM is not set: no real photographs to read";
  const std::string root = downstream();
  const LabelledFolder train(root + "/camvid", "train"), val(root + "/camvid", "val");
  EXPECT_EQ(train.size(), 367);
  EXPECT_EQ(val.size(), 101);
  EXPECT_EQ(val.classes().size(), 11u);
  for (int64_t i = 0; i < val.size(); ++i) EXPECT_NO_THROW(val.example(i));
  const LabelledFolder ade(root + "/ade-sample", "val");
  EXPECT_EQ(ade.size(), 10);
  EXPECT_LE(ade.classes().size(), 150u);
}

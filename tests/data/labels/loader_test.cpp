// Label maps on their way into a batch: they must follow their photographs.
#include "data/loader.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/check_op.h"
#include "tests/train/own_model.h"

namespace rmt::data::test {
namespace {

using rmt::test::expect_error;
using rmt::test::Noise;

// 4 x 4 cells with 2 logits: each number says of which image and cell it is.
struct Numbered : LabelMaps {
  std::vector<std::string> missing;
  std::vector<std::string> names{"a", "b"};
  std::string at = "numbered maps";
  LabelMap of(const std::string& name) const override {
    for (const std::string& m : missing) CHECK(m != name, name, ": has no label map in ", at);
    const int64_t image = std::stoll(name.substr(name.rfind(' ')));
    LabelMap map{4, 4, 2, {}, {}};
    for (int64_t cell = 0; cell < 16; ++cell)
      for (int32_t t = 0; t < 2; ++t) {
        map.values.push_back(float(100 * image + cell) + 0.5f * float(t));
        map.classes.push_back(t);
      }
    return map;
  }
  int64_t height() const override { return 4; }
  int64_t width() const override { return 4; }
  int64_t top() const override { return 2; }
  const std::vector<std::string>& classes() const override { return names; }
  const std::string& place() const override { return at; }
};

LoaderOptions with_labels(const LabelMaps& maps, int workers = 0) {
  LoaderOptions o;
  o.batch_size = 4, o.workers = workers, o.seed = 9;
  o.transform.image_size = 32, o.transform.augment_first = true;
  o.transform.augment = parse_augment("rand-m9-n4-p0.9");
  o.labels = &maps;
  return o;
}

std::vector<Batch> epoch(const Dataset& data, const LoaderOptions& o, size_t* bad = nullptr) {
  Loader loader(data, o);
  std::vector<Batch> out;
  loader.start(1);
  while (auto batch = loader.next()) out.push_back(*batch);
  if (bad) *bad = loader.bad().size();
  return out;
}

}  // namespace

// What the loader does by hand: the draws of the sample, the photograph mirrored, augmented and
// then cropped, the map likewise, and the crop as shares.
TEST(TokenLabelLoader, TheMapFollowsItsPhotograph) {
  const Noise set(16);
  const Numbered maps;
  const LoaderOptions o = with_labels(maps);
  int64_t mirrored_maps = 0, moved_maps = 0;
  for (const Batch& batch : epoch(set, o))
    for (int64_t b = 0; b < 4; ++b) {
      const int64_t index = batch.indices[size_t(b)];
      Image photograph = set.image(index);
      Random random(o.seed, Purpose::augment, 1, uint64_t(index));
      const TrainDraws draws = draw_train(photograph.width, photograph.height, o.transform, random);
      LabelMap map = maps.of(short_name(set, index));
      const Pixels all{photograph.rgb.data(), photograph.width, photograph.height};
      if (draws.mirror) {
        mirror(all);
        map = mirrored(map);
      }
      for (const AugmentStep& step : draws.steps) {
        apply_step(step, all, {124, 116, 104});
        const LabelMap before = map;
        map = apply_step(step, map, photograph.width, photograph.height);
        moved_maps += map.values != before.values;
      }
      mirrored_maps += draws.mirror;
      std::vector<uint8_t> pixels(32 * 32 * 3);
      resize(photograph, draws.crop, 32, 32, {0, 0, 32, 32}, pixels.data());
      EXPECT_EQ(batch.images.slice(b, b + 1).to_vector<uint8_t>(), pixels);
      EXPECT_EQ(batch.mirror.data<uint8_t>()[b], 0) << "the photograph was mirrored before";
      EXPECT_EQ(batch.label_values.slice(b, b + 1).to_vector<float>(), map.values);
      EXPECT_EQ(batch.label_classes.slice(b, b + 1).to_vector<int32_t>(), map.classes);
      const Crop& c = draws.crop;
      const double W = double(photograph.width), H = double(photograph.height);
      EXPECT_EQ(batch.label_boxes.slice(b, b + 1).to_vector<double>(),
                (std::vector<double>{double(c.x) / W, double(c.y) / H, double(c.x + c.width) / W,
                                     double(c.y + c.height) / H}));
    }
  EXPECT_GT(mirrored_maps, 2);
  EXPECT_GT(moved_maps, 5) << "or the test sees little";
}

TEST(TokenLabelLoader, TheSameForAnyNumberOfWorkersAndWithAxesExchanged) {
  const Noise set(16);
  const Numbered maps;
  const std::vector<Batch> alone = epoch(set, with_labels(maps));
  LoaderOptions exchanged = with_labels(maps, 3);
  exchanged.exchanged_axes = true;
  const std::vector<Batch> three = epoch(set, with_labels(maps, 3)), other = epoch(set, exchanged);
  ASSERT_EQ(three.size(), alone.size());
  for (size_t i = 0; i < alone.size(); ++i) {
    for (Tensor Batch::*field : {&Batch::label_values, &Batch::label_boxes})
      EXPECT_EQ((alone[i].*field).to(DType::f64).to_vector<double>(),
                (three[i].*field).to(DType::f64).to_vector<double>());
    const auto box = alone[i].label_boxes.to_vector<double>(),
               turned = other[i].label_boxes.to_vector<double>();
    for (size_t k = 0; k < box.size(); ++k)
      EXPECT_EQ(turned[k], box[k / 4 * 4 + std::array<size_t, 4>{1, 0, 3, 2}[k % 4]]);
  }
}

// MixToken: a box of whole tokens, and the share of the batch's own images.
TEST(TokenLabelLoader, MixTokenCountsInTokens) {
  const Noise set(16);
  const Numbered maps;
  LoaderOptions o = with_labels(maps);
  o.batch_size = 2;
  o.transform.image_size = 224;
  o.mix = {.cutmix = 1, .unit = 32};
  bool some = false;
  for (const Batch& batch : epoch(set, o)) {
    const std::vector<double> mix = batch.mix.to_vector<double>();
    EXPECT_EQ(mix[0], 1);
    EXPECT_EQ(mix[1], 1 - mix[4] * mix[5] / 49);
    EXPECT_LE(mix[2] + mix[4], 7);
    EXPECT_LE(mix[3] + mix[5], 7);
    some = some || mix[4] * mix[5] > 0;
  }
  EXPECT_TRUE(some);
}

// An image without a map is a bad image: named, counted, replaced by the next.
TEST(TokenLabelLoader, AMissingMapIsABadImage) {
  const Noise set(16);
  Numbered maps;
  maps.missing = {"a data set in memory, image 3"};
  Loader loader(set, with_labels(maps, 2));
  loader.start(0);
  while (auto batch = loader.next())
    for (int64_t index : batch->indices) EXPECT_NE(index, 3);
  ASSERT_EQ(loader.bad().size(), 1u);
  EXPECT_EQ(loader.bad()[0].path, "a data set in memory, image 3");
  EXPECT_EQ(loader.bad()[0].reason, "has no label map in numbered maps");

  LoaderOptions none = with_labels(maps);
  none.max_bad = 0;
  Loader strict(set, none);
  strict.start(0);
  expect_error(
      [&] {
        while (strict.next()) continue;
      },
      {"image 3", "no label map"});
  LoaderOptions cropped_first = with_labels(maps);
  cropped_first.transform.augment_first = false;
  expect_error([&] { Loader(set, cropped_first); }, {"augment_first"});
}

}  // namespace rmt::data::test

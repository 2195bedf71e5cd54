// A data set in memory: what it has from Dataset, and what is said where it breaks its word.
#include <cstring>

#include "data/loader.h"
#include "tests/data/folder_maker.h"
#include "tests/train/own_model.h"

namespace rmt::data::test {
namespace {

using rmt::test::Noise;

LoaderOptions in_order() {
  LoaderOptions o;
  o.batch_size = 4, o.train = false;
  o.transform.image_size = 32, o.transform.crop_pct = 1;
  return o;
}

// All batches of an epoch.
std::vector<Batch> read(Loader& loader) {
  std::vector<Batch> out;
  loader.start(0);
  while (auto batch = loader.next()) out.push_back(*batch);
  return out;
}

struct Liar : Noise {
  using Noise::Noise;
  int64_t wrong_label = 0, images_now = 8;
  int64_t size() const override { return images_now; }
  int64_t label(int64_t i) const override { return i == 5 ? wrong_label : Noise::label(i); }
};

}  // namespace

TEST(MemorySet, NamesBytesAndChecksums) {
  Noise set(8);
  EXPECT_EQ(set.place(), "a data set in memory");
  EXPECT_EQ(set.name(3), "a data set in memory, image 3");
  EXPECT_TRUE(set.leftovers().unread.empty());
  const std::vector<uint8_t> png = set.bytes(3);
  const Image back = decode_image(png.data(), png.size(), "x.png");
  EXPECT_EQ(back.width, 32);
  EXPECT_EQ(back.rgb, set.images[3].rgb) << "a PNG loses nothing";

  const std::string sum = checksum(set);
  EXPECT_EQ(sum, checksum(Noise(8)));
  set.images[7].rgb.back() ^= 1;
  EXPECT_NE(sum, checksum(set)) << "one bit of one pixel";
  set.images[7].rgb.back() ^= 1;
  std::swap(set.images[7].width, set.images[7].height);
  EXPECT_EQ(sum, checksum(set));
  set.images[7].width = 16, set.images[7].height = 64;
  EXPECT_NE(sum, checksum(set)) << "the same bytes of another shape";
}

TEST(MemorySet, TheLoaderReadsItsPixelsAndLabels) {
  const Noise set(6);
  for (int workers : {0, 3}) {
    LoaderOptions o = in_order();
    o.workers = workers;
    Loader loader(set, o);
    const std::vector<Batch> batches = read(loader);
    ASSERT_EQ(batches.size(), 2u);
    EXPECT_EQ(batches[1].labels.to_vector<int64_t>(), (std::vector<int64_t>{0, 1}));
    EXPECT_EQ(std::memcmp(batches[1].images.raw(), set.images[4].rgb.data(), 32 * 32 * 3), 0);
    EXPECT_TRUE(loader.bad().empty());
  }
}

TEST(MemorySet, AnImageOfAnotherSizeThanItSaysIsABadOne) {
  Noise set(8);
  set.images[2].rgb.pop_back();
  set.images[6].width = set.images[6].height = 0;
  set.images[6].rgb.clear();
  Loader loader(set, in_order());
  const std::vector<Batch> batches = read(loader);
  EXPECT_EQ(batches[0].indices, (std::vector<int64_t>{0, 1, 3, 3})) << "the next one stands in";
  ASSERT_EQ(loader.bad().size(), 2u);
  EXPECT_EQ(loader.bad()[0].path, "a data set in memory, image 2");
  EXPECT_EQ(loader.bad()[0].reason,
            "is said to be 32 x 32 and holds 3071 bytes, expected 3 for each pixel");
  EXPECT_EQ(loader.bad()[1].reason,
            "is said to be 0 x 0 and holds 0 bytes, expected 3 for each pixel");
  // Sides whose product is more than 64 bits hold.
  set.images[2].width = set.images[2].height = int64_t(1) << 32;
  set.images[2].rgb.clear();
  Loader huge(set, in_order());
  read(huge);
  EXPECT_EQ(huge.bad().size(), 2u);
  set.images[6].width = set.images[6].height = -32;
  set.images[6].rgb.resize(32 * 32 * 3);
  Loader negative(set, in_order());
  read(negative);
  EXPECT_EQ(negative.bad().size(), 2u);
}

TEST(MemorySet, ALabelOfNoClassIsAnError) {
  for (int64_t label : {int64_t(-1), int64_t(2), int64_t(1) << 40}) {
    Liar set(8);
    set.wrong_label = label;
    Loader loader(set, in_order());
    const std::string said = error_of([&] { read(loader); });
    EXPECT_TRUE(contains(said, str("image 5: has the label ", label))) << said;
    EXPECT_TRUE(contains(said, "names 2 classes: labels are from 0 to 1")) << said;
  }
}

TEST(MemorySet, ItsSizeMustStay) {
  Liar set(12);
  Loader loader(set, in_order());
  read(loader);
  for (int64_t size : {7, 12}) {
    set.images_now = size;
    const std::string said = error_of([&] { read(loader); });
    EXPECT_TRUE(contains(said, str("has ", size, " images now and had 8"))) << said;
  }
  set.images_now = -1;
  EXPECT_TRUE(contains(error_of([&] { Loader(set, in_order()); }), "has -1 images"));
  set.images_now = 0;
  EXPECT_TRUE(contains(error_of([&] { Loader(set, in_order()); }), "has 0 images"));
}

}  // namespace rmt::data::test

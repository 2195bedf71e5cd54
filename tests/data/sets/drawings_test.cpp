#include "data/sets/drawings.h"

#include <map>
#include <set>

#include "core/parallel.h"
#include "data/sets/image_folder.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;
namespace fs = std::filesystem;

namespace {

DrawingOptions few() {
  DrawingOptions o;
  o.train_images = 25, o.val_images = 10, o.size = 24;
  return o;
}

std::map<std::string, std::string> contents(const std::string& root) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    files[entry.path().string().substr(root.size())] =
        std::string(std::istreambuf_iterator<char>(in), {});
  }
  return files;
}

}  // namespace

TEST(Drawings, AnImageFolderThatTheLoaderReads) {
  TemporaryFolder folder;
  const std::string root = folder / "some/where";
  EXPECT_TRUE(draw_dataset(root, few()));
  ImageFolder train(root, "train"), val(root, "val", train.classes());
  EXPECT_EQ(train.classes(), drawing_classes());
  EXPECT_EQ(train.size(), 25);
  EXPECT_EQ(val.size(), 10);
  for (int64_t i = 0; i < train.size(); ++i) {
    Image image = read_image(train.name(i));
    EXPECT_EQ(image.width, 24);
    EXPECT_EQ(image.height, 24);
  }
  EXPECT_FALSE(fs::exists(root + ".tmp"));
}

TEST(Drawings, DrawsOnceForTheSameOptions) {
  TemporaryFolder folder;
  EXPECT_TRUE(draw_dataset(folder / "d", few()));
  const auto before = contents(folder / "d");
  fs::remove(folder / "d/train/arrow/0000.jpg");
  EXPECT_FALSE(draw_dataset(folder / "d", few()));
  EXPECT_FALSE(draw_dataset(folder / "d/", few()));
  EXPECT_EQ(contents(folder / "d").size() + 1, before.size()) << "the finished folder was touched";
  DrawingOptions other = few();
  other.seed = 2;
  EXPECT_TRUE(draw_dataset(folder / "d", other));
  EXPECT_NE(contents(folder / "d"), before);
}

TEST(Drawings, BytesDoNotDependOnTheThreads) {
  TemporaryFolder folder;
  const int before = threads();
  set_threads(1);
  draw_dataset(folder / "one", few());
  set_threads(3);
  draw_dataset(folder / "three", few());
  set_threads(before);
  EXPECT_EQ(contents(folder / "one"), contents(folder / "three"));
}

TEST(Drawings, ReplacesWhatAnInterruptedRunLeft) {
  TemporaryFolder folder;
  folder.write("d.tmp/train/arrow/junk.jpg", "half written");
  EXPECT_TRUE(draw_dataset(folder / "d", few()));
  EXPECT_FALSE(fs::exists(folder / "d/train/arrow/junk.jpg"));
  EXPECT_FALSE(fs::exists(folder / "d.tmp"));
}

TEST(Drawings, NeverTouchesAFolderOfOthers) {
  TemporaryFolder folder;
  folder.write("mine/precious.txt", "data");
  EXPECT_TRUE(contains(error_of([&] { draw_dataset(folder / "mine", few()); }),
                       "was not drawn by this program"));
  EXPECT_TRUE(fs::exists(folder / "mine/precious.txt"));
  EXPECT_TRUE(contains(error_of([&] { draw_dataset(folder / "mine/precious.txt/d", few()); }),
                       "drawings: "));
}

TEST(Drawings, RefusesOptionsThatMakeNoSense) {
  TemporaryFolder folder;
  DrawingOptions o = few();
  o.val_images = 9;
  EXPECT_TRUE(contains(error_of([&] { draw_dataset(folder / "d", o); }), "9 validation images"));
  EXPECT_TRUE(
      contains(error_of([&] { draw_shape(64, 10, Random(1, Purpose::drawing)); }), "no shape 10"));
  EXPECT_TRUE(
      contains(error_of([&] { draw_shape(8, 0, Random(1, Purpose::drawing)); }), "8 pixels"));
  EXPECT_FALSE(fs::exists(folder / "d"));
}

TEST(Drawings, NoTwoPicturesAreAlike) {
  std::set<std::string> seen;
  for (uint64_t i = 0; i < 20; ++i)
    for (int64_t label = 0; label < 10; ++label) {
      Image image = draw_shape(32, label, Random(1, Purpose::drawing, i));
      EXPECT_TRUE(seen.insert(std::string(image.rgb.begin(), image.rgb.end())).second)
          << "class " << label << ", picture " << i;
    }
}

// Mean colour must say nothing about the class: between classes it varies no more than chance makes
// it vary (F of 9 and 1990 degrees; 3.5 is p = 0.0003).
TEST(Drawings, ColourDoesNotTellTheClass) {
  constexpr int64_t kEach = 200, kClasses = 10;
  for (size_t channel = 0; channel < 3; ++channel) {
    std::vector<double> mean(kClasses * kEach);
    for (int64_t i = 0; i < kClasses * kEach; ++i) {
      Image image = draw_shape(16, i % kClasses, Random(3, Purpose::drawing, uint64_t(i)));
      for (size_t p = channel; p < image.rgb.size(); p += 3) mean[size_t(i)] += image.rgb[p] / 256.;
    }
    double all = 0, within = 0, between = 0;
    for (double m : mean) all += m / double(mean.size());
    for (int64_t label = 0; label < kClasses; ++label) {
      double centre = 0;
      for (int64_t i = label; i < kClasses * kEach; i += kClasses)
        centre += mean[size_t(i)] / kEach;
      for (int64_t i = label; i < kClasses * kEach; i += kClasses)
        within += (mean[size_t(i)] - centre) * (mean[size_t(i)] - centre);
      between += kEach * (centre - all) * (centre - all);
    }
    EXPECT_LT(between / (kClasses - 1) / (within / (kClasses * (kEach - 1))), 3.5)
        << "channel " << channel;
  }
}

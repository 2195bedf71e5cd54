#include "data/sets/drawn_scenes.h"

#include <nlohmann/json.hpp>

#include "core/parallel.h"
#include "data/detection/coco_json.h"
#include "data/segmentation/labelled_folder.h"
#include "data/sets/drawings.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;
namespace fs = std::filesystem;

namespace {

SceneOptions few() {
  SceneOptions o;
  o.train_images = 12, o.val_images = 5, o.size = 64;
  return o;
}

Example scene(int64_t size, uint64_t i) { return draw_scene(size, Random(1, Purpose::drawing, i)); }

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

// Masks are disjoint, of the classes of their pixels, and together all that is no background; boxes
// are the smallest around them.
TEST(DrawnScenes, MasksBoxesAndLabelsAgree) {
  for (uint64_t i = 0; i < 60; ++i) {
    const Example e = scene(128, i);
    const size_t n = e.objects.labels.size();
    ASSERT_GE(n, 2u);
    ASSERT_LE(n, 6u);
    ASSERT_EQ(e.objects.masks.size(), n);
    ASSERT_EQ(e.objects.boxes.size(), n);
    std::vector<uint8_t> labels(128 * 128);
    for (size_t k = 0; k < n; ++k) {
      float x1 = 128, y1 = 128, x2 = 0, y2 = 0;
      for (size_t p = 0; p < labels.size(); ++p) {
        if (!e.objects.masks[k].on[p]) continue;
        EXPECT_EQ(labels[p], 0) << "two shapes share a pixel of scene " << i;
        labels[p] = uint8_t(e.objects.labels[k] + 1);
        const float x = float(p % 128), y = float(p / 128);
        x1 = std::min(x1, x), y1 = std::min(y1, y);
        x2 = std::max(x2, x + 1), y2 = std::max(y2, y + 1);
      }
      EXPECT_EQ(e.objects.boxes[k], (Corners{x1, y1, x2, y2}));
      EXPECT_LE(std::max(x2 - x1, y2 - y1), 62) << "scene " << i;
      EXPECT_GE(std::max(x2 - x1, y2 - y1), 8) << "scene " << i;
    }
    EXPECT_EQ(e.labels.labels, labels) << "scene " << i;
  }
}

// Every class and every number of shapes occurs, and some shape covers a part of another: then a
// box holds pixels of two shapes.
TEST(DrawnScenes, ShowAllThatThereIs) {
  std::vector<int64_t> of_class(10), of_count(7);
  int64_t overlaps = 0;
  for (uint64_t i = 0; i < 100; ++i) {
    const Example e = scene(64, i);
    ++of_count[e.objects.labels.size()];
    for (int64_t label : e.objects.labels) ++of_class[size_t(label)];
    for (size_t k = 0; k + 1 < e.objects.labels.size(); ++k) {
      const Corners &a = e.objects.boxes[k], &b = e.objects.boxes[k + 1];
      overlaps += a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
    }
  }
  for (int64_t n : of_class) EXPECT_GT(n, 10);
  for (size_t n = 2; n <= 6; ++n) EXPECT_GT(of_count[n], 5) << n;
  EXPECT_GT(overlaps, 20);
  EXPECT_NE(scene(64, 0).image.rgb, scene(64, 1).image.rgb);
}

TEST(DrawnScenes, AFolderOfLabelImages) {
  TemporaryFolder folder;
  const std::string root = folder / "scenes";
  EXPECT_TRUE(draw_scenes(root, few()));
  EXPECT_FALSE(draw_scenes(root, few())) << "it is there already";
  EXPECT_FALSE(fs::exists(root + ".tmp"));
  const LabelledFolder train(root, "train"), val(root, "val", {}, train.classes());
  EXPECT_EQ(train.classes(), scene_classes());
  EXPECT_EQ(train.size(), 12);
  ASSERT_EQ(val.size(), 5);
  for (int64_t i = 0; i < val.size(); ++i) {
    const Example read = val.example(i),
                  drawn = draw_scene(64, Random(1, Purpose::drawing, uint64_t(i), 3));
    EXPECT_EQ(read.labels.labels, drawn.labels.labels) << val.name(i);
    EXPECT_EQ(read.image.width, 64);
  }
}

TEST(DrawnScenes, ACocoFile) {
  TemporaryFolder folder;
  const std::string root = folder / "scenes";
  draw_scenes(root, few());
  const CocoJson coco = read_coco_json(root + "/annotations/instances_train.json");
  ASSERT_EQ(coco.images.size(), 12u);
  ASSERT_EQ(coco.categories.size(), 10u);
  for (size_t k = 0; k < 10; ++k) EXPECT_EQ(coco.categories[k].name, drawing_classes()[k]);
  for (int64_t i = 0; i < 12; ++i) {
    EXPECT_TRUE(fs::exists(root + "/images/" + coco.images[size_t(i)].file));
    const Objects drawn = draw_scene(64, Random(1, Purpose::drawing, uint64_t(i), 2)).objects;
    const auto of_image = coco.of_image(i);
    ASSERT_EQ(of_image.size(), drawn.labels.size());
    for (size_t k = 0; k < of_image.size(); ++k) {
      const CocoAnnotation& a = coco.annotations[of_image[k]];
      const Corners& box = drawn.boxes[k];
      EXPECT_EQ(a.label, drawn.labels[k]);
      EXPECT_EQ(a.box, (std::array<double, 4>{box[0], box[1], box[2] - box[0], box[3] - box[1]}));
      EXPECT_EQ(to_bitmap(coco.mask(a)).on, drawn.masks[k].on);
      EXPECT_EQ(a.area, double(area(coco.mask(a))));
      EXPECT_EQ(a.unfit, Unfit::kNo);
    }
  }
}

TEST(DrawnScenes, BytesDoNotDependOnTheThreads) {
  TemporaryFolder folder;
  const int before = threads();
  set_threads(1);
  draw_scenes(folder / "one", few());
  set_threads(3);
  draw_scenes(folder / "three", few());
  set_threads(before);
  for (const char* file : {"/images/training/0011.jpg", "/annotations/training/0011.png",
                           "/annotations/instances_train.json", "/classes.txt"})
    EXPECT_EQ(bytes_of(folder / "one" + file), bytes_of(folder / "three" + file)) << file;
}

TEST(DrawnScenes, Errors) {
  TemporaryFolder folder;
  folder.write("mine/precious.txt", "data");
  EXPECT_TRUE(contains(error_of([&] { draw_scenes(folder / "mine", few()); }),
                       "was not drawn by this program"));
  SceneOptions o = few();
  o.val_images = 0;
  EXPECT_TRUE(contains(error_of([&] { draw_scenes(folder / "d", o); }), "0 validation images"));
  EXPECT_TRUE(contains(error_of([&] { scene(63, 0); }), "63 pixels"));
  EXPECT_FALSE(fs::exists(folder / "d"));
}

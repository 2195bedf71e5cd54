// Images and their objects from a folder in COCO's layout, and what is left out of it.
#include "data/detection/coco_set.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/data/folder_maker.h"

using namespace rmt;

namespace {

std::string image_entry(int64_t id, const std::string& file, int64_t width, int64_t height) {
  return str("{\"id\": ", id, ", \"file_name\": \"", file, "\", \"width\": ", width,
             ", \"height\": ", height, "}");
}
std::string box_entry(int64_t id, int64_t image, const std::string& more = "") {
  return str("{\"id\": ", id, ", \"image_id\": ", image,
             ", \"category_id\": 90, \"area\": 5, \"bbox\": [1.01, 3, 4.01, 5]", more, "}");
}
const std::string kMask = R"(, "segmentation": [[2, 3, 6, 3, 6, 8, 2, 8]])";

struct Coco : ::testing::Test {
  TemporaryFolder folder;
  void json(const std::string& part, const std::string& images, const std::string& annotations) {
    folder.write("annotations/instances_" + part + ".json",
                 "{\"images\": [" + images + "], \"annotations\": [" + annotations +
                     R"(], "categories": [{"id": 90, "name": "cat"}, {"id": 3, "name": "dog"}]})");
  }
  void picture(const std::string& file, int64_t width, int64_t height) {
    folder.write(file, encode_png(test_image(width, height)));
  }
  // Five images: with objects, with a crowd alone, with none, small, with a box alone.
  void five() {
    json("train",
         image_entry(7, "a.png", 40, 36) + "," + image_entry(5, "sub/b.png", 40, 36) + "," +
             image_entry(3, "c.png", 40, 36) + "," + image_entry(2, "d.png", 40, 31) + "," +
             image_entry(1, "e.png", 40, 36),
         box_entry(1, 7, kMask) + "," + box_entry(2, 5, ", \"iscrowd\": 1") + "," +
             box_entry(3, 3, ", \"ignore\": 1") + "," + box_entry(4, 2, kMask) + "," +
             box_entry(5, 7, ", \"iscrowd\": 1") + "," + box_entry(6, 1) + "," +
             box_entry(7, 7, R"(, "segmentation": {"size": [36, 40], "counts": [0, 3, 1437]})"));
    for (const char* file : {"a", "sub/b", "c", "e"}) picture(str("images/", file, ".png"), 40, 36);
    picture("images/d.png", 40, 31);
  }
  std::vector<int64_t> ids(const CocoSet& set) {
    std::vector<int64_t> all;
    for (int64_t i = 0; i < set.size(); ++i) all.push_back(set.image_id(i));
    return all;
  }
  std::string error(const std::string& part = "train", const CocoOptions& options = {}) {
    return error_of([&] { open_coco(folder.path(), part, options); });
  }
};
using CocoFolder = Coco;

}  // namespace

TEST_F(CocoFolder, HoldsImagesBoxesAndMasks) {
  five();
  const auto set = open_coco(folder.path(), "train", {.masks = true});
  EXPECT_EQ(ids(*set), (std::vector<int64_t>{7, 5, 3, 2, 1}));
  EXPECT_EQ(set->classes(), (std::vector<std::string>{"dog", "cat"}));
  EXPECT_EQ(set->category_id(1), 90);
  EXPECT_EQ(set->image_size(3), (std::array<int64_t, 2>{40, 31}));
  const Example example = set->example(0);
  EXPECT_EQ(example.image.rgb, test_image(40, 36).rgb);
  const Objects& objects = example.objects;
  ASSERT_EQ(objects.boxes.size(), 2u);
  // x + width is rounded once: 1.01f + 4.01f is another float.
  EXPECT_EQ(objects.boxes[0], (Corners{1.01f, 3, 5.02f, 8}));
  EXPECT_EQ(objects.labels, (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(objects.crowds, (std::vector<Corners>{{1.01f, 3, 5.02f, 8}}));
  ASSERT_EQ(objects.masks.size(), 2u);
  EXPECT_EQ(std::count(objects.masks[0].on.begin(), objects.masks[0].on.end(), 1), 20);
  // Run lengths go down a column.
  EXPECT_EQ(std::vector<int>({objects.masks[1].on[0], objects.masks[1].on[40],
                              objects.masks[1].on[80], objects.masks[1].on[120]}),
            (std::vector<int>{1, 1, 1, 0}));
  EXPECT_TRUE(set->example(4).objects.boxes.empty());  // it has no mask
  ASSERT_EQ(set->remarks().size(), 2u);
  EXPECT_TRUE(contains(set->remarks()[1],
                       "1 annotations without a mask are left out (annotation "
                       "6, id 6)"));
  EXPECT_TRUE(set->name(1).ends_with("/images/sub/b.png"));
}

TEST_F(CocoFolder, TrainsOnWhatThereIsToLearnFrom) {
  five();
  const auto boxes = open_coco(folder.path(), "train", {.training = true});
  EXPECT_EQ(ids(*boxes), (std::vector<int64_t>{7, 5, 1}));
  EXPECT_TRUE(boxes->example(0).objects.masks.empty());
  ASSERT_EQ(boxes->remarks().size(), 3u);
  EXPECT_TRUE(contains(boxes->remarks()[1], "without objects are not trained on (c.png)"));
  EXPECT_TRUE(contains(boxes->remarks()[2], "less than 32 pixels are not trained on (d.png)"));
  const auto masks = open_coco(folder.path(), "train", {.masks = true, .training = true});
  EXPECT_EQ(ids(*masks), (std::vector<int64_t>{7, 5}));
}

TEST_F(CocoFolder, ChecksumsFollowWhatIsKnown) {
  five();
  const auto checksums = [&] {
    const auto set = open_coco(folder.path(), "train", {});
    std::vector<uint64_t> all;
    for (int64_t i = 0; i < set->size(); ++i) all.push_back(set->checksum(i));
    return all;
  };
  const auto before = checksums();
  EXPECT_EQ(checksums(), before);
  std::string text;
  std::getline(std::ifstream(folder / "annotations/instances_train.json"), text, '\0');
  text.replace(text.find("1.01"), 4, "1.02");
  folder.write("annotations/instances_train.json", text);
  const auto after = checksums();
  EXPECT_NE(after[0], before[0]);  // the first annotation is of the first image
  EXPECT_EQ(after[1], before[1]);
}

TEST_F(CocoFolder, KnowsTheLayouts) {
  EXPECT_TRUE(contains(error(), "has no annotations/instances_train.json\nExpected COCO's layout"));
  json("val2017", image_entry(7, "a.png", 40, 36), "");
  EXPECT_TRUE(contains(error("val"), "has no folder of images"));
  for (const char* place : {"images", "images/val", "val", "images/val2017", "val2017"}) {
    picture(str(place, "/a.png"), 40, 36);
    EXPECT_EQ(open_coco(folder.path(), "val", {})->place(), folder / place);
  }
  json("train", image_entry(7, "a.png", 40, 36), box_entry(1, 7));
  EXPECT_TRUE(contains(error_of([&] { open_coco(folder / "no", "val", {}); }), "does not exist"));
}

TEST_F(CocoFolder, SaysWhatIsMissing) {
  std::string images, annotations;
  for (int64_t i = 1; i <= 20; ++i) {
    images += (i > 1 ? "," : "") + image_entry(i, str(i, ".png"), 40, 36);
    annotations += (i > 1 ? "," : "") + box_entry(i, i);
  }
  json("train", images, annotations);
  std::filesystem::create_directories(folder / "images");
  EXPECT_TRUE(contains(error(), "20 of 20 images are not in " + folder / "images" +
                                    ", the first is 1.png; put them there"));
  for (int64_t i = 3; i <= 20; ++i) picture(str("images/", i, ".png"), 40, 36);
  const auto set = open_coco(folder.path(), "train", {});  // a tenth
  EXPECT_EQ(set->size(), 18);
  EXPECT_EQ(set->place_of(0), 2);
  EXPECT_TRUE(contains(set->remarks().at(0),
                       "2 images are not in the folder and are left out "
                       "(1.png; 2.png)"));
  EXPECT_TRUE(contains(error("train", {.masks = true}), "no annotation has a mask"));
  picture("images/3.png", 36, 40);
  EXPECT_TRUE(contains(error_of([&] { set->example(0); }), "3.png: has 36 x 40 pixels, and "));
  json("train", image_entry(1, "3.png", 40, 36), "");
  EXPECT_TRUE(contains(error("train", {.training = true}), "none of 1 images can be learned from"));
}

// RMT_DOWNSTREAM: a folder with coco-mini/ and blood-cells/.
TEST_F(CocoFolder, ReadsRealOnes) {
  const char* root = std::getenv("RMT_DOWNSTREAM");
  if (!root) GTEST_SKIP() << "RMT_DOWNSTREAM does not name a folder with coco-mini/";
  const std::string mini = std::string(root) + "/coco-mini",
                    cells = root + std::string("/blood-cells");
  EXPECT_EQ(open_coco(mini, "train", {})->size(), 394);
  EXPECT_EQ(open_coco(mini, "train", {.masks = true, .training = true})->size(), 388);
  const auto val = open_coco(mini, "val", {.masks = true});
  EXPECT_EQ(val->size(), 284);
  EXPECT_EQ(val->coco().annotations.size(), 2406u);
  EXPECT_EQ(val->category_id(79), 90);
  size_t objects = 0;
  for (int64_t i = 0; i < 284; i += 20) objects += val->example(i).objects.masks.size();
  EXPECT_GT(objects, 50u);
  EXPECT_EQ(open_coco(cells, "train", {.training = true})->size(), 292);
  EXPECT_TRUE(contains(error_of([&] { open_coco(cells, "val", {.masks = true}); }), "RetinaNet"));
}

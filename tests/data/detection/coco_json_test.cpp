// What is read of COCO's json, and what is said of one that does not hold together.
#include "data/detection/coco_json.h"

#include <gtest/gtest.h>

#include "tests/data/folder_maker.h"

using namespace rmt;

namespace {

const std::string kImages = R"("images": [
    {"id": 9, "file_name": "a/x.jpg", "width": 20, "height": 10, "license": {"a": [[1]]}},
    {"file_name": "y.png", "height": 8, "width": 6, "id": 4}])";
const std::string kCategories = R"("categories": [
    {"id": 90, "name": "cat"}, {"id": -1, "name": "dog", "keypoints": ["nose"]}])";

// A file of an image list, a category list and these annotations.
std::string with(const std::string& annotations) {
  return "{" + kImages + ", " + kCategories + ", \"annotations\": [" + annotations + "]}";
}
// An annotation of image 9, with this in the place of some field or beside them.
std::string annotation(int64_t id, const std::string& more = "") {
  return "{\"id\": " + std::to_string(id) +
         ", \"image_id\": 9, \"category_id\": 90, \"bbox\": [1, 2, 3.5, 4], \"area\": 7" +
         (more.empty() ? "" : ", " + more) + "}";
}

struct Json : ::testing::Test {
  TemporaryFolder folder;
  CocoJson read(const std::string& text) { return read_coco_json(folder.write("a.json", text)); }
  // The error without the path, with which it must begin.
  std::string error(const std::string& text) {
    const std::string path = folder / "a.json", all = error_of([&] { read(text); });
    EXPECT_TRUE(all.starts_with(path + ": ")) << all;
    return all.substr(std::min(all.size(), path.size() + 2));
  }
};
using CocoJsonFile = Json;

}  // namespace

TEST_F(CocoJsonFile, HoldsWhatTheFileSays) {
  // Annotations first, and lists of other names: the order of the lists does not matter.
  const CocoJson coco = read(
      R"({"info": {"year": 2017, "list": [1, {"id": 3}]}, "annotations": [
        {"segmentation": [[1, 2, 3.25, 4, 5.01, -6.5], [1e-3, 2, 3, 4, 5, 6]], "area": 12.5,
         "iscrowd": 0, "image_id": 4, "bbox": [0.5, 1, 2, 3], "category_id": -1, "id": 1},
        {"segmentation": {"counts": [3, 7, 190], "size": [10, 20]}, "area": 7, "iscrowd": 1,
         "image_id": 9, "bbox": [0, 3, 1, 7], "category_id": 90, "id": 2},
        {"segmentation": {"size": [8, 6], "counts": "27W1"}, "area": 7, "iscrowd": false,
         "image_id": 4, "bbox": [0, 2, 1, 6], "category_id": 90, "id": 3, "caption": null}], )" +
      kCategories + "," + kImages + "}");
  ASSERT_EQ(coco.images.size(), 2u);
  EXPECT_EQ(coco.images[0].file, "a/x.jpg");
  EXPECT_EQ(coco.images[1].id, 4);
  EXPECT_EQ(coco.images[1].height, 8);
  // A label is the place among the sorted ids.
  EXPECT_EQ(coco.categories[0].name, "dog");
  EXPECT_EQ(coco.categories[1].id, 90);
  ASSERT_EQ(coco.annotations.size(), 3u);
  const CocoAnnotation &polygons = coco.annotations[0], &crowd = coco.annotations[1],
                       &text = coco.annotations[2];
  EXPECT_EQ(polygons.label, 0);
  EXPECT_EQ(polygons.image, 1);
  EXPECT_EQ(polygons.area, 12.5);
  EXPECT_EQ(polygons.box, (std::array<double, 4>{0.5, 1, 2, 3}));
  EXPECT_EQ(coco.polygons(polygons),
            (std::vector<std::vector<double>>{{1, 2, 3.25, 4, 5.01, -6.5}, {1e-3, 2, 3, 4, 5, 6}}));
  EXPECT_TRUE(crowd.crowd);
  EXPECT_EQ(coco.mask(crowd).counts, (std::vector<uint32_t>{3, 7, 190}));
  EXPECT_EQ(coco.mask(text).counts, (std::vector<uint32_t>{2, 7, 39}));
  EXPECT_EQ(std::vector<uint32_t>(coco.of_image(0).begin(), coco.of_image(0).end()),
            (std::vector<uint32_t>{1}));
  EXPECT_EQ(std::vector<uint32_t>(coco.of_image(1).begin(), coco.of_image(1).end()),
            (std::vector<uint32_t>{0, 2}));
}

// Two decimals are kept in half the space, and come back as the doubles that they were.
TEST_F(CocoJsonFile, CoordinatesComeBackToTheLastBit) {
  for (int64_t part = 0; part < 20; ++part) {
    std::string list;
    std::vector<double> expected;
    for (int64_t i = 0; i < 5000; ++i) {
      const std::string digits = std::to_string((i * 5000 + part * 977 + i % 7) % 1000000 + 100),
                        number = digits.substr(0, digits.size() - 2) + "." +
                                 digits.substr(digits.size() - 2);
      list += (i ? "," : "") + number;
      expected.push_back(std::strtod(number.c_str(), nullptr));
    }
    const CocoJson coco = read(with(annotation(1, "\"segmentation\": [[" + list + "]]")));
    EXPECT_EQ(coco.annotations[0].form, CocoAnnotation::Form::kHundredths);
    EXPECT_EQ(coco.polygons(coco.annotations[0])[0], expected);
  }
}

TEST_F(CocoJsonFile, CountsWhatIsUnfit) {
  const auto box = [](int64_t id, const std::string& corners, const std::string& more = "") {
    return "{\"id\": " + std::to_string(id) +
           ", \"image_id\": 9, \"category_id\": 90, \"bbox\": [" + corners + "], \"area\": 7" +
           more + "},";
  };
  const CocoJson coco =
      read(with(box(1, "1, 2, 3, 4") + box(2, "1, 2, 3, 4", ", \"ignore\": 1") +
                box(3, "1, 2, 0.5, 4") + box(4, "20, 2, 3, 4") + box(5, "3, -4, 3, 4") +
                box(6, "-2.5, -3, 3, 4", ", \"segmentation\": [[1, 2, 3, 4]]") +
                R"({"id": 7, "image_id": 9, "category_id": 90, "bbox": [1, 2, 3, 4], "area": 0})"));
  std::vector<Unfit> unfit;
  for (const CocoAnnotation& a : coco.annotations) unfit.push_back(a.unfit);
  EXPECT_EQ(unfit,
            (std::vector<Unfit>{Unfit::kNo, Unfit::kIgnore, Unfit::kDegenerate, Unfit::kOutside,
                                Unfit::kOutside, Unfit::kNo, Unfit::kDegenerate}));
  EXPECT_FALSE(coco.has_mask(coco.annotations[5]));
  EXPECT_EQ(coco.degenerate.count, 2);
  ASSERT_EQ(coco.remarks().size(), 4u);
  EXPECT_TRUE(contains(coco.remarks()[1],
                       "2 annotations whose box lies outside of the image are "
                       "not learned from (annotation 4, id 4; annotation 5, "
                       "id 5)"));
  EXPECT_TRUE(contains(coco.remarks()[3], "annotation 6, id 6"));
}

TEST_F(CocoJsonFile, NamesTheEntryThatDoesNotFit) {
  const std::string a = annotation(4711), other = annotation(5);
  const auto second = [&](const std::string& more) {
    return error(with(a + ", " + annotation(5, more)));
  };
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = with(a);
    return error(text.replace(text.rfind(from), from.size(), to));
  };
  EXPECT_EQ(error(with(a + ", " + a)),
            "annotation 2, id 4711: annotation 1 has the same id; give "
            "each its own, or remove one");
  EXPECT_EQ(changed("\"image_id\": 9", "\"image_id\": 8"),
            "annotation 1, id 4711: there is no image of id 8; add it or remove the annotation");
  EXPECT_TRUE(contains(changed("90, \"bbox\"", "1, \"bbox\""), "there is no category of id 1"));
  EXPECT_EQ(changed(", \"area\": 7", ""),
            "annotation 1, id 4711: has no \"area\"; it should be a number");
  EXPECT_EQ(changed("\"area\": 7", "\"area\": \"7\""),
            "annotation 1, id 4711: \"area\" is text; it should be a number");
  EXPECT_TRUE(contains(changed("3.5, 4]", "3.5]"), "\"bbox\" is a list of other length"));
  EXPECT_TRUE(contains(changed("3.5, 4]", "3.5, 4, 5]"), "\"bbox\" holds more numbers"));
  EXPECT_TRUE(contains(changed("3.5, 4]", "3.5, [4]]"), "\"bbox\" holds a list"));
  EXPECT_TRUE(contains(changed("\"image_id\": 9", "\"image_id\": 9.5"), "not whole"));
  EXPECT_TRUE(contains(changed("\"image_id\": 9", "\"image_id\": null"), "\"image_id\" is null"));
  EXPECT_TRUE(contains(second("\"id\": 5"), "annotation 2, id 5: has \"id\" twice"));
  EXPECT_TRUE(contains(second("\"segmentation\": [1, 2, 3, 4, 5, 6]"), "annotation 2, id 5: "));
  EXPECT_TRUE(
      contains(second("\"segmentation\": [[1, 2, 3, 4, 5, 6, 7]]"), "7 coordinates, an odd"));
  EXPECT_TRUE(contains(second("\"segmentation\": [[1, 2, 3, 4, 5, 1e9]]"), "beyond 1e8"));
  EXPECT_TRUE(contains(second("\"segmentation\": {\"counts\": [200]}"), "have no \"size\""));
  EXPECT_TRUE(contains(second(R"("segmentation": {"size": [10, 20], "counts": [199]})"),
                       "annotation 2, id 5: "));
  EXPECT_TRUE(contains(second(R"("segmentation": {"size": [10, 20], "counts": "0!"})"),
                       "annotation 2, id 5: "));
  EXPECT_EQ(second(R"("segmentation": {"size": [20, 10], "counts": [200]})"),
            "annotation 2, id 5: its run lengths are for 10 x 20 pixels, and image 9 has 20 x 10; "
            "\"size\" is [height, width] of the image");
}

TEST_F(CocoJsonFile, SaysWhatIsWrongWithTheWhole) {
  EXPECT_TRUE(contains(error(""), "is not JSON in UTF-8, at byte 1"));
  EXPECT_TRUE(contains(error(with(annotation(1)).substr(0, 300)), "is not JSON"));
  EXPECT_TRUE(contains(error("[1]"), "is a list and no object"));
  EXPECT_TRUE(contains(error("3"), "is a number and no object"));
  EXPECT_TRUE(contains(error("{" + kImages + "}"), "has no list \"categories\""));
  EXPECT_TRUE(contains(error("{" + kImages + "," + kCategories + "}"), "no list \"annotations\""));
  EXPECT_TRUE(contains(error("{" + kImages + "," + kImages + "}"), "two lists \"images\""));
  EXPECT_TRUE(contains(error("{\"images\": 3}"), "\"images\" is a number; it should be a list"));
  EXPECT_EQ(error("{\"images\": [3]}"), "image 1: is a number; it should be an object with an id");
  EXPECT_TRUE(contains(error(R"({"images": [{"id": 1, "file_name": "../a.jpg"}]})"),
                       "image 1, id 1: \"file_name\" is no path below"));
  EXPECT_TRUE(
      contains(error(R"({"images": [{"id": 1, "file_name": "a.jpg", "width": 0, "height": 5}]})"),
               "image 1, id 1: is 0 x 5 pixels"));
  EXPECT_TRUE(contains(
      error(R"({"images": [{"id": 1, "file_name": "a.jpg", "width": 16384, "height": 6104}]})"),
      "no image has more than 100 million"));
  EXPECT_TRUE(contains(error(R"({"images": [{"id": 9007199254740993}]})"), "not below 2^53"));
  EXPECT_TRUE(contains(error("{\"other\": " + std::string(100000, '[')), "nests more than 64"));
  EXPECT_TRUE(contains(error_of([&] { read_coco_json(folder / "none.json"); }), "none.json"));
}

// rmt-seg and rmt-det on damaged data: each damage ends the program with one message that names the
// file, the entry and the remedy, and nothing written; or it is counted, reported and left out.
#include <functional>

#include "core/files/files.h"
#include "data/images/label_png.h"
#include "tests/examples/dense_programs.h"

namespace rmt::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

using Spoil = std::function<void(const std::string& root)>;

struct Damage {
  std::string name;
  Spoil spoil;
  std::vector<std::string> says;  // the first of them once
};

// Changes the objects of a part: "train", "val".
Spoil objects(const std::string& part, const std::function<void(json&)>& change) {
  return [=](const std::string& root) {
    const std::string path = root + "/annotations/instances_" + part + ".json";
    json j = json::parse(read_file(path, 1 << 20));
    change(j);
    write_file(path, j.dump());
  };
}
// Changes the fourth object of training.
Spoil fourth(const json& fields) {
  return objects("train", [=](json& j) { j["annotations"][3].update(fields); });
}
Spoil cut(const std::string& file, size_t bytes) {
  return [=](const std::string& root) {
    const std::string all = read_file(root + "/" + file, 1 << 20);
    write_file(root + "/" + file, all.substr(0, bytes));
  };
}
// Label images of training, all of one number, in the place of the first `count`.
Spoil labels(int64_t count, int64_t side, uint8_t value) {
  return [=](const std::string& root) {
    for (int64_t i = 0; i < count; ++i)
      data::write_grey_png(str(root, "/annotations/training/", i, ".png"),
                           {side, side, std::vector<uint8_t>(size_t(side * side), value)});
  };
}
// Bits a channel and kind of pixel, as the header of the first label image says it.
Spoil header(char bits, char kind) {
  return [=](const std::string& root) {
    const std::string path = root + "/annotations/training/0.png";
    std::string bytes = read_file(path, 1 << 20);
    bytes[24] = bits, bytes[25] = kind;  // behind the signature, IHDR, width and height
    write_file(path, bytes);
  };
}
Spoil remove(const std::string& file) {
  return [=](const std::string& root) { fs::remove_all(root + "/" + file); };
}

const std::string kTrain = "data/annotations/instances_train.json: ", kFourth = "annotation 4, id ";

void set_widths(json& j, int width) {
  for (json& i : j["images"]) i["width"] = width;
}

std::vector<Damage> errors_of_detection() {
  const json runs = {{"size", {64, 64}}, {"counts", {5, 6, 7}}};
  const json low = {{"size", {32, 64}}, {"counts", {2048}}};
  const json text = {{"size", {64, 64}}, {"counts", "abc"}};
  return {
      {"no images",
       remove("images/training"),
       {kTrain + "6 of 6 images are not in data/images", "training/0.png", "put them there"}},
      {"an image is missing",
       remove("images/training/2.png"),
       {kTrain + "1 of 6 images are not in", "training/2.png", "put them there"}},
      {"no json", remove("annotations/instances_val.json"), {"has no annotations/instances_val"}},
      {"an unknown category",
       fourth({{"category_id", 77}}),
       {kTrain + kFourth + "4: there is no category of id 77", "add it or remove"}},
      {"an unknown image",
       fourth({{"image_id", 77}}),
       {kTrain + kFourth + "4: there is no image of id 77", "add it or remove"}},
      {"an odd polygon",
       fourth({{"segmentation", {{1, 1, 9, 1, 5}}}}),
       {kTrain + kFourth + "4: a polygon has 5 coordinates"}},
      {"runs that do not add up",
       fourth({{"segmentation", runs}}),
       {kTrain + kFourth + "4: a mask's runs have 18 pixels in all; 64 x 64 are 4096"}},
      {"runs for another size",
       fourth({{"segmentation", low}}),
       {kTrain + kFourth + "4: its run lengths are for 64 x 32 pixels", "\"size\" is [height"}},
      {"a string that is none", fourth({{"segmentation", text}}), {kTrain + kFourth + "4: a mask"}},
      {"an id twice",
       fourth({{"id", 1}}),
       {kTrain + kFourth + "1: annotation 1 has the same id", "give each its own"}},
      {"an image's id twice",
       objects("train", [](json& j) { j["images"][3]["id"] = 0; }),
       {kTrain + "image 4, id 0: image 1 has the same id", "give each its own"}},
      {"a category's id twice",
       objects("train", [](json& j) { j["categories"][1]["id"] = 3; }),
       {kTrain + "category 2, id 3: category 1 has the same id", "give each its own"}},
      {"a json that is cut short",
       cut("annotations/instances_train.json", 900),
       {kTrain, "is not JSON in UTF-8, at byte 901", "get it again"}},
  };
}

// Of files that say nothing wrong, and do not fit together.
std::vector<Damage> errors_of_sets_of_objects() {
  return {
      {"no objects",
       objects("train", [](json& j) { j["annotations"] = json::array(); }),
       {kTrain + "none of 6 images can be learned from", "each needs an object"}},
      {"no masks",
       objects("train",
               [](json& j) {
                 for (json& a : j["annotations"]) a.erase("segmentation");
               }),
       {kTrain + "no annotation has a mask", "RetinaNet"}},
      {"other categories in val",
       objects("val", [](json& j) { j["categories"][1]["name"] = "blue"; }),
       {"data/annotations/instances_val.json: category 2", "\"blue\"",
        "data/annotations/instances_train.json is \"green\""}},
      {"sizes that no image has",
       objects("train", [](json& j) { set_widths(j, 63); }),
       {"none of the first 6 images can be read", "has 64 x 64 pixels", "63 x 64", "mend one"}},
  };
}

std::vector<Damage> what_detection_leaves_out() {
  const auto box = [](int x, int w) { return json{{"bbox", {x, 10, w, 9}}}; };
  return {
      {"a box outside",
       fourth(box(100, 9)),
       {kTrain + "1 annotations whose box lies outside", kFourth + "4"}},
      {"a box without width",
       fourth(box(10, 0)),
       {kTrain + "1 annotations without area", kFourth + "4"}},
      {"a polygon of two points",
       fourth({{"segmentation", {{1, 1, 5, 5}}}}),
       {kTrain + "1 annotations have polygons of less than 3 points", kFourth + "4",
        "1 annotations without a mask are left out"}},
      {"an image without objects",
       objects("train", [](json& j) { j["annotations"].erase(0), j["annotations"].erase(0); }),
       {kTrain + "1 images without objects are not trained on (training/0.png)", "5 + 2 images"}},
      {"an image of another size",
       objects("train", [](json& j) { j["images"][2]["width"] = 63; }),
       {"bad image, replaced by the next: data/images/training/2.png: has 64 x 64 pixels"}},
  };
}

std::vector<Damage> errors_of_segmentation() {
  const std::string first = "data/annotations/training/0.png: ";
  return {
      {"no images",
       [](const std::string& root) {
         for (int i = 0; i < 6; ++i) fs::remove(str(root, "/images/training/", i, ".png"));
       },
       {"data folder data/images/training holds no images"}},
      {"no label file",
       remove("annotations/training/3.png"),
       {"data/images/training/3.png has no label file", "add what is missing or remove"}},
      {"no image of a label file",
       remove("images/training/3.png"),
       {"data/annotations/training/3.png has no image of the same name", "add what is missing"}},
      {"no validation", remove("images/validation"), {"has no images/validation"}},
      {"labels in colour", header(8, 2), {first + "a PNG in colours", "8-bit grey PNG"}},
      {"labels of 16 bits", header(16, 0), {first + "a PNG of 16 bits", "8-bit grey PNG"}},
      {"all labels of another size",
       labels(6, 32, 1),
       {"none of the first 6 images can be read", "32 x 32 pixels, but its image", "label each"}},
      {"all labels beyond the classes",
       labels(6, 64, 9),
       {"none of the first 6 images can be read", "column 0, row 0 is 9", "the list of classes"}},
  };
}

std::vector<Damage> what_segmentation_leaves_out() {
  const std::string bad =
      "bad image, replaced by the next: data/images/training/0.png: data/annotations/training/"
      "0.png: ";
  return {
      {"a label file of another size", labels(1, 32, 1), {bad + "32 x 32 pixels, but its image"}},
      {"a number beyond the classes",
       labels(1, 64, 9),
       {bad + "the pixel in column 0, row 0 is 9"}},
      {"a label file cut short", cut("annotations/training/0.png", 70), {bad + "the file ends"}},
  };
}

struct BadInput : DensePrograms {
  // Trains on each: the message is said once, and without a run there is no file of one.
  void expect_all(const std::vector<Damage>& all, const std::string& train, int status) {
    for (const Damage& d : all) {
      SCOPED_TRACE(d.name);
      for (const char* name : {"/data", "/output"}) fs::remove_all(folder.path() + name);
      write_scenes(data, 6, 2);
      d.spoil(data);
      const std::vector<std::string> before = files();
      const Result r = run(train);
      EXPECT_EQ(r.status, status) << r.text;
      for (const std::string& part : d.says)
        EXPECT_NE(r.text.find(part), std::string::npos) << part << " is not in\n" << r.text;
      EXPECT_EQ(r.text.find(d.says[0]), r.text.rfind(d.says[0])) << "more than once:\n" << r.text;
      if (status == 0) continue;
      EXPECT_NE(r.text.find(" train: "), std::string::npos) << r.text;
      EXPECT_EQ(files(), before) << "something was written";
    }
  }
};

}  // namespace

TEST_F(BadInput, OfDetectionIsAnErrorOrLeftOut) {
  const std::string train = det + "--head mask_rcnn --data-dir data --epochs 1 --milestones 0";
  expect_all(errors_of_detection(), train, 1);
  expect_all(errors_of_sets_of_objects(), train, 1);
  expect_all(what_detection_leaves_out(), train, 0);
}

TEST_F(BadInput, OfSegmentationIsAnErrorOrLeftOut) {
  const std::string train = seg + "--data-dir data --epochs 1";
  expect_all(errors_of_segmentation(), train, 1);
  expect_all(what_segmentation_leaves_out(), train, 0);
}

// An unreadable image is reported, and what is found in the next one in its place counts once.
TEST_F(BadInput, OfEvaluationIsReported) {
  ASSERT_EQ(run(det + "--head faster_rcnn --data-dir data --epochs 1 --experiment det").status, 0);
  ASSERT_EQ(run(seg + "--data-dir data --epochs 1 --experiment seg").status, 0);
  const std::string all = "rmt-det eval output/det --results all.json", most = "most.json";
  expect(all, 0, {"AP50"});
  objects("val", [](json& j) { j["images"][0]["width"] = 63; })(data);
  expect("rmt-det eval output/det --results most.json", 0,
         {"bad image, replaced by the next: data/images/validation/0.png: has 64 x 64 pixels"});
  json want = json::array();
  for (const json& d : json::parse(read_file(folder / "all.json", 1 << 24)))
    if (d.at("image_id") == 1) want.push_back(d);
  ASSERT_FALSE(want.empty());
  EXPECT_EQ(json::parse(read_file(folder / most, 1 << 24)), want);

  objects("val", [](json& j) { j["categories"][0]["name"] = "blue"; })(data);
  expect("rmt-det eval output/det", 1, {"instances_val.json: category 1", "\"blue\"", "the model"});
  write_file(data + "/classes.txt", "red\ngreen\nsky\n");
  expect("rmt-seg eval output/seg", 1, {"number 3 is \"sky\" here and \"ground\" there"});
  fs::rename(data, folder / "away");
  for (const char* program : {"rmt-seg", "rmt-det"}) {
    const std::string run_folder = str("output/", program + 4);
    expect(str(program, " eval ", run_folder), 1,
           {run_folder + ": was trained on data", str(program, " train was started"),
            "name the folder with --data-dir"});
    expect(str(program, " train --epochs 2 --resume ", run_folder), 1,
           {"was trained on data", "name the folder with --data-dir"});
  }
}

}  // namespace rmt::test

// rmt-classify takes files and folders, and says what it expects where it is given something else;
// so do the other programs that begin with a checkpoint, and rmt-convert.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/examples/programs.h"
#include "tests/train/small_images.h"
#include "train/weights/model_file.h"

namespace rmt::test {
namespace {

namespace fs = std::filesystem;

// Weights as they begin, which is all that these tests need of a model.
void write_model(const std::string& path, const std::vector<std::string>& classes,
                 int64_t img_size = 32) {
  train::TrainOptions options;
  options.model = "rmt_n";
  options.img_size = img_size;
  nn::Rmt model(train::model_config(options, int64_t(classes.size())));
  model.init(1);
  train::write_safetensors(
      path, train::model_archive(model, {options.model, classes, train::to_json(options), ""}));
}

}  // namespace

TEST_F(Programs, ClassifyTakesFoldersAndPrintsJsonAndTables) {
  draw_small_images(data);
  write_model(folder / "m.safetensors", {"dark", "light"});
  fs::create_directories(folder / "album/deep/.hidden");
  for (const char* name : {"10.jpg", "9.jpg", "deep/1.JPG", "deep/.hidden/2.jpg"})
    fs::copy_file(folder / "data/val/dark/0.jpg", folder / str("album/", name));
  std::ofstream(folder / "album/notes.txt") << "no image";
  const std::string command = "rmt-classify m.safetensors data/val/light/1.jpg album/ 2>/dev/null ";
  Result r = run(command + "--json");
  ASSERT_EQ(r.status, 0) << r.text;
  const auto j = nlohmann::json::parse(r.text, nullptr, false);
  ASSERT_EQ(j.size(), 4u) << r.text;
  const char* order[] = {"data/val/light/1.jpg", "album/9.jpg", "album/10.jpg", "album/deep/1.JPG"};
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(j[i]["filename"], order[i]);
  EXPECT_EQ(j[0]["prob"].size(), 2u);
  EXPECT_EQ(j[1]["label"].size(), 2u);

  r = run(command + "--csv --top 1");
  EXPECT_EQ(r.text.rfind("filename,rank,index,label,prob\ndata/val/light/1.jpg,1,", 0), 0u)
      << r.text;
  EXPECT_EQ(std::count(r.text.begin(), r.text.end(), '\n'), 5) << r.text;
  expect("rmt-classify m.safetensors album", 0,
         {"album/9.jpg\n  ", " %  dark", "album/deep/1.JPG"});

  std::ofstream(folder / "album/9.jpg") << "broken";
  r = run(command + "--json");
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(nlohmann::json::parse(r.text)[1].contains("error")) << r.text;
  expect("rmt-classify m.safetensors --json --csv album", 2, {"--csv", "--json"});
  fs::create_directories(folder / "empty");
  expect("rmt-classify m.safetensors empty", 1, {"empty: is a folder without images"});
}

TEST_F(Programs, NamesFromOutsideCannotMoveTheCursor) {
  draw_small_images(data);
  write_model(folder / "m.safetensors", {"da\x1b[2Jrk", "light"});
  fs::create_directories(folder / "x/da\x1b[2Jrk");
  fs::copy_file(folder / "data/val/dark/0.jpg", folder / "x/da\x1b[2Jrk/\x1b]0;.jpg");
  for (const char* command :
       {"rmt-classify m.safetensors x", "rmt-eval m.safetensors --data-dir x --per-class",
        "rmt-classify \x1b.safetensors x", "rmt-eval m --\x1b[2J", "rmt-eval m --split \x1b[2J",
        "rmt-eval m x\x1b[2J"}) {
    const Result r = run(command);
    EXPECT_EQ(r.text.find('\x1b'), std::string::npos) << command;
    EXPECT_NE(r.text.find("\\x1b"), std::string::npos) << command << r.text;
  }
}

TEST_F(Programs, AnImageSizeThatNobodyAskedForIsNotTaken) {
  draw_small_images(data);
  write_model(folder / "m.safetensors", {"dark", "light"}, 16384);
  for (const char* command :
       {"rmt-classify m.safetensors data/val/dark/0.jpg", "rmt-eval m.safetensors --data-dir data",
        "rmt-look m.safetensors data/val/dark/0.jpg"}) {
    expect(command, 1, {"16384 pixels", "--img-size"});
    expect(str(command, " --img-size 32"), 0, {});
  }
}

TEST_F(Programs, WithoutACheckpointTheyShowTheCommand) {
  draw_small_images(data);
  for (const char* name : {"rmt-classify", "rmt-eval", "rmt-look"})
    expect(name, 2, {"a checkpoint is required", str(name, " output/<run>")});
  expect("rmt-classify photo.JPG", 2,
         {"\"photo.JPG\" is an image, and a checkpoint comes first",
          "rmt-classify output/<run> photo.jpg"});
  expect("rmt-classify data/val/dark", 2,
         {"\"data/val/dark\" is a folder without best.safetensors or model.safetensors",
          "rmt-classify output/<run> photo.jpg"});
  write_model(folder / "m.safetensors", {"dark", "light"});
  expect("rmt-look m.safetensors data", 1, {"data: is a folder", "name a file in it"});
  EXPECT_EQ(run("rmt-look m.safetensors data").text.find("remove"), std::string::npos);
  expect("rmt-look m.safetensors", 1, {"which image?"});
  expect("rmt-look m.safetensors data/val/dark/0.jpg --at 0.1 0.2 --at 0.3 0.4", 0, {});
}

TEST_F(Programs, ConvertWritesSafetensorsAndSaysSoForOtherNames) {
  write_model(folder / "m.safetensors", {"dark", "light"});
  for (const char* name : {"good.onnx", "good.pth", "good.pt", "good.ckpt"})
    expect(str("rmt-convert m.safetensors ", name), 1,
           {str(name, ": files of safetensors alone are written"), "good.safetensors"});
  EXPECT_EQ(folder.names(), std::vector<std::string>{"m.safetensors"}) << "a folder was made";
  expect("rmt-convert m.safetensors rmt.v1", 0, {"rmt.v1: "});
  EXPECT_TRUE(fs::exists(folder / "rmt.v1/model.safetensors"));
}

TEST_F(Programs, ABatchBeyondTheImagesNamesItsFlag) {
  draw_small_images(data);
  const std::string train = "rmt-train --data-dir data --model rmt_n --img-size 32 ";
  expect(train + "-b 1000", 1,
         {"data/train has 24 images, fewer than one batch of 1000; give a smaller --batch-size"});
  expect(train + "-b 8 --grad-accum-steps 100", 1,
         {"24 images, 3 batches of --batch-size 8", "--grad-accum-steps 100"});
}

}  // namespace rmt::test

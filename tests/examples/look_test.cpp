// rmt-look draws a picture of five tiles a stage and one of the decay; its colours rise with the
// numbers.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "data/sets/drawings.h"
#include "examples/heat_map.h"
#include "tests/train/folder.h"
#include "train/checkpoint.h"
#include "train/weights/model_file.h"

namespace rmt::test {

TEST(Look, DrawsEveryStageAndTheDecay) {
  const char* bin = std::getenv("BIN");
  if (!bin) GTEST_SKIP() << "BIN is not set: 'make test' sets it to the folder of the programs";
  TemporaryFolder folder;
  train::TrainOptions options;
  options.model = "rmt_n";
  options.img_size = 64;
  nn::Rmt model(train::model_config(options, 10));
  model.init(1);
  train::write_safetensors(
      folder / "model.safetensors",
      train::model_archive(model, {options.model, {}, train::to_json(options), ""}));
  data::write_png(folder / "image.png", data::draw_shape(96, 3, Random(1, Purpose::test)));

  const std::string command = std::filesystem::absolute(bin).string() + "/rmt-look " +
                              (folder / "model.safetensors") + " " + (folder / "image.png") +
                              " --at 0.3 0.7 --out " + (folder / "look.png") + " --decay " +
                              (folder / "decay.png") + " >/dev/null 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  for (const char* name : {"look.png", "decay.png"}) {
    const data::Image picture = data::read_image(folder / name);
    EXPECT_GT(picture.width, 5 * 160) << name;
    EXPECT_GT(picture.height, 4 * 160) << name;
  }
}

TEST(Look, ColoursRiseWithTheNumbersAndTheCellIsFramed) {
  double before = -1;
  for (double t = 0; t <= 1; t += 0.05) {
    const HeatColour c = heat(t);
    const double grey = 0.3 * c[0] + 0.59 * c[1] + 0.11 * c[2];
    EXPECT_GT(grey, before) << t;
    before = grey;
  }
  const HeatMap map{2, 2, {0, 1, 0.5, 0}, 3};
  const data::Image picture = heat_picture(map, 40, nullptr, heat);
  auto at = [&](int64_t row, int64_t column) { return picture.rgb[(row * 40 + column) * 3 + 1]; };
  EXPECT_EQ(at(5, 5), 0);      // 0: black
  EXPECT_EQ(at(5, 30), 255);   // the largest: pale yellow
  EXPECT_EQ(at(20, 30), 255);  // the marked cell's frame
  EXPECT_EQ(at(30, 30), 0);    // and inside it
}

}  // namespace rmt::test

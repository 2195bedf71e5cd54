// rmt-eval: which images it takes, and what it says of single classes.
#include <fstream>
#include <nlohmann/json.hpp>

#include "examples/confusion_picture.h"
#include "tests/examples/programs.h"
#include "tests/train/small_images.h"

namespace rmt::test {
namespace {

namespace fs = std::filesystem;

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

constexpr const char* kTrain =
    "rmt-train --model rmt_n --img-size 32 -b 8 --epochs 1 --warmup-epochs 0 --experiment run ";

}  // namespace

TEST_F(Programs, EvalTakesASplitAndClassFoldersAlone) {
  draw_small_images(data);
  const Result r = run(str(kTrain, "--data-dir data"));
  ASSERT_EQ(r.status, 0) << r.text;
  EXPECT_NE(r.text.find("top-1"), std::string::npos);
  EXPECT_EQ(r.text.find("top-5"), std::string::npos) << "of two classes it says nothing";
  expect("rmt-eval output/run", 0, {"on data: top-1", "8 images"});
  EXPECT_EQ(run("rmt-eval output/run").text.find("top-5"), std::string::npos);
  expect("rmt-eval output/run --split validation", 0, {"on data: top-1", "8 images"});
  expect("rmt-eval output/run --split train", 0, {"on data (train): top-1", "24 images"});
  expect("rmt-eval output/run --split test", 1, {"data folder data has val/ and no test/"});
  expect("rmt-eval output/run --split tset", 2,
         {"--split", "\"tset\" is none of train, val, test"});
  expect("rmt-eval output/run --data-dir data/train", 0,
         {"on data/train (all): top-1", "24 images"});
  expect("rmt-eval output/run --num-classes 3", 1, {"--num-classes 3", "has 2"});
  expect("rmt-eval output/run --img-size -5", 2, {"--img-size"});
  expect("rmt-eval output/run --crop-pct -1", 2, {"--crop-pct"});
  expect("rmt-eval output/run -b 1000000", 2, {"--batch-size"});

  fs::create_directories(folder / "bare");
  fs::copy(folder / "data/train", folder / "bare/train", fs::copy_options::recursive);
  const Result bare = run("rmt-eval output/run --data-dir bare");
  EXPECT_EQ(bare.status, 1);
  EXPECT_NE(bare.text.find("data folder bare has no validation images; --split train"),
            std::string::npos)
      << bare.text;
  EXPECT_EQ(bare.text.find("--val-split"), std::string::npos) << "a part of what it was trained on";
  fs::create_directories(folder / "elsewhere");
  for (const char* program : {"rmt-eval", "rmt-train --epochs 2 --resume"}) {
    const Result moved = shell(str("cd elsewhere && \"$BIN\"/", program, " ../output/run"));
    EXPECT_EQ(moved.status, 1);
    for (const char* part : {"../output/run", ": was trained on data, a folder as seen from where",
                             "rmt-train was started", "--data-dir"})
      EXPECT_NE(moved.text.find(part), std::string::npos) << part << moved.text;
  }
  const Result named = shell(
      "cd elsewhere && \"$BIN\"/rmt-train --epochs 2 --resume ../output/run --data-dir ../data");
  EXPECT_EQ(named.status, 0) << named.text;
}

TEST_F(Programs, EvalOfAValSplitTakesWhatWasHeldOut) {
  draw_small_images(data);
  fs::rename(folder / "data/train", folder / "alone");
  const Result r = run(str(kTrain, "--data-dir alone --val-split 0.25"));
  ASSERT_EQ(r.status, 0) << r.text;
  expect("rmt-eval output/run", 0, {"on alone: top-1", "(6 images"});
  expect("rmt-eval output/run --data-dir ./alone", 0, {"(6 images"});
  expect("rmt-eval output/run --split train", 0, {"(18 images"});
  expect("rmt-eval output/run --split all", 0, {"(24 images"});
  fs::copy(folder / "alone", folder / "copy", fs::copy_options::recursive);
  expect("rmt-eval output/run --data-dir copy", 0, {"on copy (all)", "(24 images"});
}

TEST_F(Programs, EvalTellsWhichClassIsTakenForWhich) {
  draw_small_images(data);
  ASSERT_EQ(run(str(kTrain, "--data-dir data")).status, 0);
  expect("rmt-eval output/run --per-class --confusion c.png --confusion-csv c.csv", 0,
         {"  top-1 %  images  class\n", "       4  dark", "       4  light"});
  EXPECT_EQ(text_of(folder / "c.csv").rfind("true class,dark,light\ndark,", 0), 0u);
  EXPECT_GT(read_image(folder / "c.png").width, 2 * 2 * 14);
  expect("rmt-eval output/run --confusion c.png", 1, {"c.png", "exists", "--force"});
  const Result r = run("rmt-eval output/run --per-class --json 2>/dev/null");
  const auto j = nlohmann::json::parse(r.text, nullptr, false);
  ASSERT_EQ(j["per_class"].size(), 2u) << r.text;
  EXPECT_LE(j["per_class"][0]["top1"], j["per_class"][1]["top1"]);
  EXPECT_EQ(j["split"], "val");
  EXPECT_TRUE(j.contains("top5")) << "the fields do not depend on the data";
}

TEST(ConfusionPicture, RowsAreTrueClassesAndManyClassesHaveNoLabels) {
  train::Confusion c(2);  // class 0: always 1; class 1: always 1
  c.add(Tensor::from<float>({0, 1, 0, 1, 0, 1}, {3, 2}), Tensor::from<int64_t>({0, 0, 1}, {3}));
  const train::ClassNames names{{"cat", "dog"}, {"", ""}};
  const Image picture = confusion_picture(c, names);
  const int64_t left = 3 * kGlyphWidth + 8, cell = 14;  // of the picture before it is enlarged
  auto at = [&](int64_t row, int64_t column) {  // the corner of a cell, where no number stands
    return pixel(picture, 2 * (left + column * cell), 2 * (left + row * cell));
  };
  const Colour none{0, 0, 4}, all{252, 255, 164};
  EXPECT_EQ(at(0, 0), none);
  EXPECT_EQ(at(0, 1), all);
  EXPECT_EQ(at(1, 0), none);
  EXPECT_EQ(at(1, 1), all);

  for (int64_t K : {1, 50, 51, 1000, 1200}) {
    train::ClassNames many;
    for (int64_t k = 0; k < K; ++k)
      many.labels.push_back(str("a class with a very long name ", k)), many.words.push_back("");
    const Image p = confusion_picture(train::Confusion(K), many);
    if (K > kMostLabelled) {
      EXPECT_EQ(p.width, K * std::max<int64_t>(1, 1000 / K)) << K;
    }
    EXPECT_LE(p.width, 2100) << K;
    EXPECT_EQ(int64_t(p.rgb.size()), p.width * p.height * 3);
  }
}

}  // namespace rmt::test

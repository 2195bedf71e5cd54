// rmt-ablations: what is finished is not trained again, what differs is not mixed, and the table
// says what the numbers show.
#include "data/sets/image_folder.h"
#include "examples/ablation_table.h"
#include "tests/check_op.h"
#include "tests/examples/programs.h"
#include "tests/train/small_images.h"

namespace rmt::test {
namespace {

VariantResult result(const char* what, std::optional<double> paper, std::vector<double> top1) {
  return {.name = what, .what = what, .paper = paper, .top1 = std::move(top1)};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

// Deviations sqrt 2 and 0, so that of a run is 1 over all, and of a difference of means of two runs
// each sqrt(1 * 2 / 2) = 1.
TEST(AblationTable, MeansDeviationsAndTheirError) {
  const std::vector<VariantResult> all = {result("whole", 0., {40, 42}),
                                          result("part", 0.5, {38, 38})};
  EXPECT_DOUBLE_EQ(mean_of(all[0].top1), 41);
  EXPECT_DOUBLE_EQ(deviation_of(all[0].top1), std::sqrt(2.));
  EXPECT_TRUE(std::isnan(deviation_of({40})));
  EXPECT_DOUBLE_EQ(error_of_difference(all), 1);
  const std::string table = ablation_table(all);
  EXPECT_TRUE(has(table, "| whole | 41.00 | 1.41 | 2 |  |  |")) << table;
  EXPECT_TRUE(has(table, "| part | 38.00 | 0.00 | 2 | -3.00 | -0.5 |")) << table;
  EXPECT_TRUE(has(table, "The standard error of a difference of two means is 1.00 points."));
  EXPECT_TRUE(has(table, "The order is the paper's."));
}

TEST(AblationTable, SaysWhereTheOrderIsNotThePapers) {
  const std::vector<VariantResult> all = {
      result("whole", 0., {40, 40.2}), result("a", 0.8, {39, 39.2}), result("b", 0.3, {38, 38.2}),
      result("c", 0.2, {40.15, 40.25}), result("ours alone", {}, {50, 50})};
  const std::string text = contradictions(all);
  EXPECT_TRUE(
      has(text, "a: 1.00 points above b, with which the paper lost less (0.8 against 0.3)\n"))
      << text;
  EXPECT_TRUE(has(text,
                  "c: 0.10 points above whole, with which the paper lost less (0.2 against "
                  "0.0); less than two standard errors"))
      << text;
  EXPECT_FALSE(has(text, "ours alone"));
  EXPECT_TRUE(has(ablation_picture(all), "</svg>"));
}

struct Ablations : Programs {
  const std::string command =
      "rmt-ablations --data-dir data --img-size 32 --epochs 1 --batch-size 8 --speed-rounds 1 "
      "--output out --only no-rotary --seeds ";
  void SetUp() override {
    Programs::SetUp();
    draw_small_images(data);
  }
};

TEST_F(Ablations, AreTrainedOnceAndGoOn) {
  expect(command + "1", 0, {"as-published-seed0", "no-rotary-seed0", "| as it is |", "| 1 |"});
  // Nothing of the first seed is trained again; the second one is new.
  const Result again = run(command + "2");
  EXPECT_EQ(again.status, 0) << again.text;
  EXPECT_FALSE(has(again.text, "-seed0\n")) << again.text;
  EXPECT_TRUE(has(again.text, "no-rotary-seed1")) << again.text;
  EXPECT_TRUE(has(again.text, "| 2 |")) << again.text;
  EXPECT_TRUE(std::filesystem::exists(folder / "out/ablations.md"));
  EXPECT_TRUE(std::filesystem::exists(folder / "out/ablations.svg"));
}

TEST_F(Ablations, OfOtherRunsAreNotMixed) {
  expect(command + "1", 0, {"| as it is |"});
  expect(command + "1 --epochs 2", 1, {"another --epochs than this experiment", "--output"});
  expect(command + "1 --only no-rotari", 1, {"there is no such variant", "no-rotary"});
  expect("rmt-ablations", 1, {"which images?", "--data-dir"});
}

}  // namespace rmt::test

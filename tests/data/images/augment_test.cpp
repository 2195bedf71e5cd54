#include "data/images/augment.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "tests/data/folder_maker.h"
#include "tests/data/formula_image.h"

using namespace rmt;
using namespace rmt::data;

namespace {

const Colour kFill{124, 116, 104};
// timm's names, in the order of AugmentOp.
const std::vector<std::string> kNames{"AutoContrast", "Equalize",      "Invert",       "Rotate",
                                      "Posterize",    "Solarize",      "SolarizeAdd",  "Color",
                                      "Contrast",     "Brightness",    "Sharpness",    "ShearX",
                                      "ShearY",       "TranslateXRel", "TranslateYRel"};

Pixels pixels(Image& image) { return {image.rgb.data(), image.width, image.height}; }

RandAugment recipe() { return *parse_augment("rand-m9-mstd0.5-inc1"); }

std::vector<uint8_t> augmented(const RandAugment& policy, Image image, uint64_t epoch,
                               uint64_t index) {
  Random random(1, Purpose::augment, epoch, index);
  augment(policy, pixels(image), kFill, random);
  return image.rgb;
}

}  // namespace

// 15 operations at 5 magnitudes on 5 pictures, on both sides and with both filters where there are
// two, and 300 whole policies of 2 and 3 operations.
TEST(Augment, EqualsTimmAndPillowToTheByte) {
  std::ifstream golden("tests/golden/pil_augment.txt");
  ASSERT_TRUE(golden) << "run the tests from the project's root";
  std::map<std::string, int> alone;  // cases of an operation by itself
  int policies = 0;
  for (std::string line; std::getline(golden, line);) {
    std::istringstream in(line);
    int64_t width, height, increasing, operations;
    in >> width >> height >> increasing >> operations;
    Image image = formula_image(width, height);
    std::string name, sign, filter, hash;
    double magnitude;
    for (int64_t i = 0; i < operations; ++i) {
      in >> name >> magnitude >> sign >> filter;
      const auto found = std::find(kNames.begin(), kNames.end(), name);
      ASSERT_TRUE(found != kNames.end()) << name;
      const AugmentOp op = AugmentOp(found - kNames.begin());
      apply_step({op, augment_argument(op, magnitude, sign == "-", increasing == 1),
                  filter == "bilinear" ? Resampling::bilinear : Resampling::bicubic},
                 pixels(image), kFill);
    }
    ASSERT_TRUE(in >> hash) << line;
    EXPECT_EQ(fnv(image.rgb), hash) << line;
    ++(operations == 1 ? alone[name] : policies);
  }
  for (const std::string& name : kNames) EXPECT_GE(alone[name], 25) << name;
  EXPECT_EQ(policies, 300);
}

TEST(Augment, ReadsTimmsNotation) {
  EXPECT_FALSE(parse_augment("none").has_value());
  const RandAugment r = recipe();
  EXPECT_EQ(r.magnitude, 9);
  EXPECT_EQ(r.deviation, 0.5);
  EXPECT_EQ(r.most, 10);
  EXPECT_EQ(r.operations, 2);
  EXPECT_EQ(r.probability, 0.5);
  EXPECT_TRUE(r.increasing);
  EXPECT_FALSE(r.random_resampling);
  const RandAugment all = *parse_augment("rand-inc1-mmax30-p0.25-n3-mstd101-m15");
  EXPECT_EQ(all.magnitude, 15);
  EXPECT_EQ(all.deviation, 101);
  EXPECT_EQ(all.most, 30);
  EXPECT_EQ(all.operations, 3);
  EXPECT_EQ(all.probability, 0.25);
  const RandAugment least = *parse_augment("rand");
  EXPECT_EQ(least.magnitude, 10);
  EXPECT_EQ(least.deviation, 0);
  EXPECT_FALSE(least.increasing);
}

TEST(Augment, NamesThePartThatIsWrong) {
  auto message = [](const std::string& text) { return error_of([&] { parse_augment(text); }); };
  for (auto [text, part] : {std::pair<std::string, std::string>{"", "give none, or RandAugment"},
                            {"randm9", "--aa randm9: give none, or RandAugment"},
                            {"original-mstd0.5", "--aa original-mstd0.5"},
                            {"rand-", "unknown part \"\""},
                            {"rand-m9-", "unknown part \"\""},
                            {"rand-m9--n2", "unknown part \"\""},
                            {"rand-m9-q3", "unknown part \"q3\""},
                            {"rand-tweights", "unknown part \"tweights\""},
                            {"rand-m9-w0", "sets of operations, are not here"},
                            {"rand-m", "\"m\" wants an integer between 0 and 100"},
                            {"rand-m9.5", "\"m9.5\" wants an integer"},
                            {"rand-m101", "\"m101\" wants"},
                            {"rand-m99999999999999999999", "\"m99999999999999999999\" wants"},
                            {"rand-n0", "\"n0\" wants an integer between 1 and 100"},
                            {"rand-n2x", "\"n2x\" wants"},
                            {"rand-p1.5", "\"p1.5\" wants a number between 0 and 1"},
                            {"rand-mstd0,5", "\"mstd0,5\" wants a number"},
                            {"rand-mstd-1", "\"mstd\" wants a number"},
                            {"rand-mmax0", "\"mmax0\" wants an integer between 1 and 100"},
                            {"rand-inc0", "\"inc0\" wants an integer between 1 and 1"},
                            {"rand-m9-n2-m8", "\"m8\" is the second of its kind"}})
    EXPECT_TRUE(contains(message(text), part)) << text;
}

// The strengths of the recipe at the end of the scale, and beyond it.
TEST(Augment, ArgumentsAreThoseOfTheRecipe) {
  auto at = [](AugmentOp op, double magnitude, bool negative = false) {
    return augment_argument(op, magnitude, negative, true);
  };
  EXPECT_EQ(at(AugmentOp::rotate, 10), 30);
  EXPECT_EQ(at(AugmentOp::rotate, 10, true), -30);
  EXPECT_EQ(at(AugmentOp::shear_y, 10), 0.3);
  EXPECT_EQ(at(AugmentOp::translate_x, 10, true), -0.45);
  EXPECT_EQ(at(AugmentOp::posterize, 0), 4);
  EXPECT_EQ(at(AugmentOp::posterize, 9.99), 1);
  EXPECT_EQ(at(AugmentOp::solarize, 9), 26);  // 256 - 230
  EXPECT_EQ(at(AugmentOp::solarize, 15), 0);
  EXPECT_EQ(at(AugmentOp::solarize_add, 9), 99);
  EXPECT_EQ(at(AugmentOp::solarize_add, 15), 128);
  EXPECT_EQ(at(AugmentOp::contrast, 10), 1.9);
  EXPECT_EQ(at(AugmentOp::contrast, 10, true), 0.1);
  EXPECT_EQ(augment_argument(AugmentOp::posterize, 0, false, false), 0);
  EXPECT_EQ(augment_argument(AugmentOp::brightness, 0, false, false), 0.1);
}

// 40,000 pictures: each bound is over five standard deviations of what is counted.
TEST(Augment, DrawsOperationsMagnitudesAndSides) {
  const int pictures = 40000;
  std::map<AugmentOp, int> count;
  std::map<size_t, int> length;
  double sum = 0, squares = 0, turns = 0, left = 0;
  for (uint64_t i = 0; i < pictures; ++i) {
    Random random(2, Purpose::test, 0, i);
    const std::vector<AugmentStep> steps = draw_steps(recipe(), random);
    ++length[steps.size()];
    for (const AugmentStep& step : steps) {
      ++count[step.op];
      EXPECT_EQ(step.resampling, Resampling::bicubic);
      if (step.op != AugmentOp::rotate) continue;
      const double magnitude = std::abs(step.argument) / 3;
      ASSERT_LE(magnitude, 10);
      turns += 1, left += step.argument > 0, sum += magnitude, squares += magnitude * magnitude;
    }
  }
  EXPECT_NEAR(length[0], pictures / 4, 450);
  EXPECT_NEAR(length[1], pictures / 2, 510);
  EXPECT_NEAR(length[2], pictures / 4, 450);
  EXPECT_EQ(count.size(), size_t(kAugmentOps));
  for (auto [op, n] : count) EXPECT_NEAR(n, pictures / 15, 260) << kNames[size_t(op)];
  EXPECT_NEAR(sum / turns, 9, 0.05);
  EXPECT_NEAR(std::sqrt(squares / turns - sum / turns * sum / turns), 0.5,
              0.04);  // clipping at two deviations takes 0.01
  EXPECT_NEAR(left / turns, 0.5, 0.05);
}

TEST(Augment, UniformMagnitudesFixedOnesAndRandomFilters) {
  RandAugment uniform = *parse_augment("rand-m8-p1-n1-mstd101"),
              fixed = *parse_augment("rand-m15-p1-n1"), never = *parse_augment("rand-p0");
  uniform.random_resampling = true;
  double most = 0, least = 10;
  int bilinear = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    Random a(3, Purpose::test, 0, i), b = a, c = a;
    const AugmentStep step = draw_steps(uniform, a).at(0), same = draw_steps(fixed, b).at(0);
    bilinear += step.resampling == Resampling::bilinear;
    if (step.op == AugmentOp::shear_x)
      most = std::max(most, std::abs(step.argument) / 0.03),
      least = std::min(least, std::abs(step.argument) / 0.03);
    if (same.op == AugmentOp::shear_x) {
      EXPECT_DOUBLE_EQ(std::abs(same.argument), 0.3) << "a magnitude of 15 is clipped to 10";
    }
    EXPECT_TRUE(draw_steps(never, c).empty());
  }
  EXPECT_LT(most, 8);
  EXPECT_GT(most, 7.5);
  EXPECT_LT(least, 0.5);
  EXPECT_NEAR(bilinear, 2000, 160);
}

TEST(Augment, IsAFunctionOfSeedEpochAndIndex) {
  const Image image = formula_image(24, 20);
  std::set<std::string> seen;
  for (uint64_t index = 0; index < 40; ++index) {
    const std::vector<uint8_t> once = augmented(recipe(), image, 3, index);
    EXPECT_EQ(once, augmented(recipe(), image, 3, index));
    seen.insert(fnv(once));
  }
  EXPECT_GT(seen.size(), 20u);  // a quarter stays as it was
}

// Every operation far beyond the scale, on pictures of one pixel, one row and one column, leaves
// bytes around them alone.
TEST(Augment, KeepsToItsPixels) {
  for (auto [width, height] : {std::pair<int64_t, int64_t>{1, 1}, {1, 7}, {7, 1}, {2, 2}, {3, 5}})
    for (int64_t i = 0; i < kAugmentOps; ++i)
      for (double magnitude : {0.0, 10.0, 100.0})
        for (Resampling resampling : {Resampling::bilinear, Resampling::bicubic}) {
          Image image = formula_image(width, height);
          const size_t n = image.rgb.size();
          std::vector<uint8_t> framed(n + 64, 0xA5);
          std::copy(image.rgb.begin(), image.rgb.end(), framed.begin() + 32);
          const AugmentOp op = AugmentOp(i);
          apply_step({op, augment_argument(op, magnitude, i % 2 == 1, true), resampling},
                     {framed.data() + 32, width, height}, kFill);
          for (size_t k = 0; k < 32; ++k)
            ASSERT_TRUE(framed[k] == 0xA5 && framed[n + 32 + k] == 0xA5) << kNames[size_t(i)];
        }
}

TEST(Augment, WhatComesInFromOutsideIsTheFill) {
  Image image{8, 4, std::vector<uint8_t>(8 * 4 * 3, 200)};
  apply_step({AugmentOp::translate_x, 0.25, Resampling::bicubic}, pixels(image),
             kFill);  // two columns to the left
  for (size_t i = 0; i < image.rgb.size(); ++i)
    ASSERT_EQ(image.rgb[i], i / 3 % 8 < 6 ? 200 : kFill[i % 3]) << i;
}

// The last point of a picture is half a pixel inside its edge: half a pixel further it is outside,
// a little less and it is not.
TEST(Augment, APictureEndsAtItsEdge) {
  for (auto [shift_by, outside] :
       {std::pair<double, bool>{0.5, true}, {0.4999, false}, {-0.5, false}, {-0.5001, true}})
    for (bool along_x : {true, false})
      for (Resampling resampling : {Resampling::bilinear, Resampling::bicubic}) {
        Image image{6, 6, std::vector<uint8_t>(6 * 6 * 3, 200)};
        apply_affine(pixels(image), along_x ? translation(shift_by, 0) : translation(0, shift_by),
                     resampling, kFill);
        const size_t line = shift_by > 0 ? 5 : 0, at = along_x ? 2 * 6 + line : line * 6 + 2;
        EXPECT_EQ(image.rgb[at * 3], outside ? kFill[0] : 200) << shift_by;
        EXPECT_EQ(image.rgb[(2 * 6 + 2) * 3], 200);
      }
}

// The transforms against torchvision and timm through Pillow, line by line of
// tests/golden/pil_transform.txt (format: pil_transform.py).
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "core/error.h"
#include "data/images/color_jitter.h"
#include "data/images/transform.h"
#include "tests/data/formula_image.h"
#include "tests/data/seen.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// The words of each line of a kind, without the kind.
std::vector<std::vector<std::string>> lines(const std::string& kind) {
  std::ifstream golden("tests/golden/pil_transform.txt");
  CHECK(golden, "run the tests from the project's root");
  std::vector<std::vector<std::string>> found;
  for (std::string line, word; std::getline(golden, line);) {
    std::istringstream in(line);
    in >> word;
    if (word != kind) continue;
    found.emplace_back();
    while (in >> word) found.back().push_back(word);
  }
  return found;
}

std::string shown(const std::vector<std::string>& words) {
  std::string all;
  for (const std::string& word : words) all += word + " ";
  return all;
}

std::string shown(const Crop& c) { return str(c.x, ",", c.y, ",", c.width, ",", c.height); }

// In the order of AugmentOp: as timm names them, and torchvision the three of its jitter.
std::string shown(const std::vector<AugmentStep>& steps, bool jitter) {
  const char* names[] = {
      "AutoContrast", "Equalize",      "Invert",       "Rotate",
      "Posterize",    "Solarize",      "SolarizeAdd",  jitter ? "saturation" : "Color",
      "Contrast",     "Brightness",    "Sharpness",    "ShearX",
      "ShearY",       "TranslateXRel", "TranslateYRel"};
  if (jitter) names[8] = "contrast", names[9] = "brightness";
  std::string all;
  for (const AugmentStep& step : steps) all += str(all.empty() ? "" : ",", names[int(step.op)]);
  return all.empty() ? "none" : all;
}

// What the operation of one line makes of its picture.
std::vector<uint8_t> result_of(const std::string& name, Image image, const std::vector<double>& a) {
  const Pixels all{image.rgb.data(), image.width, image.height};
  if (name == "brightness") brightness(all, a[0]);
  if (name == "contrast") contrast(all, a[0]);
  if (name == "saturation") saturation(all, a[0]);
  if (name == "sharpness") sharpness(all, a[0]);
  if (name == "mirror") mirror(all);
  auto whole = [&](size_t i) { return int64_t(a[i]); };
  if (name == "resize")
    return resize(image, {0, 0, image.width, image.height}, whole(0), whole(1)).rgb;
  if (name == "resized-crop")
    return resize(image, {whole(0), whole(1), whole(2), whole(3)}, whole(4), whole(5)).rgb;
  if (name != "pad-crop") return image.rgb;
  TransformOptions o;
  o.image_size = whole(2), o.crop_padding = 4;
  std::vector<uint8_t> out(size_t(o.image_size * o.image_size * 3));
  train_pixels(image, o, {.crop = {whole(0), whole(1), o.image_size, o.image_size}}, out.data());
  return out;
}

}  // namespace

// With the 15 operations of RandAugment (Augment.EqualsTimmAndPillowToTheByte) more than 20, at 5
// strengths, places or scales on 5 pictures.
TEST(TransformGolden, OperationsEqualPillowToTheByte) {
  std::map<std::string, int> seen;
  for (const std::vector<std::string>& words : lines("op")) {
    std::vector<double> arguments;
    for (size_t i = 3; i + 1 < words.size(); ++i) arguments.push_back(std::stod(words[i]));
    const Image image = formula_image(std::stoll(words[1]), std::stoll(words[2]));
    EXPECT_EQ(fnv(result_of(words[0], image, arguments)), words.back()) << shown(words);
    ++seen[words[0]];
  }
  for (const char* name :
       {"brightness", "contrast", "saturation", "sharpness", "pad-crop", "resized-crop", "resize"})
    EXPECT_EQ(seen[name], 25) << name;
  EXPECT_EQ(seen["mirror"], 5);
}

// timm's own code with our random numbers: the same box, mirror, operations, erased box and bytes,
// and after normalisation the same floats to the bit. Sines, logarithms and exponentials are the C
// library's on both sides.
TEST(TransformGolden, TrainingEqualsTimmWithTheSameRandomNumbers) {
  std::map<std::string, int> seen;
  int erased = 0;
  for (const std::vector<std::string>& words : lines("train")) {
    ASSERT_EQ(words.size(), 11u);
    const std::string& what = words[0];
    const int64_t width = std::stoll(words[1]), height = std::stoll(words[2]),
                  side = std::stoll(words[3]);
    const Image image = formula_image(width, height);
    TransformOptions o;
    o.image_size = side, o.erasing.probability = 0.25;
    if (what == "jitter")
      o.color_jitter = 0.4;
    else
      o.augment = parse_augment("rand-m9-mstd0.5-inc1");
    if (what == "padded") o.crop_padding = 4;

    const Random start(7, Purpose::augment, 0, std::stoull(words[4]));
    Random random = start;
    const TrainDraws draws = draw_train(width, height, o, random);
    EXPECT_EQ(shown(draws.crop), words[5]) << shown(words);
    EXPECT_EQ(draws.mirror, words[6] == "1") << shown(words);
    EXPECT_EQ(shown(draws.steps, what == "jitter"), words[7]) << shown(words);
    std::vector<uint8_t> bytes(size_t(side * side * 3));
    EXPECT_FALSE(train_pixels(image, o, start, bytes.data()));
    EXPECT_EQ(fnv(bytes), words[9]) << shown(words);

    const std::optional<Crop> box =
        draws.erasing ? std::optional(draws.erasing->box) : std::nullopt;
    EXPECT_EQ(box ? shown(*box) : "none", words[8]) << shown(words);
    std::vector<float> floats = seen_in_training(image, o, start);
    if (box)
      for (int64_t y = box->y; y < box->y + box->height; ++y)
        std::fill_n(&floats[size_t((y * side + box->x) * 3)], box->width * 3,
                    0.f);  // timm's noise was zeros
    EXPECT_EQ(fnv(floats.data(), floats.size() * sizeof(float)), words[10]) << shown(words);
    ++seen[what], erased += box.has_value();
  }
  EXPECT_EQ(seen["recipe"], 60);
  EXPECT_EQ(seen["jitter"], 48);
  EXPECT_EQ(seen["padded"], 36);
  EXPECT_GT(erased, 20);
}

TEST(TransformGolden, EvaluationEqualsTimmsAndTheOfficialCode) {
  int seen = 0;
  for (const std::vector<std::string>& words : lines("eval")) {
    ASSERT_EQ(words.size(), 7u);
    const Image image = formula_image(std::stoll(words[1]), std::stoll(words[2]));
    TransformOptions o;
    o.image_size = std::stoll(words[3]), o.crop_pct = std::stod(words[4]);
    std::vector<uint8_t> bytes(size_t(o.image_size * o.image_size * 3));
    eval_pixels(image, o, bytes.data());
    const std::vector<float> floats = normalised(bytes, o);
    EXPECT_EQ(fnv(bytes), words[5]) << shown(words);
    EXPECT_EQ(fnv(floats.data(), floats.size() * sizeof(float)), words[6]) << shown(words);
    ++seen;
  }
  EXPECT_EQ(seen, 50);
}

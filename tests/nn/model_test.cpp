// The models against the figures of the paper and of the official code: parameters, names,
// multiply-adds, switches (nn/rmt/README.md, "The models", "Names", "Published numbers").
#include "nn/rmt/model.h"

#include <gtest/gtest.h>

#include <fstream>

#include "autograd/backward.h"
#include "nn/rmt/cost.h"
#include "ops/attention/manhattan_attention.h"
#include "ops/mul.h"
#include "ops/sum.h"
#include "tests/check_op.h"
#include "tests/nn/small_model.h"

namespace rmt::test {
namespace {

using nn::Rmt, nn::RmtConfig, nn::rmt_config;

struct Published {
  const char* name;
  int64_t parameters;
  double macs, attention, gi;  // in 1e9, 1e9, 2^30
};
const Published kPublished[] = {{"rmt_t", 14'334'216, 2.637, 0.275, 2.456},
                                {"rmt_s", 26'967'240, 4.777, 0.240, 4.449},
                                {"rmt_b", 54'154'896, 10.373, 0.445, 9.661},
                                {"rmt_l", 95'464'864, 19.488, 0.620, 18.150}};

std::string shape_text(const Shape& s) {  // as in the lists of names: 64x3x3x3, - for ()
  std::string text;
  for (int64_t d : s) {
    if (!text.empty()) text += 'x';
    text += std::to_string(d);
  }
  return text.empty() ? "-" : text;
}

}  // namespace

TEST(Model, ParametersAndMultiplyAddsArePublishedOnes) {
  for (const Published& p : kPublished) {
    nn::Cost c = total(cost(rmt_config(p.name), 224, 224));
    EXPECT_EQ(c.parameters, p.parameters) << p.name;
    EXPECT_EQ(Rmt(rmt_config(p.name)).parameter_count(), p.parameters) << p.name;
    EXPECT_NEAR(double(c.multiply_adds) / 1e9, p.macs, 0.0005)
        << p.name;  // to the last printed digit
    EXPECT_NEAR(double(c.attention_multiply_adds) / 1e9, p.attention, 0.0005) << p.name;
    EXPECT_NEAR(double(c.multiply_adds) / 0x1p30, p.gi, 0.0005) << p.name;
  }
}

// The paper's table 7 says 0.3 for a stage 3 of RMT-S over the whole map.
TEST(Model, MultiplyAddsOfOtherDecompositions) {
  RmtConfig s = rmt_config("rmt_s"), t = rmt_config("rmt_t");
  double before = double(total(cost(s, 224, 224)).multiply_adds);
  s.stages[2].decomposed = false;
  t.stages[2].decomposed = true;
  EXPECT_NEAR((double(total(cost(s, 224, 224)).multiply_adds) - before) / 1e9, 0.303, 0.0005);
  EXPECT_NEAR(double(total(cost(t, 224, 224)).multiply_adds) / 1e9, 2.502, 0.0005);
}

TEST(Model, StageParameters) {  // of RMT-S
  std::vector<nn::Cost> parts = cost(rmt_config("rmt_s"), 224, 224);
  std::vector<int64_t> expected{65'952,    164'544,    74'112,
                                832'000,   295'680,    12'155'904,
                                1'181'184, 10'645'504, 527'360 + 1'025'000};
  ASSERT_EQ(parts.size(), expected.size());
  for (size_t i = 0; i < parts.size(); ++i)
    EXPECT_EQ(parts[i].parameters, expected[i]) << parts[i].name;
}

TEST(Model, SwitchesChangeWhatThePaperSays) {
  auto count = [](const char* name, auto change) {
    RmtConfig c = rmt_config(name);
    change(c);
    Rmt model(c);
    EXPECT_EQ(model.parameter_count(), total(cost(c, 224, 224)).parameters);
    return model.parameter_count();
  };
  EXPECT_EQ(count("rmt_t", [](RmtConfig& c) { c.local_context = false; }), 14'244'360);
  EXPECT_EQ(count("rmt_t", [](RmtConfig& c) { c.position_conv = false; }), 14'299'656);
  auto first_release = [](RmtConfig& c) {
    c.rotary = false;
    c.ffn_conv = false;
    c.projection = 0;
  };
  EXPECT_EQ(count("rmt_t", first_release), 13'192'200);
  EXPECT_EQ(count("rmt_s", first_release), 25'701'064);
  EXPECT_EQ(count("rmt_b", first_release), 52'689'680);
  EXPECT_EQ(count("rmt_l", first_release), 93'844'512);
  RmtConfig patch = rmt_config("rmt_t");
  patch.conv_stem = false;
  // The paper's table 6, "w/o Stem", says 2.2.
  EXPECT_NEAR(double(total(cost(patch, 224, 224)).multiply_adds) / 0x1p30, 2.2, 0.05);
}

TEST(Model, NamesOrderAndShapesAreTheOfficialOnes) {
  for (const Published& p : kPublished) {
    std::ifstream file(str("tests/golden/", p.name, ".names"));
    ASSERT_TRUE(file) << "run the tests from the project's root";
    Rmt model(rmt_config(p.name));
    std::string name, shape;
    for (const nn::Entry& e : model.state()) {
      ASSERT_TRUE(file >> name >> shape) << p.name << " has an entry too many: " << e.name;
      ASSERT_EQ(e.name, name);
      ASSERT_EQ(shape_text(e.tensor->shape()), shape) << name;
    }
    EXPECT_FALSE(file >> name) << p.name << " lacks " << name;
  }
}

TEST(Model, UnknownNameListsTheKnown) {
  expect_error([] { rmt_config("rmt_xl"); },
               {"rmt_xl", "rmt_n", "rmt_t", "rmt_s", "rmt_b", "rmt_l"});
}

TEST(Model, RefusesImagesThatAreTooSmall) {
  Rmt model(rmt_config("rmt_n"));
  expect_error([&] { model.forward(Tensor::zeros({1, 31, 64, 3})); }, {"31 x 64", "32"});
  expect_error([&] { model.forward(Tensor::zeros({1, 64, 64, 4})); }, {"(1, 64, 64, 4)"});
}

TEST(Model, RecomputeGivesTheSameBits) {
  auto run = [](bool recompute) {
    RmtConfig c = rmt_config("rmt_n");
    c.num_classes = 5;
    c.recompute = recompute;
    c.drop_path = 0.3;
    Rmt model(c);
    model.init(1);
    model.mode() = {.training = true, .seed = 2, .step = 7};
    Tensor y = model.forward(randn({2, 64, 64, 3}, 1).to(DType::f32));
    backward(ops::sum(ops::mul(y, y)));
    std::vector<float> all = y.to_vector<float>();
    for (nn::Entry& e : model.parameters())
      for (float g : grad(*e.tensor).to_vector<float>()) all.push_back(g);
    return all;
  };
  EXPECT_EQ(run(false), run(true));
}

// The memory that lives after a forward pass beside what lived before it, per image, is what cost()
// counts; 3 % are for the rounding of small blocks and for statistics per channel.
void expect_kept_values(const RmtConfig& c) {
  Rmt model(c);
  model.init(1);
  model.mode().training = true;
  auto kept = [&](int64_t B) {
    Tensor images = leaf(Tensor::full({B, 128, 96, 3}, 0.5));
    size_t before = memory_use().live;
    Tensor y = model.forward(images);
    return double(memory_use().live - before);
  };
  kept(1);  // fills the tables of rotations
  const double one_image = (kept(3) - kept(1)) / 2 / 4;
  // The images lived before.
  const double counted = double(total(cost(c, 128, 96)).kept_values) - 3 * 128 * 96;
  EXPECT_NEAR(one_image / counted, 1, 0.03);
}

TEST(Model, KeptValuesAreWhatAForwardPassKeeps) {
  RmtConfig c = rmt_config("rmt_n");
  expect_kept_values(c);
  c.ffn_conv = false;
  expect_kept_values(c);
  c.ffn_conv = true;
  set_stages(c, &nn::StageConfig::layer_scale, true);
  expect_kept_values(c);
  for (nn::AttentionForm form : {nn::AttentionForm::retention, nn::AttentionForm::gate}) {
    c.attention = form;
    expect_kept_values(c);
  }
}

}  // namespace rmt::test

// Models by name: what may be registered, and what is said where a name or a setting is not one.
#include "nn/models/registry.h"

#include <gtest/gtest.h>

#include "nn/linear.h"
#include "ops/view.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

struct Perceptron : nn::Classifier {
  nn::Linear& head;
  Perceptron(int64_t S, int64_t K) : head(add<nn::Linear>("head", S * S * 3, K)) {}
  Tensor forward(const Tensor& x) override { return head.forward(ops::view(x, {x.dim(0), -1})); }
};

constexpr int64_t kTooMany = 77;  // classes: makes nothing, as a constructor that is wrong
std::unique_ptr<nn::Classifier> make(const nn::ModelSettings& s) {
  if (s.num_classes == kTooMany) return nullptr;
  return std::make_unique<Perceptron>(s.img_size, s.num_classes);
}
const nn::RegisterModel registered("register_test.linear-1", "one linear layer", make);

}  // namespace

TEST(RegisterModel, BeforeMainAndFoundByItsName) {
  ASSERT_TRUE(nn::knows_model("register_test.linear-1"));
  EXPECT_FALSE(nn::knows_model("register_test.linear-2"));
  EXPECT_EQ(nn::known_models().front().name, "rmt_n") << "the library's come first";
  const auto model = nn::make_model("register_test.linear-1", {.num_classes = 5, .img_size = 4});
  EXPECT_EQ(model->parameter_count(), 4 * 4 * 3 * 5 + 5);
  EXPECT_EQ(model->classifier(), "head");
  EXPECT_EQ(model->forward(Tensor::zeros({2, 4, 4, 3})).shape(), (Shape{2, 5}));
}

TEST(RegisterModel, ANameIsTakenOnceAndPlain) {
  const size_t count = nn::known_models().size();
  expect_error([] { nn::RegisterModel("rmt_t", "mine", make); },
               {"\"rmt_t\" is known already (RMT of the paper, tiny)", "another name"});
  expect_error([] { nn::RegisterModel("register_test.linear-1", "again", make); },
               {"\"register_test.linear-1\" is known already (one linear layer)"});
  for (const char* name : {"", "my net", "a/b", "a,b", "n\xc3\xa4t", "x\n"})
    expect_error([&] { nn::RegisterModel(name, "", make); },
                 {str("model name \"", name, "\": letters, digits, '_', '-' and '.'")});
  expect_error(
      [] {
        nn::register_model({"nothing", "", nullptr});
      },
      {"\"nothing\": no constructor was given"});
  EXPECT_EQ(nn::known_models().size(), count) << "a refused one is in the list";
}

TEST(RegisterModel, UnknownNamesListTheKnownOnes) {
  expect_error([] { nn::make_model("rmt_x", {}); },
               {"unknown model \"rmt_x\"; known: rmt_n, rmt_t, rmt_s, rmt_b, rmt_l",
                "register_test.linear-1", "MODELS="});
  expect_error([] { nn::make_model("rmt_n", {.num_classes = 0}); }, {"rmt_n: 0 classes"});
  expect_error([] { nn::make_model("register_test.linear-1", {.num_classes = kTooMany}); },
               {"\"register_test.linear-1\"", "made nothing"});
}

TEST(RegisterModel, SettingsThatAModelLacksAreRefused) {
  nn::ModelSettings s;
  s.expect_no_ablation("net");
  s.expect_no_recompute("net");
  s.expect_no_drop_path("net");
  s.drop_path = 0;  // none is what such a model has
  s.expect_no_drop_path("net");
  s.drop_path = 0.2;
  s.recompute = true;
  s.ablation = "--no-decay";
  expect_error([&] { s.expect_no_drop_path("net"); }, {"--drop-path 0.2: net has none"});
  expect_error([&] { s.expect_no_recompute("net"); }, {"--grad-checkpointing: net"});
  expect_error([&] { s.expect_no_ablation("net"); }, {"--no-decay: net", "RMT"});
}

}  // namespace rmt::test

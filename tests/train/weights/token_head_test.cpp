// Files of models that were trained with token labels: their second classifier, "aux_head", is told
// by the channels that it reads, counts in evaluation, and is kept or made anew in fine-tuning.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/files/files.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "tests/train/weights/pth_writer.h"
#include "tests/train/weights/published_shapes.h"
#include "train/weights/finetune.h"
#include "train/weights/hub.h"
#include "train/weights/recognise.h"

namespace rmt::test {
using namespace train;
namespace {

using nn::TokenHead;

// rmt_n for K classes with an aux_head of that kind; its bias tells the classes apart.
nn::RmtConfig rmt_n_with(TokenHead head, int64_t K) {
  nn::RmtConfig c = nn::rmt_config("rmt_n");
  c.num_classes = K;
  c.token_head = head;
  return c;
}
struct Model : nn::Rmt {
  Model(TokenHead kind, int64_t K, uint64_t seed) : nn::Rmt(rmt_n_with(kind, K)) {
    init(seed);
    if (aux_head) aux_head->bias.copy_from(randn({K}, seed).to(DType::f32));
  }
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.nbytes()) == 0;
}

// What a run would hold after starting from this file.
Pretrained pretrained(nn::Rmt& model, const std::vector<std::string>& classes) {
  Pretrained p;
  p.options.model = "rmt_n";
  p.knows_images = false;
  p.classes = classes;
  p.weights = model_archive(model, {"rmt_n", classes, ""});
  p.weights.path = "old.pth";
  return p;
}

TrainOptions of_rmt_n() {
  TrainOptions o;
  o.model = "rmt_n";
  return o;
}

using Lines = std::vector<std::string>;

}  // namespace

// image logits + max over the tokens / 2, from the two classifiers that the file holds.
TEST(TokenHead, APthFileTellsItAndEvaluatesWithIt) {
  TemporaryFolder folder;
  for (TokenHead head : {TokenHead::tokens, TokenHead::projected}) {
    Model model(head, 3, 5);
    const std::string path = folder / "best.pth";
    write_file(path, pth_of(model_archive(model, {})));
    const ModelFile file = load_model_file(path);
    EXPECT_EQ(file.origin, path + ": rmt_n by its shapes, 3 classes; weights of \"model\"");
    EXPECT_EQ(file.options.token_head, head == TokenHead::tokens ? "tokens" : "projected");
    EXPECT_EQ(file.rmt("the test").config.token_head, head);

    NoGrad off;
    const Tensor x = randn({2, 70, 65, 3}, 3).to(DType::f32);
    const nn::TokenLogits z = model.classify_tokens(x);
    ASSERT_EQ(z.tokens.shape(), (Shape{2, 3, 3, 3}));  // 3 x 3 tokens, 3 classes
    const std::vector<float> y = file.model->forward(x).to_vector<float>();
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t k = 0; k < 3; ++k) {
        float most = -INFINITY;
        for (int64_t i = 0; i < 9; ++i)
          most = std::max(most, z.tokens.data<float>()[(b * 9 + i) * 3 + k]);
        // two roundings, of the half (none) and of the sum
        const float expected = z.image.data<float>()[b * 3 + k] + most / 2;
        EXPECT_NEAR(y[size_t(b * 3 + k)], expected, std::fabs(expected) * 0x1p-23);
      }
  }
}

// The official code's two forms: aux_head reads the last stage's channels, or the 1024 projected.
TEST(TokenHead, OfEveryPublishedModelByItsShape) {
  for (const char* name : {"rmt_t", "rmt_s", "rmt_b", "rmt_l"}) {
    Archive a = published_shapes(name);
    EXPECT_EQ(recognise(a).token_head, TokenHead::none);
    a.tensors["aux_head.bias"] = Tensor::empty({1000});
    a.tensors["aux_head.weight"] = Tensor::empty({1000, nn::rmt_config(name).stages[3].channels});
    EXPECT_EQ(recognise(a).token_head, TokenHead::tokens) << name;
    a.tensors["aux_head.weight"] = Tensor::empty({1000, 1024});
    EXPECT_EQ(recognise(a).token_head, TokenHead::projected) << name;
    EXPECT_EQ(recognise(a).name, name);
  }
}

TEST(TokenHead, OneThatDoesNotFitIsRefused) {
  Model model(TokenHead::tokens, 3, 5);
  Archive good = model_archive(model, {});
  good.path = "x.pth";
  auto refused = [&](const std::string& name, const Tensor& x, const Lines& parts) {
    Archive a = good;
    if (x.defined())
      a.tensors[name] = x;
    else
      a.tensors.erase(name);
    expect_error([&] { model_from(a); }, parts);
  };
  refused("aux_head.weight", Tensor::zeros({3, 255}),
          {"x.pth: aux_head.weight is (3, 255)", "(classes, 256) or (classes, 1024)"});
  refused("aux_head.weight", Tensor::zeros({768}), {"x.pth: aux_head.weight is (768)"});
  refused("aux_head.weight", Tensor::zeros({}), {"x.pth: aux_head.weight is ()"});
  refused("aux_head.weight", Tensor::zeros({0, 256}), {"x.pth", "aux_head.weight", "(0, 256)"});
  refused("aux_head.weight", Tensor::zeros({4, 256}), {"x.pth", "aux_head.weight", "(4, 256)"});
  refused("aux_head.bias", {}, {"x.pth", "aux_head.bias", "missing"});
  refused("aux_head.bias", Tensor::full({3}, NAN), {"x.pth: aux_head.bias", "diverged"});
  // A bias alone is no head, and no model's.
  refused("aux_head.weight", {}, {"x.pth", "aux_head"});
}

// A file of ours says it, and what it says must be known and fit.
TEST(TokenHead, AFileOfOursSaysItsKind) {
  TemporaryFolder folder;
  Model model(TokenHead::projected, 3, 5);
  auto saved = [&](const std::string& kind) {
    TrainOptions o = of_rmt_n();
    o.token_head = kind;
    write_safetensors(folder / "x.safetensors", model_archive(model, {"rmt_n", {}, to_json(o)}));
    return folder / "x.safetensors";
  };
  const ModelFile file = load_model_file(saved("projected"));
  EXPECT_EQ(file.rmt("the test").config.token_head, TokenHead::projected);
  EXPECT_TRUE(same_bits(file.rmt("the test").aux_head->weight, model.aux_head->weight));
  expect_error([&] { load_model_file(saved("tokens")); },
               {"x.safetensors", "aux_head.weight", "(3, 256)", "(3, 1024)"});
  expect_error([&] { load_model_file(saved("sideways")); },
               {"sideways", "none, tokens, projected"});
}

// Weights that do not say their model, and --model beside them: the head is told all the same.
TEST(TokenHead, IsToldWhereTheModelIsNamed) {
  for (TokenHead head : {TokenHead::tokens, TokenHead::projected}) {
    Model model(head, 3, 5);
    Archive a = model_archive(model, {});
    a.metadata.clear();
    const ModelFile file = model_from(a, "rmt_n");
    EXPECT_EQ(file.rmt("the test").config.token_head, head);
  }
}

TEST(TokenHead, AFolderForHubsHoldsItAndNoPrivatePath) {
  TemporaryFolder folder;
  Model model(TokenHead::projected, 3, 5);
  TrainOptions o = of_rmt_n();
  o.token_head = "projected";
  o.token_label_data = "/home/somebody/maps.rmtlabels";
  const Archive a = model_archive(model, {"rmt_n", {"a", "b", "c"}, to_json(o)});
  write_hub_folder(folder / "hub", a, model_from(a), false);
  const auto j = nlohmann::json::parse(read_file(folder / "hub/config.json", 1 << 20));
  ASSERT_TRUE(j.contains("model_args"));
  EXPECT_EQ(j["model_args"].dump(), "{\"token_head\":\"projected\"}");
  const Archive weights = read_safetensors(folder / "hub/model.safetensors");
  EXPECT_EQ(weights.metadata.at("options").find("somebody"), std::string::npos);
  NoGrad off;
  const Tensor x = randn({1, 64, 64, 3}, 3).to(DType::f32);
  EXPECT_TRUE(same_bits(load_model_file(folder / "hub").model->forward(x), model.forward(x)));
}

TEST(TokenHead, OtherClassesMakeBothHeadsAnew) {
  Model old(TokenHead::tokens, 5, 1), model(TokenHead::tokens, 3, 2);
  const Tensor head = model.head.weight.clone(), aux = model.aux_head->weight.clone(),
               bias = model.aux_head->bias.clone();
  EXPECT_EQ(start_from(model, pretrained(old, {}), {"x", "y", "z"}, of_rmt_n()),
            (Lines{"starting from old.pth: rmt_n", "head: 5 -> 3 classes, made anew",
                   "aux_head: 5 -> 3 classes, made anew"}));
  EXPECT_TRUE(same_bits(model.head.weight, head) && same_bits(model.aux_head->weight, aux) &&
              same_bits(model.aux_head->bias, bias));
  EXPECT_TRUE(same_bits(model.proj->weight, old.proj->weight)) << "the rest came along";
}

TEST(TokenHead, TheRowsOfBothHeadsFollowTheNames) {
  Model old(TokenHead::projected, 3, 1), model(TokenHead::projected, 3, 2);
  EXPECT_EQ(
      start_from(model, pretrained(old, {"cat", "dog", "emu"}), {"emu", "cat", "dog"}, of_rmt_n())
          .back(),
      "aux_head: kept, its 3 classes put into the order of the images'");
  for (auto [now, was] : {std::pair{&model.head, &old.head}, {model.aux_head, old.aux_head}}) {
    const std::vector<float> rows = was->weight.to_vector<float>(),
                             moved = now->weight.to_vector<float>(),
                             bias = was->bias.to_vector<float>();
    const size_t C = rows.size() / 3;
    EXPECT_EQ(now->bias.to_vector<float>(), (std::vector<float>{bias[2], bias[0], bias[1]}));
    for (size_t k = 0; k < 3; ++k)
      for (size_t c = 0; c < C; ++c) ASSERT_EQ(moved[k * C + c], rows[(k + 2) % 3 * C + c]);
  }
}

TEST(TokenHead, AModelWithoutOneLeavesItOut) {
  TemporaryFolder folder;
  Model old(TokenHead::tokens, 3, 1), model(TokenHead::none, 3, 2);
  write_file(folder / "label.pth", pth_of(model_archive(old, {})));
  const Pretrained p = read_pretrained(folder / "label.pth");
  const TrainOptions o = with_model_of(p, TrainOptions());
  EXPECT_EQ(o.token_head, "none") << "the run's own flags decide";
  EXPECT_EQ(start_from(model, p, {"x", "y", "z"}, o).back(),
            "aux_head: left out; token labels train it, and there are none here");
  EXPECT_TRUE(same_bits(model.head.weight, old.head.weight));
}

TEST(TokenHead, OneOfAnotherKindOrNoneInTheFileIsMadeAnew) {
  for (TokenHead in_file : {TokenHead::none, TokenHead::projected}) {
    Model old(in_file, 3, 1), model(TokenHead::tokens, 3, 2);
    const Tensor aux = model.aux_head->weight.clone();
    EXPECT_EQ(start_from(model, pretrained(old, {}), {"x", "y", "z"}, of_rmt_n()).back(),
              "aux_head: made anew");
    EXPECT_TRUE(same_bits(model.aux_head->weight, aux));
    EXPECT_TRUE(same_bits(model.head.weight, old.head.weight)) << "the images' head is kept";
  }
}

}  // namespace rmt::test

#include "train/weights/model_file.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/files/files.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "tests/train/weights/pth_writer.h"
#include "tests/train/weights/published_shapes.h"
#include "train/weights/hub.h"
#include "train/weights/recognise.h"

namespace rmt::test {
using namespace data;
using namespace train;

TEST(Recognise, EveryPublishedModelByItsShapes) {
  for (const char* name : {"rmt_t", "rmt_s", "rmt_b", "rmt_l"}) {
    const Archive a = published_shapes(name);
    nn::RmtConfig c = recognise(a), published = nn::rmt_config(name);
    EXPECT_EQ(c.name, name);
    EXPECT_EQ(c.num_classes, 1000);
    EXPECT_EQ(c.projection, 1024);
    EXPECT_EQ(per_stage(c, &nn::StageConfig::layer_scale),
              per_stage(published, &nn::StageConfig::layer_scale));
    EXPECT_TRUE(c.rotary && c.local_context && c.position_conv && c.ffn_conv && c.conv_stem)
        << name;
  }
}

TEST(Recognise, OtherModelsAreRefusedWithWhatTheyAre) {
  nn::RmtConfig c = nn::rmt_config("rmt_n");
  c.stages[2].blocks = 3;
  nn::Rmt model(c);
  Archive a = model_archive(model, {});
  a.path = "x.pth";
  expect_error([&] { recognise(a); },
               {"x.pth", "1, 1, 3, 1 blocks", "32, 64, 128, 256 channels", "rmt_n, rmt_t"});
  a.tensors.erase("head.weight");
  expect_error([&] { recognise(a); }, {"without its classifier"});
  a.tensors.erase("layers.0.Relpos.decay");
  expect_error([&] { recognise(a); }, {"holds no RMT"});
}

// Our own model through a .pth file and back: the same logits, whatever the file is called, also in
// the first release's form.
TEST(ModelFile, PyTorchFilesLoadByTheirContent) {
  TemporaryFolder folder;
  for (bool first_release : {false, true}) {
    nn::RmtConfig c = nn::rmt_config("rmt_n");
    c.num_classes = 3;
    if (first_release) c.projection = 0, c.ffn_conv = false, c.rotary = false;
    nn::Rmt model(c);
    model.init(5);
    const std::string path = folder / "weights.bin";
    write_file(path, pth_of(model_archive(model, {})));
    ModelFile file = load_model_file(path);
    EXPECT_EQ(file.origin, path + ": rmt_n by its shapes, 3 classes; weights of \"model\"");
    EXPECT_EQ(file.options.model, "rmt_n");
    EXPECT_EQ(file.class_name(2), "class 2");
    NoGrad off;
    const Tensor x = randn({2, 40, 33, 3}, 3).to(DType::f32);
    EXPECT_EQ(file.model->forward(x).to_vector<float>(), model.forward(x).to_vector<float>())
        << first_release;
  }
}

TEST(Hub, AFolderThatOthersAndWeRead) {
  TemporaryFolder folder;
  const std::string run = folder / "best.safetensors", hub = folder / "cats-and-dogs";
  TrainOptions o;
  o.model = "rmt_n";
  o.img_size = 64;
  o.crop_pct = 0.9;
  o.mean = {0.5, 0.25, 0};
  o.data_dir = "/home/somebody/private";
  o.rotary = false;
  nn::Rmt model(model_config(o, 2));
  model.init(5);
  Archive a = model_archive(model, {"rmt_n", {"cat", "dog"}, to_json(o)});
  a.tensors["optimizer.step.head.bias"] = Tensor::zeros({}, DType::i64);
  a.tensors["head.weight"] = a.tensors["head.weight"].to(DType::bf16);
  write_hub_folder(hub, a, model_from(a), false);

  const auto j = nlohmann::json::parse(read_file(hub + "/config.json", 1 << 20));
  EXPECT_EQ(j["architecture"], "rmt_n");
  EXPECT_EQ(j["num_classes"], 2);
  EXPECT_EQ(j["num_features"], 1024);
  EXPECT_EQ(j["label_names"], (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(j["model_args"].dump(), "{\"rotary\":false}");
  EXPECT_EQ(j["pretrained_cfg"]["input_size"], (std::vector<int>{3, 64, 64}));
  EXPECT_EQ(j["pretrained_cfg"]["crop_pct"], 0.9);
  EXPECT_EQ(j["pretrained_cfg"]["mean"], (std::vector<double>{0.5, 0.25, 0}));
  EXPECT_EQ(j["pretrained_cfg"]["std"], (std::vector<double>{0.229, 0.224, 0.225}));
  EXPECT_EQ(j["pretrained_cfg"]["interpolation"], "bicubic");
  EXPECT_EQ(j["pretrained_cfg"]["classifier"], "head");
  EXPECT_EQ(j["pretrained_cfg"]["first_conv"], "patch_embed.proj.0");

  const std::string card = read_file(hub + "/README.md", 1 << 20);
  EXPECT_EQ(card.rfind("---\ntags:\n- image-classification\n", 0), 0u);
  for (const char* part : {"# cats-and-dogs\n", "64 x 64", "71 pixels", "strict=True"})
    EXPECT_NE(card.find(part), std::string::npos) << part;

  Archive weights = read_safetensors(hub + "/model.safetensors");
  EXPECT_EQ(weights.tensors.size(), model.state().size());
  for (const nn::Entry& e : model.state())
    EXPECT_EQ(weights.at(e.name).dtype(), e.tensor->dtype()) << e.name;
  EXPECT_EQ(weights.metadata.at("options").find("somebody"), std::string::npos);
  ModelFile back = load_model_file(hub);
  EXPECT_FALSE(back.rmt("the test").config.rotary);
  EXPECT_EQ(back.class_name(1), "dog");
  EXPECT_EQ(back.options.img_size, 64);

  // Nothing is overwritten unasked, and nothing is written when one of the three is there.
  std::filesystem::remove(hub + "/model.safetensors"),
      std::filesystem::remove(hub + "/config.json");
  expect_error([&] { write_hub_folder(hub, a, back, false); },
               {"README.md", "not overwritten", "--force"});
  EXPECT_FALSE(std::filesystem::exists(hub + "/model.safetensors"));
  write_hub_folder(hub, a, back, true);
  EXPECT_TRUE(std::filesystem::exists(hub + "/model.safetensors"));
}

}  // namespace rmt::test

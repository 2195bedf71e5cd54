// A model of one's own through all that the library does with one: trained, killed and resumed,
// found again by its name, evaluated, published, fine-tuned; and what the programs say of it.
#include <cstring>
#include <nlohmann/json.hpp>

#include "core/files/files.h"
#include "tests/check_op.h"
#include "tests/examples/programs.h"
#include "tests/train/own_model.h"
#include "tests/train/small_images.h"
#include "tests/train/tiny_model.h"
#include "train/settings.h"
#include "train/trainer.h"
#include "train/weights/finetune.h"
#include "train/weights/hub.h"

namespace rmt::test {
using namespace train;
namespace {

const nn::RegisterModel own_net("own_net", "of these tests", [](const nn::ModelSettings& s) {
  s.expect_no_ablation("own_net");
  s.expect_no_recompute("own_net");
  s.expect_no_drop_path("own_net");
  return std::make_unique<OwnNet>(s.num_classes);
});

TrainOptions own_options() {
  TrainOptions o;
  o.model = "own_net", o.img_size = 32, o.epochs = 2, o.batch_size = 4, o.lr = 0.01;
  o.warmup_epochs = 0, o.log_interval = 0, o.recovery_interval = 1, o.workers = 1;
  o.crop_pct = 1, o.scale = {0.8, 1};
  return o;
}

struct Killed : std::exception {};

// One run from its images to its folder; `kill` is called before each forward pass.
struct OwnRun {
  Noise train{16, 1}, val{8, 2};
  std::unique_ptr<nn::Classifier> model;
  std::ostringstream out;

  explicit OwnRun(const TrainOptions& o) : model(make_model(o, 2)) { model->init(o.seed); }
  void go(const TrainOptions& o, const RunFolder& folder, const std::string& resume = "") {
    Trainer trainer(*model, train, val, o, out);
    if (!resume.empty()) trainer.resume(read_safetensors(resume));
    EXPECT_TRUE(trainer.run(folder));
  }
  void die_at(int64_t step, const TrainOptions& o, const RunFolder& folder) {
    Trainer trainer(
        *model,
        [&](const Tensor& x) {
          if (model->mode().training && model->mode().step == step) throw Killed();
          return model->forward(x);
        },
        train, val, o, out);
    EXPECT_THROW(trainer.run(folder), Killed);
  }
};

struct OwnModel : testing::Test {
  TemporaryFolder folder;
  RunFolder trained() {
    const RunFolder run = RunFolder::create(folder.path(), "run", "own_net", 32);
    OwnRun(own_options()).go(own_options(), run);
    return run;
  }
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), a.nbytes()) == 0;
}

}  // namespace

TEST_F(OwnModel, KilledAndResumedItEndsWithTheSameBits) {
  const TrainOptions o = own_options();
  const RunFolder straight = trained();
  for (int64_t step : {2, 6}) {  // of 8: in the first epoch, and in the second
    const RunFolder broken = RunFolder::create(folder.path(), str("broken", step), "own_net", 32);
    OwnRun(o).die_at(step, o, broken);
    OwnRun(o).go(o, RunFolder::open(broken.path()), broken / "last.safetensors");
    const Archive a = read_safetensors(straight / "last.safetensors"),
                  b = read_safetensors(broken / "last.safetensors");
    ASSERT_EQ(a.tensors.size(), b.tensors.size());
    for (auto& [name, x] : a.tensors) EXPECT_TRUE(same_bits(x, b.at(name))) << step << name;
  }
}

TEST_F(OwnModel, OtherImagesAreNoticedWhenItResumes) {
  const RunFolder run = trained();
  TrainOptions o = own_options();
  o.epochs = 3;
  OwnRun other(o);
  other.train.images[3].rgb[5] ^= 1;
  Trainer trainer(*other.model, other.train, other.val, o, other.out);
  expect_error([&] { trainer.resume(read_safetensors(run / "last.safetensors")); },
               {"last.safetensors", "train"});
}

TEST_F(OwnModel, IsFoundByItsNameAndEvaluatesAsInTheRun) {
  const RunFolder run = trained();
  const ModelFile file = load_model_file(run.path());
  EXPECT_TRUE(dynamic_cast<OwnNet*>(file.model.get()));
  EXPECT_EQ(file.origin, run.path() + "/best.safetensors: own_net, 2 classes");
  EXPECT_EQ(file.classes, (std::vector<std::string>{"dark", "light"}));
  expect_error([&] { file.rmt("--attention"); }, {"--attention", "own_net is none"});

  const Noise val(8, 2);
  data::Loader loader(val, loader_options(file.options, false));
  const Metrics m = evaluate(
      *file.model, [&](const Tensor& x) { return file.model->forward(x); }, loader, {},
      transform_options(file.options));
  double best = 1e9;  // the loss of the epoch with the highest top-1, the first of equals
  double top1 = -1;
  std::istringstream log(read_file(run / "log.jsonl", 1 << 20));
  for (std::string line; std::getline(log, line);)
    if (const auto j = nlohmann::json::parse(line); j["test_acc1"] > top1)
      top1 = j["test_acc1"], best = j["test_loss"];
  EXPECT_EQ(m.acc1(), top1);
  EXPECT_EQ(m.loss(), best) << "the same bits: the log's numbers are written in full";
}

TEST_F(OwnModel, IsPublishedUnderItsOwnNamesAndReadBack) {
  const RunFolder run = trained();
  const Archive archive = read_safetensors(run / "best.safetensors");
  const std::string hub = folder / "hub";
  write_hub_folder(hub, archive, model_from(archive), false);
  const auto j = nlohmann::json::parse(read_file(hub + "/config.json", 1 << 20));
  EXPECT_EQ(j["architecture"], "own_net");
  EXPECT_EQ(j["num_features"], 8);
  EXPECT_EQ(j["label_names"], (std::vector<std::string>{"dark", "light"}));
  EXPECT_EQ(j["pretrained_cfg"]["classifier"], "fc");
  EXPECT_EQ(j["pretrained_cfg"]["first_conv"], "stem");
  EXPECT_FALSE(j.contains("model_args") || j["pretrained_cfg"].contains("pool_size"));
  const std::string card = read_file(hub + "/README.md", 1 << 20);
  EXPECT_EQ(card.find("RMT"), std::string::npos) << card;

  const ModelFile back = load_model_file(hub);
  EXPECT_EQ(back.options.model, "own_net");
  for (const nn::Entry& e : back.model->state())
    EXPECT_TRUE(same_bits(*e.tensor, archive.at(e.name))) << e.name;
}

// An RMT of other sizes, under a name of its own: there is no published one to compare it with.
TEST_F(OwnModel, AnRmtOfOnesOwnIsPublishedToo) {
  static const nn::RegisterModel own_rmt("own_rmt", "tiny", [](const nn::ModelSettings& s) {
    nn::RmtConfig c = nn::configured(tiny(), s);
    c.name = "own_rmt";
    return std::make_unique<nn::Rmt>(c);
  });
  TrainOptions o = own_options();
  o.model = "own_rmt";
  o.rotary = false;
  const auto model = make_model(o, 2);
  model->init(1);
  const Archive archive = model_archive(*model, {"own_rmt", {"dark", "light"}, to_json(o)});
  const auto j = nlohmann::json::parse(hub_config(model_from(archive)));
  EXPECT_EQ(j["architecture"], "own_rmt");
  EXPECT_EQ(j["model_args"].dump(), "{\"rotary\":false}");
}

TEST_F(OwnModel, IsFineTunedToOtherClasses) {
  const Pretrained from = read_pretrained(trained().path());
  TrainOptions o = with_model_of(from, own_options());
  EXPECT_EQ(o.model, "own_net");
  o.freeze = "body";
  const std::unique_ptr<nn::Classifier> model = make_model(o, 3);
  model->init(9);
  const std::vector<std::string> lines = start_from(*model, from, {"dark", "grey", "light"}, o);
  EXPECT_EQ(lines.back(), "fc: 2 -> 3 classes, made anew");
  std::map<std::string, Tensor> before;
  for (const nn::Entry& e : model->state()) {
    before[e.name] = e.tensor->clone();
    EXPECT_TRUE(e.name.starts_with("fc.") || same_bits(*e.tensor, from.weights.at(e.name)))
        << e.name;
  }

  const Noise train(12, 1, {"dark", "grey", "light"}), val(6, 2, {"dark", "grey", "light"});
  freeze(model->parameters(), parameter_rules(model->parameters(), o, model->classifier()));
  std::ostringstream out;
  Trainer trainer(*model, train, val, o, out);
  EXPECT_TRUE(trainer.run(RunFolder::create(folder.path(), "tuned", "own_net", 32)));
  for (const nn::Entry& e : model->parameters())
    EXPECT_EQ(same_bits(*e.tensor, before.at(e.name)), !e.name.starts_with("fc.")) << e.name;
}

// As other frameworks write them: tensors, and no word of which network they are.
TEST_F(OwnModel, WeightsWithoutANameStartTheModelThatIsAskedFor) {
  Archive nameless = read_safetensors(trained() / "best.safetensors");
  nameless.metadata.clear();
  std::erase_if(nameless.tensors,
                [](const auto& entry) { return entry.first.starts_with("optimizer."); });
  write_safetensors(folder / "nameless.safetensors", nameless);
  expect_error([&] { read_pretrained(folder / "nameless.safetensors"); }, {"holds no RMT"});
  const Pretrained from = read_pretrained(folder / "nameless.safetensors", "own_net");
  EXPECT_EQ(from.options.model, "own_net");
  EXPECT_FALSE(from.knows_images);
  const std::unique_ptr<nn::Classifier> model = make_model(own_options(), 2);
  start_from(*model, from, {"a", "b"}, own_options());
  for (const nn::Entry& e : model->state())
    EXPECT_TRUE(same_bits(*e.tensor, nameless.at(e.name))) << e.name;
  // A file that says what it is is believed before the flag.
  EXPECT_EQ(read_pretrained(folder / "run", "resnet_n").options.model, "own_net");
}

TEST_F(OwnModel, ANameThatNobodyRegisteredIsRefused) {
  Archive archive = read_safetensors(trained() / "best.safetensors");
  TrainOptions o = own_options();
  o.model = "their_net";
  archive.metadata["architecture"] = o.model;
  archive.metadata["options"] = to_json(o);
  archive.path = "theirs.safetensors";
  expect_error([&] { model_from(archive); },
               {"theirs.safetensors: holds a model called \"their_net\", which this program does "
                "not know",
                "MODELS="});
  EXPECT_EQ(model_from(archive, "own_net").options.model, "own_net") << "a name that is given wins";
  expect_error([&] { model_from(archive, "rmt_n"); }, {"theirs.safetensors", "head.weight"});

  OwnRun run(own_options());
  expect_error([&] { Trainer(*run.model, run.train, run.val, o, run.out); },
               {"their_net", "registered"});
}

// Programs that were linked without the model, and programs that MODELS linked with one.
TEST_F(Programs, WithoutAModelTheySayThatTheyDoNotKnowIt) {
  const RunFolder run = RunFolder::create(folder.path(), "run", "own_net", 32);
  OwnRun(own_options()).go(own_options(), run);
  for (const char* program : {"rmt-eval run", "rmt-info run", "rmt-convert run out",
                              "rmt-classify run x.jpg", "rmt-train --initial-checkpoint run"})
    expect(program, 1, {"holds a model called \"own_net\", which this program does not know"});
  expect("rmt-train --resume run", 1, {"does not say on which images", "--data-dir"});
  draw_small_images(data);
  expect("rmt-train --resume run --data-dir data", 1, {"unknown model \"own_net\""});
  expect("rmt-info --model own_net", 1, {"unknown model \"own_net\"", "known: rmt_n, rmt_t"});
}

TEST_F(Programs, MODELSLinksAModelIntoThem) {
  write_file(folder / "perceptron.cpp", R"(
#include "nn/linear.h"
#include "nn/models/registry.h"
#include "ops/view.h"
using namespace rmt;
struct Perceptron : nn::Classifier {
  nn::Linear& rows;
  Perceptron(int64_t S, int64_t K) : rows(add<nn::Linear>("rows", S * S * 3, K)) {}
  Tensor forward(const Tensor& x) override { return rows.forward(ops::view(x, {x.dim(0), -1})); }
  std::string classifier() const override { return "rows"; }
};
static const nn::RegisterModel registered(
    "perceptron", "one linear layer", [](const nn::ModelSettings& s) {
      s.expect_no_ablation("perceptron");
      return std::make_unique<Perceptron>(s.img_size, s.num_classes);
    });
)");
  const std::string root = std::filesystem::current_path().string();
  std::string wanted, there = folder / "bin";
  for (const char* program : {"train", "eval", "info", "classify", "convert"})
    wanted += str(" '", there, "/rmt-", program, "'");
  const Result made = shell(str("make -s -C '", root, "' MODELS='", folder / "perceptron.cpp",
                                "' BIN='", there, "'", wanted));
  ASSERT_EQ(made.status, 0) << made.text;
  bin = there;
  draw_small_images(data);
  expect("rmt-info --list", 0, {"rmt_t ", "perceptron     one linear layer"});
  expect("rmt-info --model perceptron --img-size 32 --num-classes 2", 0,
         {"perceptron at 32 x 32, 2 classes: 0.000 e9", "rows                   6146"});
  expect(
      "rmt-train --model perceptron --data-dir data --img-size 32 -b 8 --epochs 1 "
      "--experiment run",
      0, {"epoch 1/1"});
  expect("rmt-eval output/run", 0, {"perceptron, 2 classes", "on data: top-1"});
  expect("rmt-classify output/run data/val/dark/0.jpg", 0, {"dark"});
  expect("rmt-convert output/run hub", 0, {"perceptron, 2 classes", "2 tensors in f32"});
  expect("rmt-info --model perceptron --no-decay", 1, {"--no-decay: perceptron has no such part"});
}

}  // namespace rmt::test

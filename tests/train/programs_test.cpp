// The programs as a user runs them: exit status, what they print, what they leave. BIN is their
// folder (tests/run.sh is given it by the Makefile).
#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/check_op.h"
#include "tests/examples/programs.h"
#include "tests/train/small_images.h"
#include "tests/train/weights/pth_writer.h"
#include "train/weights/safetensors.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace fs = std::filesystem;

TEST_F(Programs, HelpShowsFlagsAndDefaults) {
  for (const char* name : {"rmt-train", "rmt-eval", "rmt-classify", "rmt-info", "rmt-convert",
                           "rmt-curves", "rmt-bench"})
    expect(str(name, " --help"), 0, {"Usage: " + std::string(name), "--help"});
  expect("rmt-train --help", 0,
         {"--data-dir,--data-path", "--batch-size INT=128", "--epochs INT=300",
          "--smoothing FLOAT=0.1", "--img-size"});
}

TEST_F(Programs, WrongUsageIsStatus2AndNamesTheNearestFlag) {
  expect("rmt-train --epoch 3", 2, {"rmt-train: ", "--epoch", "did you mean --epochs?"});
  expect("rmt-train --batchsize=3", 2, {"did you mean --batch-size?"});
  expect("rmt-train --epochs three", 2, {"--epochs", "three"});
  expect("rmt-eval", 2, {"checkpoint is required"});
  expect("rmt-bench --mode dance", 2, {"--mode", "train"});
}

TEST_F(Programs, BadInputIsStatus1NamesTheThingAndLeavesNothing) {
  draw_small_images(data);
  fs::create_directories(folder / "empty/train");
  std::ofstream(folder / "bad.safetensors") << "{}";
  expect("rmt-train --data-dir absent", 1, {"rmt-train: ", "absent"});
  expect("rmt-train --data-dir empty", 1, {"empty/train"});
  expect("rmt-train --data-dir data --model rmt_x", 1,
         {"rmt_x", "rmt_n, rmt_t, rmt_s, rmt_b, rmt_l"});
  expect("rmt-train --data-dir data --img-size 31", 1, {"--img-size 31", "32"});
  expect("rmt-train --data-dir data --model rmt_n --decomposed 11", 1,
         {"--decomposed 11", "4 stages"});
  expect("rmt-train --data-dir data --model rmt_n --scale 2 1", 1, {"scale"});
  expect("rmt-train --data-dir data --img-size 32 -b 25 --model rmt_n", 1,
         {"24 images", "batch of 25"});
  expect("rmt-train --resume absent.safetensors", 1, {"absent.safetensors", "No such file"});
  expect("rmt-train --resume bad.safetensors", 1,
         {"bad.safetensors", "not a valid safetensors file"});
  expect("rmt-eval bad.safetensors", 1, {"bad.safetensors", "not a valid safetensors file"});
  expect("rmt-classify --checkpoint bad.safetensors", 1, {"give images"});
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"bad.safetensors", "data", "empty"}))
      << "something was left behind";
}

TEST_F(Programs, TrainResumeEvaluateClassify) {
  draw_small_images(data);
  const std::string flags =
      "rmt-train --data-dir data --model rmt_n --img-size 32 -b 8 --validation-batch-size 4 "
      "--experiment run --lr 1e-3 --warmup-epochs 0 --scale 0.5 1 --mean "
      "0.5 0.5 0.5 -j 1";
  expect(flags + " --epochs 1", 0,
         {"rmt_n, ", " parameters; data: 2 classes, 24 + 8 images", "run folder output/run",
          "epoch 1/1"});
  for (const char* name : {"args.json", "log.jsonl", "last.safetensors", "best.safetensors"})
    EXPECT_TRUE(fs::exists(folder / "output/run/" + name)) << name;
  expect(flags + " --epochs 1", 1, {"output/run: exists", "--resume"});
  expect("rmt-train --resume output/run --epochs 2", 0, {"epoch 2/2"});
  expect("rmt-train --resume output/run", 0, {"all 2 epochs are done"});
  expect("rmt-train --resume output/run/best.safetensors", 1,
         {"without the state of its training", "last.safetensors"});
  expect(
      "rmt-train --resume output/run --model rmt_t", 1,
      {"does not fit the model", "patch_embed.proj.0.weight", "holds rmt_n, this model is rmt_t"});

  expect("rmt-eval output/run", 0, {"rmt_n at 32 px on data", "top-1", "8 images"});
  expect("rmt-eval output/run/last.safetensors --data-dir data -b 3", 0, {"8 images"});
  expect("rmt-classify output/run data/val/dark/0.jpg", 0,
         {"data/val/dark/0.jpg", " %  dark", " %  light"});
  std::ofstream(folder / "text.jpg") << "no image";
  expect("rmt-classify --checkpoint output/run text.jpg data/val/dark/0.jpg", 1,
         {"text.jpg", " %  light"});
}

TEST_F(Programs, RecipesAndTheScheduleTheyDescribe) {
  // No data is needed.
  Result r = run("rmt-train --recipe official --data-dir absent --print-schedule");
  EXPECT_EQ(r.status, 0);
  EXPECT_EQ(r.text.rfind("0 1e-06\n1 1e-06\n2 0.0004008\n3 0.0008006\n", 0), 0u) << r.text;
  EXPECT_EQ(std::count(r.text.begin(), r.text.end(), '\n'), 300);
  // Flags win over the recipe, wherever they stand.
  r = run("rmt-train --recipe official --epochs 310 --lr 1 --warmup-epochs 0 --print-schedule");
  EXPECT_EQ(std::count(r.text.begin(), r.text.end(), '\n'), 310);
  EXPECT_EQ(r.text.rfind("0 1\n", 0), 0u) << r.text;
  expect("rmt-train --recipe offical", 1, {"--recipe offical", "did you mean official?"});
  expect("rmt-train --recipe official --warmup-epochs 301 --print-schedule", 1,
         {"--warmup-epochs 301", "--epochs 300"});
  expect("rmt-train --recipe official -b 33 --print-schedule", 1, {"--batch-size 33 is odd"});
  expect("rmt-train --freze body", 2, {"did you mean --freeze?"});
  EXPECT_EQ(folder.names(), (std::vector<std::string>{}));
}

TEST_F(Programs, FineTuneFromARunToOtherClasses) {
  draw_small_images(data);
  const std::string flags = " --img-size 32 -b 12 -j 1 --warmup-epochs 0 --experiment ";
  expect("rmt-train --data-dir data --model rmt_n --epochs 1" + flags + "old", 0,
         {"weight decay", "0.05", "matrices and filters"});
  fs::create_directories(folder / "other");
  fs::copy(data, folder / "other", fs::copy_options::recursive);
  for (const char* split : {"train", "val"}) {
    const std::string root = folder / str("other/", split);
    fs::rename(root + "/dark", root + "/dim");
    fs::copy(root + "/light", root + "/pale", fs::copy_options::recursive);
  }
  const std::string tune =
      "rmt-train --data-dir other --epochs 1 --lr 1e-3 --initial-checkpoint output/old" + flags;
  expect(tune + "new --freeze body", 0,
         {"starting from output/old/best.safetensors: rmt_n", "head: 2 -> 3 classes, made anew",
          "frozen", "other: 3 classes"});
  const Archive before = read_safetensors(folder / "output/old/best.safetensors"),
                after = read_safetensors(folder / "output/new/best.safetensors");
  for (const auto& [name, x] : before.tensors)
    EXPECT_TRUE(name.starts_with("head.") ||
                std::memcmp(x.raw(), after.at(name).raw(), x.nbytes()) == 0)
        << name;
  EXPECT_EQ(after.at("head.weight").dim(0), 3);
  expect("rmt-train --resume output/new --epochs 2", 0, {"frozen", "epoch 2/2"});
  expect("rmt-train --resume output/new --initial-checkpoint output/old", 1,
         {"--initial-checkpoint", "--resume"});
  expect("rmt-train --resume output/new --recipe finetune", 1, {"--recipe finetune", "--resume"});
  expect(tune + "x --freeze bodi", 1, {"--freeze bodi", "did you mean body?"});
  expect(tune + "x --model rmt_t", 1, {"does not fit the model", "patch_embed.proj.0.weight"});
  expect("rmt-train --data-dir other --epochs 1 --freeze body" + flags + "x", 1,
         {"--freeze body", "--initial-checkpoint"});
  EXPECT_FALSE(fs::exists(folder / "output/x"));
  expect("rmt-info output/new --groups", 0, {"How they learn", "frozen"});
}

TEST_F(Programs, ClassifyTakesTensorsAndGivesLogits) {
  draw_small_images(data);
  ASSERT_EQ(
      run("rmt-train --data-dir data --model rmt_n --img-size 32 -b 24 --epochs 1 --experiment run")
          .status,
      0);
  Archive in;
  in.tensors["input"] = randn({2, 33, 47, 3}).to(DType::f32);
  in.tensors["other"] = Tensor::zeros({1});
  write_safetensors(folder / "in.safetensors", in);
  expect(
      "rmt-classify --checkpoint output/run --tensor in.safetensors --output-tensor "
      "out.safetensors",
      0, {});
  EXPECT_EQ(read_safetensors(folder / "out.safetensors").at("logits").shape(), (Shape{2, 2}));
  in.tensors["input"] = Tensor::zeros({2, 3, 33, 47});
  write_safetensors(folder / "in.safetensors", in);
  expect(
      "rmt-classify --checkpoint output/run --tensor in.safetensors --output-tensor "
      "out.safetensors",
      1, {"(2, 3, 33, 47)", "(B, H, W, 3)"});
}

TEST_F(Programs, WhereItCannotComputeItNamesTheFlagAndTheRemedy) {
  draw_small_images(data);
  const std::string train = "rmt-train --data-dir data --model rmt_n --img-size 32 -b 8 ";
  Result r = run(train + "--epochs 1 --experiment run");
  ASSERT_EQ(r.status, 0) << r.text;
  const std::vector<std::string> programs = {train, "rmt-eval output/run ",
                                             "rmt-classify output/run data/val/dark/0.jpg ",
                                             "rmt-bench --model rmt_n --size 32 "};
  for (const std::string& program : programs) {
    expect(program + "--device nonsense", 1,
           {"--device nonsense", "auto, cpu, cuda, cuda:N", "emulated"});
    expect(program + "--device cuda:1x", 1, {"--device cuda:1x", "auto, cpu, cuda, cuda:N"});
    expect(program + "--device cpu --amp bf16", 1, {"--amp bf16", "on the CPU f32 is faster"});
    expect(program + "--amp fp16", 1, {"--amp fp16", "none", "bf16"});
#ifdef RMT_CUDA
    expect(program + "--device cuda:99", 1, {"--device cuda:99", "--device cpu"});
    expect(program + "--device emulated", 1, {"--device emulated", "without CUDA=1"});
#else
    for (const char* device : {"cuda", "cuda:0", "cuda:99"})
      expect(program + "--device " + device, 1,
             {str("--device ", device), "built without CUDA", "make CUDA=1", "--device emulated"});
#endif
  }
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"data", "output"}))
      << "something was left behind";
}

#ifndef RMT_CUDA
TEST_F(Programs, TheEmulatedDeviceGivesTheAnswersOfTheCpu) {
  draw_small_images(data);
  const std::string train =
      "rmt-train --data-dir data --model rmt_n --img-size 32 -b 12 --lr 1e-3 --warmup-epochs 0 "
      "--scale 0.5 1 --experiment run ";
  expect(train + "--epochs 2 --device emulated", 0, {"rmt emulated device, f32", "epoch 2/2"});
  expect("rmt-train --resume output/run --epochs 3 --device cpu", 0, {"epoch 3/3"});

  auto loss =
      [&](const std::string& device) {  // the top-1 may turn on a rounding, the loss may not
        const Result r = run("rmt-eval output/run --device " + device);
        const size_t at = r.text.find("loss ");
        EXPECT_TRUE(r.status == 0 && at != std::string::npos) << r.text;
        return at == std::string::npos ? NAN : std::stod(r.text.substr(at + 5));
      };
  EXPECT_NEAR(loss("emulated"), loss("cpu"), 1.01e-4) << "printed with four decimals";

  Archive in;
  in.tensors["input"] = randn({2, 33, 47, 3}).to(DType::f32);
  write_safetensors(folder / "in.safetensors", in);
  for (const std::string& flags : std::vector<std::string>{"--device cpu", "--device emulated",
                                                           "--device emulated --amp bf16"}) {
    expect(
        "rmt-classify --checkpoint output/run --tensor in.safetensors --output-tensor "
        "out.safetensors " +
            flags,
        0, {});
    const Tensor logits = read_safetensors(folder / "out.safetensors").at("logits");
    if (flags == "--device cpu")
      in.tensors["logits"] = logits;
    else
      EXPECT_LE(relative_error(logits, in.at("logits")), flags.ends_with("bf16") ? 0.05 : 1e-5)
          << flags;
  }
  expect("rmt-classify output/run data/val/dark/0.jpg --device emulated", 0,
         {" %  dark", " %  light"});
  for (const char* mode : {"train", "infer"}) {
    const Result r =
        run(str("rmt-bench --model rmt_n --size 32 --batch 2 --iters 2 --warmup 2 --json --device "
                "emulated --mode ",
                mode));
    EXPECT_EQ(r.status, 0) << r.text;
    const auto line = nlohmann::json::parse(r.text, nullptr, false);
    ASSERT_TRUE(line.is_object()) << r.text;
    EXPECT_EQ(line["device"], "rmt emulated device");
    EXPECT_GT(line["peak_MiB"], 0);
  }
}
#endif

TEST_F(Programs, ConvertToAFileAndToAFolderForAHub) {
  draw_small_images(data);
  ASSERT_EQ(
      run("rmt-train --data-dir data --model rmt_n --img-size 32 -b 24 --epochs 1 --experiment run")
          .status,
      0);
  expect("rmt-convert output/run hub/cats", 0,
         {"rmt_n, 2 classes", "hub/cats: ", "config.json, README.md"});
  for (const char* name : {"model.safetensors", "config.json", "README.md"})
    EXPECT_TRUE(fs::exists(folder / str("hub/cats/", name))) << name;
  expect("rmt-convert output/run hub/cats", 1,
         {"rmt-convert: ", "model.safetensors", "not overwritten", "--force"});
  expect("rmt-convert output/run hub/cats --force", 0, {});
  EXPECT_EQ(run("rmt-classify hub/cats data/val/dark/0.jpg")
                .text.substr(std::string("hub/cats/model").size()),
            run("rmt-classify output/run data/val/dark/0.jpg")
                .text.substr(std::string("output/run/best").size()));

  Archive weights = read_safetensors(folder / "hub/cats/model.safetensors");
  std::ofstream(folder / "best.pth", std::ios::binary) << pth_of(weights);
  expect("rmt-classify best.pth data/val/dark/0.jpg --img-size 32 --top 1", 0,
         {"best.pth: rmt_n by its shapes, 2 classes; weights of \"model\"", "%  class "});
  expect("rmt-eval best.pth --data-dir data --img-size 32", 0,
         {"rmt_n by its shapes", "top-1", "8 images"});
  expect("rmt-info best.pth --img-size 64", 0,
         {"rmt_n by its shapes", "rmt_n at 64 x 64, 2 classes"});
  expect("rmt-info best.pth --model rmt_t", 1, {"--model does not go together with best.pth"});
  expect("rmt-convert best.pth back.safetensors", 0, {"back.safetensors: "});
  expect("rmt-convert best.pth back.safetensors", 1, {"back.safetensors: exists"});
  expect("rmt-convert best.pth x.safetensors --key model_ema", 1,
         {"no dictionary \"model_ema\"", "\"epoch\", \"model\""});
  Archive back = read_safetensors(folder / "back.safetensors");
  for (const auto& [name, x] : weights.tensors)
    EXPECT_EQ(std::memcmp(x.raw(), back.at(name).raw(), x.nbytes()), 0) << name;
}

TEST_F(Programs, BenchPrintsTheNamesOfTheRival) {
  for (const char* mode : {"train", "infer"}) {
    Result r = run(str(
        "rmt-bench --model rmt_n --size 32 --batch 2 --iters 2 --warmup 1 --json --mode ", mode));
    EXPECT_EQ(r.status, 0) << r.text;
    auto line = nlohmann::json::parse(r.text, nullptr, false);
    for (const char* name : {"model", "mode", "device", "threads", "batch", "size", "median_s",
                             "images_per_s", "spread", "peak_MiB", "warmup_s", "iters"})
      EXPECT_TRUE(line.contains(name)) << name << " is not in " << r.text;
  }
}

TEST_F(Programs, InfoCountsParametersAndMultiplyAdds) {  // nn/rmt/README.md, "The models"
  expect("rmt-info --model rmt_t", 0, {"14334216", "2.637", "0.275", "2.456"});
  expect("rmt-info --model rmt_l", 0, {"95464864", "19.488", "0.620", "18.150"});
}

TEST_F(Programs, ToursRun) {
  for (const char* name : {"tour_tensor", "tour_autograd", "tour_write_an_op"}) expect(name, 0, {});
}

TEST_F(Programs, CurvesOfSeveralRunsInOnePicture) {
  std::ofstream(folder / "a.jsonl") << "{\"epoch\":0,\"train_loss\":7,\"test_acc1\":1}\n{\"epoch\":"
                                       "2,\"train_loss\":6,\"test_acc1\":12.5}\n";
  std::ofstream(folder / "bad.jsonl")
      << "{\"epoch\":0,\"train_loss\":7,\"test_acc1\":1}\nnothing\n";
  expect("rmt-curves plain=a.jsonl 'the <others>=a.jsonl'", 0,
         {"plain: 2 epochs", "the <others>: 2 epochs"});
  std::ifstream in(folder / "curves.svg");
  const std::string svg(std::istreambuf_iterator<char>(in), {});
  for (const char* text : {"plain", "the &lt;others&gt;", "top-1 12.50 % (best 12.50, epoch 3)"})
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  expect("rmt-curves a.jsonl", 1, {"curves.svg", "exists", "--force"});
  expect("rmt-curves a.jsonl --force", 0, {"a.jsonl: 2 epochs"});
  expect("rmt-curves --out b.svg x=bad.jsonl", 1, {"bad.jsonl, line 2"});
  expect("rmt-curves --out b.svg x=absent", 1, {"absent", "No such file"});
  expect("rmt-curves --out b.svg", 2, {"logs is required"});
  EXPECT_FALSE(fs::exists(folder / "b.svg"));
}

TEST_F(Programs, EvalNamesItsWorstMistakes) {
  draw_small_images(data);
  ASSERT_EQ(run("rmt-train --data-dir data --model rmt_n --img-size 32 -b 8 --epochs 1 "
                "--warmup-epochs 0 --experiment run")
                .status,
            0);
  // The validation images change their places: whatever the model learned, it errs now, or erred
  // before.
  fs::rename(folder / "data/val/dark", folder / "data/val/x"),
      fs::rename(folder / "data/val/light", folder / "data/val/dark");
  fs::rename(folder / "data/val/x", folder / "data/val/light");
  const Result r = run("rmt-eval output/run --worst 3 --out worst.png --json");
  ASSERT_EQ(r.status, 0) << r.text;
  const size_t begin = r.text.find('{');
  const auto j = nlohmann::json::parse(r.text.substr(begin, r.text.find('\n', begin) - begin));
  EXPECT_EQ(j["images"], 8);
  const int64_t wrong = int64_t(std::lround(double(j["top1_err"]) * 8 / 100));
  EXPECT_EQ(fs::exists(folder / "worst.png"), wrong > 0) << r.text;
  int64_t named = 0;
  for (size_t at = 0; (at = r.text.find(" not ", at)) != std::string::npos; ++at) ++named;
  EXPECT_EQ(named, std::min<int64_t>(wrong, 3)) << r.text;
  std::ofstream(folder / "there.png") << "mine";
  expect("rmt-eval output/run --worst 3 --out there.png", 1, {"there.png", "exists", "--force"});
  expect("rmt-eval output/run --worst -1", 2, {"--worst"});
}

}  // namespace rmt::test

// rmt-seg and rmt-det: a run, the same run resumed, evaluated and used, and what it may start from.
#include "tests/examples/dense_programs.h"
#include <cstring>

#include "core/files/files.h"
#include "data/images/image.h"
#include "data/segmentation/label_image.h"
#include "tests/check_op.h"
#include "tests/train/small_images.h"
#include "train/dense_defaults.h"
#include "train/detection/detector_file.h"
#include "train/run/epoch_log.h"
#include "train/segmentation/segmenter_file.h"

namespace rmt::test {
namespace fs = std::filesystem;

namespace {

// The best epoch's score of this name, in per cent: that of the weights that are evaluated.
double best_of(const std::string& log, const std::string& of_best, const std::string& name) {
  double best = -1, value = -1;
  for (const train::EpochLog& e : train::read_log(log)) {
    double now = -1, asked = -1;
    for (const train::Score& s : e.test.scores) {
      if (s.name == of_best) now = s.value;
      if (s.name == name) asked = s.value;
    }
    if (now > best) best = now, value = asked;
  }
  return value;
}

// The tensors of a model and no word on what they are, as others publish them.
void write_without_metadata(const std::string& path, nn::Module& model) {
  model.init(5);
  train::Archive archive;
  for (const nn::Entry& e : model.state()) archive.tensors[e.name] = *e.tensor;
  train::write_safetensors(path, archive);
}

}  // namespace

TEST_F(DensePrograms, SegTrainsResumesEvaluatesAndPaints) {
  expect(seg + "--data-dir data --epochs 1 --experiment run", 0,
         {"rmt_n-semantic_fpn, ", "data: 3 classes, 6 + 2 images", "epoch 1/1", "mIoU",
          "rmt-seg eval output/run", "rmt-seg predict output/run photo.jpg"});
  expect("rmt-seg train --resume output/run --epochs 2", 0, {"epoch 2/2"});

  // Evaluation of the best weights gives what was logged of them; 1e-9 of per cents are doubles
  // that were printed.
  const auto j = json_of("rmt-seg eval output/run --json");
  ASSERT_EQ(j.size(), 1u);
  const std::string log = folder / "output/run/log.jsonl";
  for (const char* name : {"mIoU", "mAcc", "aAcc"})
    EXPECT_NEAR(100 * j[0].at(name).get<double>(), best_of(log, "mIoU", name), 1e-9) << name;
  EXPECT_EQ(j[0].at("images"), 2);
  EXPECT_EQ(j[0].at("per_class").at(2).at("class"), "ground");
  expect("rmt-seg eval output/run --per-class --split train", 0,
         {"mIoU", "(6 images", "% of pixels  class", "  red\n", "  ground\n"});

  const std::string predict =
      "rmt-seg predict output/run data/images/validation data/images/training/5.png --out out "
      "--grid grid.png";
  expect(predict, 0, {"data/images/validation/0.png -> out/0-painted.png", "out/5-painted.png"});
  for (const char* name : {"0", "1", "5"}) {
    const data::LabelImage labels =
        data::read_labels(folder / str("out/", name, ".png"), {.classes = 3});
    EXPECT_EQ(labels.width, 64);
    EXPECT_EQ(labels.height, 64);
    EXPECT_TRUE(fs::exists(folder / str("out/", name, "-painted.png")));
  }
  EXPECT_GT(data::read_image(folder / "grid.png").width, 2 * 64);
  expect(predict, 1, {"grid.png", "exists", "--force"});
  expect(predict + " --force", 0, {"out/0-painted.png"});
  // One that is no image does not keep the others from being painted.
  expect("rmt-seg predict output/run data/classes.txt data/images/training/4.png --out out", 1,
         {"rmt-seg predict: data/classes.txt: no image", "out/4-painted.png"});
}

TEST_F(DensePrograms, DetTrainsResumesEvaluatesAndDraws) {
  expect(det + "--head mask_rcnn --data-dir data --epochs 1 --experiment run", 0,
         {"rmt_n-mask_rcnn, ", "data: 2 classes, 6 + 2 images", "epoch 1/1", "box_AP", "mask_AP50",
          "rmt-det eval output/run", "rmt-det predict output/run photo.jpg"});
  expect("rmt-det train --resume output/run --epochs 2", 0, {"epoch 2/2"});

  const std::string eval = "rmt-det eval output/run --json --results found.json";
  const auto j = json_of(eval);
  ASSERT_EQ(j.size(), 2u);
  const std::string log = folder / "output/run/log.jsonl";
  for (int i : {0, 1}) {
    EXPECT_EQ(j[size_t(i)].at("of"), i == 0 ? "boxes" : "masks");
    EXPECT_NEAR(100 * j[size_t(i)].at("AP").get<double>(),
                best_of(log, "box_AP", i == 0 ? "box_AP" : "mask_AP"), 1e-9);
  }
  const auto found = nlohmann::json::parse(read_file(folder / "found.json", 1 << 24));
  ASSERT_FALSE(found.empty());
  for (const auto& d : found) {
    EXPECT_TRUE(d.at("category_id") == 3 || d.at("category_id") == 8) << d;
    EXPECT_TRUE(d.at("image_id") == 0 || d.at("image_id") == 1) << d;
  }
  expect(eval, 1, {"found.json", "exists", "--force"});
  expect("rmt-det eval output/run --per-class", 0, {"boxes", "masks", "  red ", "  green "});

  const std::string predict =
      "rmt-det predict output/run data/images/validation --score 0 --out out --grid grid.png";
  expect(predict, 0, {"data/images/validation/1.png: ", "1.png -> out/1.png"});
  EXPECT_EQ(data::read_image(folder / "out/0.png").width % 64, 0) << "small ones are enlarged";
  EXPECT_TRUE(fs::exists(folder / "grid.png"));
  expect(predict, 1, {"grid.png", "exists", "--force"});
  const auto drawn = json_of(predict + " --force --json");
  ASSERT_EQ(drawn.size(), 2u);
  EXPECT_EQ(drawn[0].at("image"), "data/images/validation/0.png");
  ASSERT_FALSE(drawn[0].at("objects").empty());
  EXPECT_EQ(drawn[0].at("objects").at(0).at("box").size(), 4u);
}

TEST_F(DensePrograms, StartFromAClassifierAndFromOtherClasses) {
  draw_small_images(folder / "photos");
  expect(
      "rmt-train --data-dir photos --model rmt_n --img-size 32 -b 8 --epochs 1 "
      "--warmup-epochs 0 --experiment photos",
      0, {});
  const std::string start = "--data-dir data --epochs 1 --initial-checkpoint output/";
  expect(seg + start + "photos --experiment seg", 0,
         {"photos/best.safetensors: the backbone", "parameters begin anew", "epoch 1/1"});
  expect(det + start + "photos --head retinanet --experiment det", 0,
         {"photos/best.safetensors: the backbone", "epoch 1/1"});
  expect("rmt-seg eval output/photos", 1, {"holds a classifier", "rmt-eval"});
  expect("rmt-eval output/seg", 1, {"output/seg/best.safetensors: ", "rmt-seg reads it"});
  expect("rmt-classify output/det photos/val/dark/0.jpg", 1, {"rmt-det reads it"});
  expect("rmt-seg train --resume output/photos", 1, {"a run of rmt-seg train but of rmt-train"});
  expect("rmt-seg train --resume output/det", 1, {"but of rmt-det train"});

  write_file(folder / "data/classes.txt", "red\ngreen\nground\nsky\n");
  expect(seg + start + "seg --experiment again", 0,
         {"seg/best.safetensors: the whole model", "4 classes", "epoch 1/1"});
  // Weights of the other task, of another backbone.
  expect(seg + start + "det --experiment none", 1, {"output/det", "rmt-det train"});
  expect(seg + start + "seg --model vit_n --experiment none", 1, {"vit_n"});
  EXPECT_FALSE(fs::exists(folder / "output/none"));
}

TEST_F(DensePrograms, ReadWeightsThatSayNothingOfThemselves) {
  const train::TrainOptions segmenter = train::dense_defaults("semantic_fpn", "rmt_n"),
                            detector = train::dense_defaults("retinanet", "rmt_n");
  write_without_metadata(folder / "seg.safetensors", *train::make_segmenter(segmenter, 3));
  write_without_metadata(folder / "det.safetensors", *train::make_detector(detector, 2));
  const std::string small = " --long-side 64 --short-side 64 --data-dir data",
                    is_seg = " --model rmt_n --head semantic_fpn",
                    is_det = " --model rmt_n --head retinanet";
  expect("rmt-seg eval seg.safetensors" + small, 1,
         {"seg.safetensors: does not say what it is", "--model", "--head"});
  expect("rmt-seg eval seg.safetensors" + is_seg + small + " --per-class", 0, {"mIoU", "ground"});
  expect("rmt-seg eval seg.safetensors" + is_seg, 1, {"does not say on which images"});
  expect("rmt-seg predict seg.safetensors data/images/validation/0.png --out out" + is_seg, 0,
         {"out/0-painted.png"});
  expect("rmt-seg eval seg.safetensors --model rmt_t --head semantic_fpn" + small, 1,
         {"seg.safetensors"});
  expect("rmt-seg eval seg.safetensors --model rmt_n --head retinanet" + small, 1,
         {"retinanet", "rmt-det"});
  expect("rmt-det eval det.safetensors" + is_det + small + " --per-class", 0, {"AP50", "green"});
  write_scenes(folder / "data", 6, 2);
  write_file(folder / "data/classes.txt", "red\nground\n");
  expect("rmt-seg eval seg.safetensors" + is_seg + small, 1, {"has 2 classes, the model 3"});
}

// Killed in the n-th of its calls that write (core/files/file_calls.h), with a checkpoint at every
// step, a run goes on to the weights of one that was not.
TEST_F(DensePrograms, KilledRunsGoOnToTheSameBits) {
  const std::string train =
      seg + "--data-dir data --epochs 2 --recovery-interval 1 --resume auto --experiment ";
  expect(train + "whole", 0, {});
  const auto whole = train::read_safetensors(folder / "output/whole/last.safetensors");
  for (int call : {1500, 3000, 5000}) {
    const std::string name = str("killed", call);
    const Result r = shell(str("RMT_FAULT=", call, ":kill \"$BIN\"/", train, name));
    EXPECT_EQ(r.status, 137) << r.text;
    expect(train + name, 0, {"epoch 2/2"});
    const auto killed = train::read_safetensors(folder / str("output/", name, "/last.safetensors"));
    ASSERT_EQ(killed.tensors.size(), whole.tensors.size());
    for (const auto& [key, x] : whole.tensors)
      EXPECT_EQ(std::memcmp(x.raw(), killed.at(key).raw(), x.nbytes()), 0) << call << " " << key;
  }
}

TEST_F(DensePrograms, SayWhatIsWrongWithTheirWords) {
  for (const std::string program : {"rmt-seg", "rmt-det"}) {
    for (const char* verb : {"train", "eval", "predict"})
      expect(program + " " + verb + " --help", 0, {program + " " + verb, "--threads"});
    expect(program + " --help", 0, {"usage: " + program + " train", program + " predict"});
    expect(program, 2, {"usage: " + program + " train"});
    expect(program + " trian", 2, {"there is no \"trian\"; did you mean train?"});
    expect(program + " --version", 0, {});
    expect(program + " eval", 2, {"checkpoint"});
    expect(program + " predict photo.jpg output/run", 2,
           {"\"photo.jpg\" is an image, and a checkpoint comes first"});
    expect(program + " eval data", 2, {"\"data\" is a folder without best.safetensors"});
    expect(program + " eval nothing", 1, {"nothing: cannot open"});
    expect(program + " train --data-dir nowhere --epochs 1", 1,
           {"data folder nowhere does not exist"});
    expect(program + " train --data-dir nowhere --epochs 3 --print-schedule", 0, {"\n2 "});
    expect(program + " train --mixup 0.5", 2, {"--mixup"});
    expect(program + " train --long-side 32 --short-side 64", 1, {"--short-side 64 is above"});
  }
  expect(seg + "--data-dir data --head retinanet", 1,
         {"--head retinanet is for rmt-det train", "semantic_fpn, upernet"});
  expect(det + "--data-dir data --head upernet", 1, {"--head upernet is for rmt-seg train"});
  expect(det + "--data-dir data --head yolo", 1, {"--head yolo is not known"});
  expect(seg + "--data-dir data -b 7", 1, {"6 images, fewer than one batch of 7", "--batch-size"});
  expect(seg + "--data-dir data --num-classes 2", 1, {"--num-classes 2", "has 3"});
  EXPECT_FALSE(fs::exists(folder / "output"));
}

}  // namespace rmt::test

// rmt-label, and training with what it makes: from a teacher to a student, and what may be wrong
// with label maps.
#include <fstream>

#include "tests/examples/programs.h"
#include "tests/train/small_images.h"

namespace rmt::test {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTeacher =
    "rmt-train --data-dir data --model rmt_n --img-size 32 -b 8 --epochs 1 --warmup-epochs 0 "
    "--experiment teacher";
constexpr const char* kStudent =
    "rmt-train --data-dir data --model rmt_n --img-size 64 -b 8 --warmup-epochs 0 --epochs 2 "
    "--token-label-data maps.rmtlabels ";

void flip_byte(const std::string& path, int64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = char(file.get() ^ 1);
  file.seekp(at);
  file.put(byte);
}

}  // namespace

TEST_F(Programs, LabelMakesMapsThatTrainAStudent) {
  draw_small_images(data);
  expect(kTeacher, 0, {"top-1"});
  expect("rmt-label output/teacher -o maps.rmtlabels --img-size 64 --top 2 -b 8 --picture maps.png",
         0,
         {"maps.rmtlabels: 24 maps of 2 x 2 cells", "at 64 px on 24 images",
          "0 images without a map"});
  EXPECT_GT(fs::file_size(folder / "maps.png"), 1000u);
  expect("rmt-label output/teacher -o maps.rmtlabels --top 2", 1, {"maps.rmtlabels", "--force"});

  expect(str(kStudent,
             "--experiment student --recipe token-labels --grad-accum-steps 1 "
             "--img-size 64 -b 8 --epochs 2 --warmup-epochs 0"),
         0, {"recipe token-labels:", "--epochs 310", "epoch 2/2", "rmt-eval output/student"});
  expect("rmt-eval output/student", 0, {"rmt_n at 64 px on data: top-1"});
  expect("rmt-info output/student", 0, {"2 classes"});
  expect("rmt-convert output/student student", 0, {});
  expect("rmt-eval student/model.safetensors --data-dir data", 0, {"top-1"});
  // The student can teach, and its weights start a run with token labels and one without.
  expect("rmt-label output/student -o again.rmtlabels --top 2", 0, {"24 maps"});
  expect(str(kStudent, "--experiment next --initial-checkpoint output/student"), 0,
         {"head: kept, the same 2 classes", "aux_head: kept, the same 2 classes"});
  expect(
      "rmt-train --data-dir data -b 8 --epochs 1 --warmup-epochs 0 --experiment plain "
      "--initial-checkpoint output/student",
      0, {"aux_head: left out"});
}

TEST_F(Programs, LabelMapsThatDoNotFitAreSaid) {
  draw_small_images(data);
  expect(kTeacher, 0, {"top-1"});
  expect("rmt-label output/teacher -o maps.rmtlabels --top 2", 0, {"24 maps"});
  expect("rmt-train --data-dir data --model rmt_n --recipe token-labels", 1,
         {"--recipe token-labels", "--token-label-data", "rmt-label"});
  expect(str(kStudent, "--mixup 0.8"), 1, {"--mixup 0.8", "MixToken"});
  expect(str(kStudent, "--img-size 80"), 1, {"--img-size 80", "multiple of 32"});
  expect(str(kStudent, "--model resnet_n"), 1, {"--token-head", "resnet_n"});
  expect("rmt-train --data-dir data --model rmt_n --token-label-data nowhere.rmtlabels", 1,
         {"nowhere.rmtlabels"});
  expect("rmt-label nowhere.safetensors -o x.rmtlabels", 1, {"nowhere.safetensors"});
  expect("rmt-label output/teacher -o y.rmtlabels --top 2 --data-dir nowhere", 1, {"nowhere"});
  expect("rmt-label output/teacher -o z.rmtlabels --top 3", 1, {"--top 3", "2 classes"});

  // Another image than those that were labelled, and a damaged map: bad images, named and counted.
  fs::copy(folder / "data/train/dark/1.jpg", folder / "data/train/dark/new.jpg");
  flip_byte(folder / "maps.rmtlabels", int64_t(fs::file_size(folder / "maps.rmtlabels")) - 3);
  expect(str(kStudent, "--experiment damaged"), 0,
         {"bad image, replaced by the next", "dark/new.jpg: has no label map in maps.rmtlabels",
          "checksum"});
  expect(str(kStudent, "--max-bad-images 0"), 1, {"could not be read"});

  // Of other classes.
  fs::rename(folder / "data/train/dark", folder / "data/train/dusk");
  fs::rename(folder / "data/val/dark", folder / "data/val/dusk");
  expect(kStudent, 1, {"maps.rmtlabels", "dark", "dusk"});
  // No label file at all.
  std::ofstream(folder / "maps.rmtlabels") << "nothing of the kind";
  expect(kStudent, 1, {"maps.rmtlabels"});
}

}  // namespace rmt::test

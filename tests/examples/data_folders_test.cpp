// Folders of images as users have them, before the programs: what is well today stays well, and
// what --val-split holds out stays held out.
#include <fstream>

#include "core/error.h"
#include "data/images/image.h"
#include "data/sets/splits.h"
#include "tests/examples/programs.h"

namespace rmt::test {
namespace {

namespace fs = std::filesystem;

using DataFolders = Programs;

struct Photo {
  std::string kind, bytes;
};

// A small file of each kind that cameras and editors write (tests/golden/pil_images.py).
std::vector<Photo> photos() {
  std::ifstream in("tests/golden/pil_images.txt");
  std::vector<Photo> all;
  std::string skipped, hex;
  for (Photo p; in >> p.kind >> skipped >> skipped >> skipped >> skipped >> skipped >> hex;) {
    p.bytes.clear();
    for (size_t i = 0; i + 1 < hex.size(); i += 2)
      p.bytes += char(std::stoi(hex.substr(i, 2), nullptr, 16));
    all.push_back(p);
  }
  return all;
}

void write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

const char* const kFlags =
    " --model rmt_n --img-size 32 -b 4 --lr 1e-3 --warmup-epochs 0 --epochs 1 -j 1 "
    "--max-bad-images 0 --experiment ";

}  // namespace

TEST_F(DataFolders, EveryKindOfImageUnderEveryKindOfNameIsReadAndTrainedOn) {
  const std::vector<Photo> all = photos();
  ASSERT_EQ(all.size(), 15u);
  const fs::path train = fs::path(data) / "train", val = fs::path(data) / "val";
  const char* const jpegs[] = {".jpg", ".JPG", ".jpeg", ".Jpeg", ".jfif", ".JPE"};
  for (size_t i = 0; i < all.size(); ++i) {  // grey, CMYK, alpha, 16 bits, palette, progressive
    const bool png = all[i].kind.starts_with("png");
    const std::string name = all[i].kind + (png ? i % 2 ? ".PNG" : ".png" : jpegs[i % 6]);
    write(train / "ein Hund" / name, all[i].bytes);
    write(val / "ein Hund" / name, all[i].bytes);
  }
  const std::string photo = all[0].bytes;
  write(train / "猫" / "tief" / "er" / "Mieze & Söhne (1).png", photo);  // nested, Unicode, blanks
  write(val / "猫" / "'quoted' $name.png", photo);
  write(train / "one" / "1.png", photo);  // a class of one image
  write(val / "one" / "1.png", photo);
  write(train / "one" / ".hidden.png", "no image");
  write(fs::path(folder.path()) / "elsewhere" / "1.png", photo);
  fs::create_directory_symlink(folder / "elsewhere", train / "linked folder");
  fs::create_directory(val / "linked folder");
  fs::create_symlink(folder / "elsewhere/1.png", val / "linked folder" / "1.png");
  expect("rmt-data check --data-dir data", 0,
         {"train: data/train: 18 images of 4 classes, 1 to 15 of each",
          "val: data/val: 18 images of 4 classes", "JPEG, CMYK: 1", "JPEG, grey: 1",
          "JPEG, progressive: 1", "PNG, palette: ", "PNG, alpha, 16 bits: 1",
          "every image can be read"});
  const Result r = run(str("rmt-train --data-dir data", kFlags, "run"));
  EXPECT_EQ(r.status, 0) << r.text;
  EXPECT_NE(r.text.find("4 classes, 18 + 18 images"), std::string::npos) << r.text;
  for (const char* wrong : {"note:", "bad image", "warning"})
    EXPECT_EQ(r.text.find(wrong), std::string::npos) << r.text;
}

TEST_F(DataFolders, WhatIsNotReadIsNamedByACheckAndByARun) {
  for (const char* name : {"train/cat/1.png", "train/cat/2.png", "train/dog/1.png",
                           "train/dog/2.png", "Test/cat/3.png", "train/loose.png"})
    write(fs::path(data) / name, photos()[0].bytes);
  write(fs::path(data) / "train/dog/\033[31m.webp", "RIFF");
  write(fs::path(data) / "train/dog/list.txt", "");
  const std::string webp = "1 .webp (dog/\\x1b[31m.webp); ImageMagick's mogrify -format png *.webp";
  expect(str("rmt-train --data-dir data", kFlags, "run"), 0,
         {"data/train: 1 file is not read", webp, "1 image (loose.png) beside",
          "data/Test is used for validation", "no validation images of 1 of the 2 classes (dog)"});
  expect("rmt-data check --data-dir data", 0,
         {"2 files are not read", "1 .txt (dog/list.txt)", webp});
  expect("rmt-data check --data-dir data --json", 0,
         {"\"unread\": {\".txt\": 1, \".webp\": 1}, \"beside_class_folders\": 1"});
}

TEST_F(DataFolders, ClassFoldersAloneTrainResumeAndEvaluateOnTheSameFiles) {
  for (const char* name : {"cat", "dog"})
    for (int i = 0; i < 10; ++i)
      write(fs::path(data) / name / str(i, ".png"), photos()[size_t(i) % 9].bytes);
  expect("rmt-train --data-dir data", 1, {"has 2 class folders (cat, dog)", "--val-split 0.1"});
  const std::string train = str("rmt-train --data-dir data --val-split 0.2", kFlags);
  expect(train + "run", 0,
         {"2 classes, 16 + 4 images", "4 of the 20 images of data are held out for validation"});
  expect(train + "other --seed 7", 0, {"16 + 4 images"});
  expect("rmt-train --resume output/run --epochs 2", 0, {"16 + 4 images", "epoch 2/2"});
  expect("rmt-train --resume output/run --epochs 3 --val-split 0.5", 1, {"--force-resume"});
  expect("rmt-data check --data-dir data --val-split 0.2", 0,
         {"train: data: 16 images of 2 classes, 8 to 8 of each", "val: data: 4 images"});
  expect("rmt-data pack --data-dir data --val-split 0.2 --out packed --size 0", 0,
         {"packed/train: 16 images", "packed/val: 4 images"});
  expect("rmt-eval output/run", 0, {"4 images"});
  // A pack of what was held out holds the same images: the loss is the same to the last digit.
  const std::string of_folder = run("rmt-eval output/run --json").text,
                    of_pack = run("rmt-eval output/run --data-dir packed --json").text;
  const size_t loss = of_folder.find("\"loss\"");
  ASSERT_NE(loss, std::string::npos) << of_folder;
  const std::string number = of_folder.substr(loss, of_folder.find(',', loss) - loss);
  EXPECT_NE(of_pack.find(number), std::string::npos) << of_folder << of_pack;
  // A folder that was moved could be another one: all of it is evaluated, and a note says more.
  fs::rename(data, folder / "moved");
  expect("rmt-eval output/run --data-dir moved", 0,
         {"--val-split 0.2 takes the same", "20 images"});
  expect("rmt-eval output/run --data-dir moved --json --val-split 0.2", 0, {number});
  expect("rmt-eval output/run --data-dir packed --val-split 0.2", 1, {"has validation images"});
}

}  // namespace rmt::test

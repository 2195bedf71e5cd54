// What a run says of its images before it begins: each remark is made by a small folder, and not
// made by the same folder without the fault.
#include "data/sets/remarks.h"

#include "data/sets/check.h"
#include "data/sets/image_folder.h"
#include "tests/data/folder_maker.h"

namespace rmt {
namespace {

struct Remarks : testing::Test {
  TemporaryFolder folder;
  const std::vector<uint8_t> photo = encode_jpeg(test_image(64, 80), 80);
  void SetUp() override {
    for (const char* split : {"train", "val"})
      for (const char* name : {"cat/1.jpg", "cat/2.JPEG", "dog/1.jfif", "dog/2.JPE"})
        folder.write(str(split, "/", name), photo);
  }
  std::vector<std::string> on_run(int64_t img_size = 64, double val_split = 0) {
    const auto [train, val] = open_train_and_val(folder.path(), val_split);
    return remarks_on_run(*train, *val, img_size);
  }
  // The only remark.
  std::string one(int64_t img_size = 64, double val_split = 0) {
    const std::vector<std::string> lines = on_run(img_size, val_split);
    EXPECT_EQ(lines.size(), 1u);
    return lines.empty() ? "" : lines[0];
  }
};

}  // namespace

TEST_F(Remarks, ThereAreNoneOnAFolderInOrder) {
  EXPECT_EQ(on_run(), std::vector<std::string>{});
  EXPECT_EQ(open_dataset(folder.path(), "train")->image(3).height, 80);  // a .JPE
}

TEST_F(Remarks, FilesThatAreNotReadAreCountedAndNamed) {
  for (int i : {10, 9, 2, 7}) folder.write(str("train/cat/", i, ".webp"), "RIFF");
  folder.write("train/dog/a.HEIC", "");
  folder.write("train/dog/noname", photo);
  folder.write("train/dog/notes.txt", "");
  folder.write("train/dog/.hidden.webp", "");
  folder.write("train/LICENSE", "");  // beside the class folders: no picture
  EXPECT_EQ(one(), folder.path() +
                       "/train: 6 files are not read, only .jpg, .jpeg and .png are: "
                       "1 without an extension (dog/noname), 1 .heic (dog/a.HEIC), "
                       "4 .webp (cat/2.webp, cat/7.webp, cat/9.webp, ...); ImageMagick's mogrify "
                       "-format png *.heic *.webp converts; give files without an extension that "
                       "of their format");
  const auto data = open_dataset(folder.path(), "train");
  const std::vector<std::string> all = remarks_on_files(data->leftovers(), "x", true);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(contains(all[0], "7 files are not read"));
  EXPECT_TRUE(contains(all[0], "1 .txt (dog/notes.txt)"));
  const DataReport report = check_data(folder.path());
  EXPECT_EQ(report.splits[0].leftovers.unread.at(".webp").count, 4);
  EXPECT_EQ(report.splits[1].leftovers.unread.size(), 0u);
}

TEST_F(Remarks, ImagesBesideAndBelowTheClassFoldersAreNamed) {
  folder.write("train/loose.jpg", photo);
  EXPECT_TRUE(contains(one(), "1 image (loose.jpg) beside the class folders"));
  std::filesystem::remove(folder / "train/loose.jpg");
  folder.write("train/loose.webp", photo);
  EXPECT_TRUE(contains(one(), "1 file is not read, only .jpg, .jpeg and .png are: 1 .webp"));
  std::filesystem::remove(folder / "train/loose.webp");
  folder.write("train/pets/images/1.jpg", photo);  // one folder alone, as Tiny ImageNet's
  folder.write("val/pets/1.jpg", photo);
  EXPECT_EQ(on_run(), std::vector<std::string>{});
  folder.write("train/pets/others/1.jpg", photo);
  EXPECT_TRUE(contains(one(), "2 images (pets/images/1.jpg, pets/others/1.jpg) lie in folders of"));
}

TEST_F(Remarks, AClassFolderOfOtherFormatsIsAnErrorThatNamesThem) {
  folder.write("train/bird/1.webp", "RIFF");
  EXPECT_TRUE(contains(error_of([&] { on_run(); }),
                       "train/bird holds no images (.jpg .jpeg .png), but files like "
                       "bird/1.webp, which are not read"));
}

TEST_F(Remarks, AClassWithoutValidationImagesIsNamed) {
  folder.write("train/eel/1.jpg", photo);
  EXPECT_TRUE(contains(one(), "no validation images of 1 of the 3 classes (eel)"));
}

TEST_F(Remarks, WhereValidationImagesComeFromIsSaid) {
  std::filesystem::rename(folder / "val", folder / "Test");
  EXPECT_EQ(one(), folder / "Test is used for validation, as there is no val/");
  EXPECT_EQ(one(64, 0.5),
            "2 of the 4 images of " + folder.path() + "/train are held out for validation");
}

TEST_F(Remarks, SmallImagesAtALargeSizeNameTheFlag) {
  EXPECT_TRUE(contains(one(224), "a typical image has 64 pixels at its shorter side"));
  EXPECT_TRUE(contains(one(224), "; --img-size 64 shows"));
  EXPECT_EQ(on_run(96), std::vector<std::string>{}) << "somewhat larger is no mistake";
  folder.write("train/cat/1.jpg", "no image");  // is named when the loader meets it
  EXPECT_TRUE(contains(one(224), "; --img-size 64 shows"));
}

TEST_F(Remarks, ACheckTakesClassFoldersAloneAndASplit) {
  const DataReport alone = check_data(folder / "train");
  ASSERT_EQ(alone.splits.size(), 1u);
  EXPECT_EQ(alone.splits[0].split, "all");
  EXPECT_EQ(alone.splits[0].all(), 4);
  EXPECT_TRUE(contains(alone.remarks.back(), "--val-split 0.1"));
  const DataReport divided = check_data(folder / "train", {}, 0.5);
  ASSERT_EQ(divided.splits.size(), 2u);
  EXPECT_EQ(divided.splits[0].all() + divided.splits[1].all(), 4);
  EXPECT_TRUE(std::any_of(divided.duplicates.begin(), divided.duplicates.end(),
                          [](const Duplicate& d) { return d.leak; }))
      << "the same bytes in both parts are found";
}

}  // namespace rmt

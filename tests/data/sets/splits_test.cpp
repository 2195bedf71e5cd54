// Where the parts of a data folder are found, what an error says of a folder that is arranged
// otherwise, and what --val-split holds out.
#include "data/sets/splits.h"

#include <numeric>
#include <set>

#include "data/sets/image_folder.h"
#include "data/sets/pack.h"
#include "data/sets/subset.h"
#include "tests/data/folder_maker.h"

namespace rmt {
namespace {

namespace fs = std::filesystem;

std::set<std::string> names_of(const Dataset& data) {
  std::set<std::string> names;
  for (int64_t i = 0; i < data.size(); ++i) names.insert(short_name(data, i));
  return names;
}

void write_images(const TemporaryFolder& folder, const std::string& of, int64_t count) {
  for (int64_t i = 0; i < count; ++i) folder.write(str(of, "/", i, ".jpg"), "");
}

struct Splits : testing::Test {
  TemporaryFolder folder;
  std::string place(const std::string& split) {
    return open_dataset(folder.path(), split)->place();
  }
  std::string error(const std::string& split, double val_split = 0) {
    return error_of([&] { open_dataset(folder.path(), split, {}, val_split); });
  }
};

}  // namespace

TEST_F(Splits, CapitalsAndOtherNamesAreUnderstood) {
  folder.write("Train/a/1.jpg", "");
  folder.write("VALIDATION/a/1.jpg", "");
  folder.write("Test/a/1.jpg", "");
  EXPECT_EQ(place("train"), folder / "Train");
  EXPECT_EQ(place("val"), folder / "VALIDATION");
  EXPECT_EQ(place("test"), folder / "Test");
  folder.write("Valid/a/1.jpg", "");
  EXPECT_EQ(place("val"), folder / "VALIDATION") << "validation comes before valid";
  folder.write("val/a/1.jpg", "");
  folder.write("train/a/1.jpg", "");
  EXPECT_EQ(place("val"), folder / "val");
  EXPECT_EQ(place("train"), folder / "train");
}

TEST_F(Splits, TestStandsInForValOnlyWhereItHasLabels) {
  folder.write("train/a/1.jpg", "");
  folder.write("test/7.jpg", "");  // as ImageNet's
  EXPECT_FALSE(has_split(folder.path(), "val"));
  EXPECT_TRUE(contains(error("val"), "test/ has no class folders"));
  folder.write("test/a/1.jpg", "");
  EXPECT_TRUE(has_split(folder.path(), "val"));
  EXPECT_EQ(place("val"), folder / "test");
  folder.write("val/a/1.jpg", "");
  EXPECT_EQ(place("val"), folder / "val");
}

TEST_F(Splits, AnErrorSaysFirstWhatWasFound) {
  EXPECT_TRUE(contains(error("train"), " has no folder train/\nExpected one of"));
  folder.write("1.jpg", "");
  EXPECT_TRUE(contains(error("train"), "1 images lie directly in " + folder.path() + ": sort"));
  folder.write("pets/train/a/1.jpg", "");
  EXPECT_TRUE(contains(error("train"), folder / "pets looks like a data folder"));
  fs::remove_all(folder / "pets");
  folder.write("images/a/1.jpg", "");
  folder.write("images/b/1.jpg", "");
  EXPECT_TRUE(contains(error("train"), folder / "images looks like a data folder"));
  EXPECT_TRUE(contains(error("train", 0.1), folder / "images looks like a data folder"));
  folder.write("images/2.jpg", "");
  EXPECT_TRUE(contains(error("train", 0.1), "1 images lie directly in " + folder / "images:"));
  folder.write("more/1.jpg", "");
  folder.write("notes/readme.txt", "");
  EXPECT_TRUE(contains(error("val"), " has 2 class folders (images, more) and no train/: give "));
  EXPECT_TRUE(contains(error("test"), " has no test/\n"));
  folder.write("val/a/1.jpg", "");
  EXPECT_TRUE(contains(error("train"), " has val/ and no train/"));
  EXPECT_TRUE(contains(error("all"), " has val/, so these are not class folders alone"));
  EXPECT_TRUE(contains(error("train", 0.1), "has validation images, " + folder / "val: leave out"));
  fs::remove_all(folder / "val");
  folder.write("Train/a/1.jpg", "");
  EXPECT_TRUE(contains(error("val"), " has Train/ and no val/: give --val-split 0.1"));
}

TEST_F(Splits, FoldersForOtherTasksAreNoClasses) {
  for (const char* name : {"images/training/1.jpg", "images/validation/1.jpg",
                           "annotations/training/1.png", "annotations/validation/1.png"})
    folder.write(name, "");
  EXPECT_FALSE(has_split(folder.path(), "all"));
  EXPECT_TRUE(contains(error("train", 0.1), " has no folder train/\n"));
}

TEST_F(Splits, ATrainFolderThatIsNamedItselfSendsOneUp) {
  folder.write("Train/a/1.jpg", "");
  folder.write("Train/b/1.jpg", "");
  auto message = [&](const std::string& root) {
    return error_of([&] { open_dataset(root, "train"); });
  };
  EXPECT_TRUE(contains(message(folder / "Train"), " has 2 class folders (a, b) and no train/"));
  folder.write("val/a/1.jpg", "");
  for (const char* end : {"", "/", "//", "/."})
    EXPECT_TRUE(contains(message(folder / "Train" + end), ": name " + folder.path() + ", which"));
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  EXPECT_TRUE(contains(message("Train"), "is the train/ of a data folder: name ., which"));
  fs::current_path(before);
}

TEST_F(Splits, ClassFoldersAloneAreDividedByClass) {
  write_images(folder, "many", 30);
  write_images(folder, "few", 3);
  write_images(folder, "two", 2);
  write_images(folder, "one", 1);
  const auto all = open_dataset(folder.path(), "all");
  EXPECT_EQ(all->size(), 36);
  const auto [train, val] = open_train_and_val(folder.path(), 0.1);
  EXPECT_EQ(train->classes(), all->classes());
  auto count = [&](const Dataset& data, const char* name) {
    int64_t n = 0;
    for (int64_t i = 0; i < data.size(); ++i) n += data.classes()[size_t(data.label(i))] == name;
    return n;
  };
  EXPECT_EQ(count(*val, "many"), 3);
  EXPECT_EQ(count(*val, "few"), 1);
  EXPECT_EQ(count(*val, "two"), 1);
  EXPECT_EQ(count(*val, "one"), 0) << "its one image is trained on";
  std::set<std::string> both = names_of(*train);
  both.merge(names_of(*val));
  EXPECT_EQ(both.size(), 36u);
  EXPECT_EQ(train->size() + val->size(), 36);
  for (const char* split : {"train", "val"})
    EXPECT_EQ(names_of(*open_dataset(folder.path(), split, {}, 0.1)),
              names_of(split[0] == 't' ? *train : *val));
  const auto most = open_dataset(folder.path(), "train", {}, 0.9);
  EXPECT_EQ(count(*most, "two"), 1) << "a class is never held out whole";
}

TEST_F(Splits, TheSameFilesAreHeldOutWhereverTheFolderLies) {
  folder.write("here/a.txt", "");
  write_images(folder, "here/train/a", 40);
  write_images(folder, "here/train/b", 40);
  const std::set<std::string> held = names_of(*open_dataset(folder / "here", "val", {}, 0.2));
  EXPECT_EQ(held.size(), 16u);
  fs::rename(folder / "here/train", folder / "alone");  // another root, and class folders alone
  EXPECT_EQ(names_of(*open_dataset(folder / "alone", "val", {}, 0.2)), held);
  // These are written down: on any machine, today and in ten years, it must be these.
  const std::set<std::string> of_a = {"a/7.jpg",  "a/17.jpg", "a/18.jpg", "a/22.jpg",
                                      "a/25.jpg", "a/29.jpg", "a/37.jpg", "a/39.jpg"};
  for (const std::string& name : of_a) EXPECT_TRUE(held.contains(name)) << name;
  // An image that is added changes the choice by itself at most.
  folder.write("alone/a/new.jpg", "");
  std::set<std::string> after = names_of(*open_dataset(folder / "alone", "val", {}, 0.2)), kept;
  std::set_intersection(held.begin(), held.end(), after.begin(), after.end(),
                        std::inserter(kept, kept.end()));
  EXPECT_GE(kept.size(), held.size() - 1);
}

TEST_F(Splits, APackIsDividedAsItsFolder) {
  for (int i = 0; i < 12; ++i)
    folder.write(str("train/a/", i, ".jpg"), encode_jpeg(test_image(8, 8, i), 80));
  pack_dataset(ImageFolder(folder.path(), "train"), folder / "packed", "train", {.size = 0});
  EXPECT_EQ(names_of(*open_dataset(folder / "packed", "val", {}, 0.25)),
            names_of(*open_dataset(folder.path(), "val", {}, 0.25)));
}

TEST_F(Splits, NothingToHoldOutIsAnError) {
  folder.write("train/a/1.jpg", "");
  EXPECT_TRUE(contains(error("val", 0.5), "no class has two images"));
  EXPECT_TRUE(contains(error("val", 1), "--val-split 1 is not a part of the images"));
}

}  // namespace rmt

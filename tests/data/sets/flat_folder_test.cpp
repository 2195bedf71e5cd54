#include "data/sets/flat_folder.h"

#include "data/sets/class_names.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;
namespace fs = std::filesystem;

namespace {

struct FlatFolderTest : testing::Test {
  TemporaryFolder folder;
  const std::vector<std::string> known = {"n01440764", "n01751748", "n03995372"};
  void images(const std::string& below = "val/") {
    for (int i : {1, 2, 3})
      folder.write(str(below, "ILSVRC2012_val_0000000", i, ".JPEG"),
                   encode_jpeg(test_image(9, 9, i), 80));
  }
  std::string message(const std::vector<std::string>& classes) {
    return error_of([&] { open_dataset(folder.path(), "val", classes); });
  }
  void expect_labels(const std::vector<int64_t>& expected) {
    const auto data = open_dataset(folder.path(), "val", known);
    ASSERT_EQ(data->size(), int64_t(expected.size()));
    for (int64_t i = 0; i < data->size(); ++i) EXPECT_EQ(data->label(i), expected[size_t(i)]) << i;
    EXPECT_EQ(data->classes(), known);
  }
};

}  // namespace

TEST_F(FlatFolderTest, KagglesSolution) {
  images();
  folder.write(
      "LOC_val_solution.csv",
      "ImageId,PredictionString\nILSVRC2012_val_00000003,n03995372 85 1 499 272 n03995372 1 2 3 "
      "4\nILSVRC2012_val_00000001,n01751748 1 2 3 4 \n"
      "ILSVRC2012_val_00000002,n01440764 5 6 7 8\nILSVRC2012_val_00000999,n01440764 5 6 7 8\n");
  expect_labels({1, 0, 2});
  const auto data = open_dataset(folder.path(), "val");
  EXPECT_EQ(data->name(0), folder / "val/ILSVRC2012_val_00000001.JPEG");
  EXPECT_EQ(data->classes(), known);  // the list's, in order
  EXPECT_EQ(data->image(0).width, 9);
}

TEST_F(FlatFolderTest, TinyImageNetsAnnotations) {
  for (int i : {0, 2, 10})
    folder.write(str("val/images/val_", i, ".JPEG"), encode_jpeg(test_image(9, 9, i), 80));
  folder.write("val/val_annotations.txt",
               "val_0.JPEG\tn03995372\t0\t32\t44\t62\nval_10.JPEG\tn01440764\t1\t2\t3\t4\nval_2."
               "JPEG\tn01751748\t1\t2\t3\t4\n");
  expect_labels({2, 1, 0});  // val_2 comes before val_10
}

TEST_F(FlatFolderTest, PlainLists) {
  images("validation/");
  folder.write("validation/val.txt",
               "ILSVRC2012_val_00000001.JPEG n03995372\r\nILSVRC2012_val_00000002.JPEG "
               "n03995372\nILSVRC2012_val_00000003 n01440764\n");
  expect_labels({2, 2, 0});
  folder.write("validation/val_labels.txt",
               "ILSVRC2012_val_00000001.JPEG,n01440764\nILSVRC2012_val_00000002.JPEG,n03995372\n");
  EXPECT_TRUE(
      contains(message(known), "ILSVRC2012_val_00000003.JPEG: " +
                                   folder / "validation/val_labels.txt does not name its class"));
}

TEST_F(FlatFolderTest, UnknownClassesComeFromTheListInNaturalOrder) {
  std::string list;
  std::vector<std::string> expected;
  for (int i = 1; i <= 24; ++i) {
    folder.write(str("val/", i, ".jpg"), "");
    list += str(i, ".jpg class", (i * 5) % 12 + 1, "\n");
  }
  for (int k = 1; k <= 12; ++k) expected.push_back(str("class", k));
  folder.write("val.txt", list);
  const auto data = open_dataset(folder.path(), "val");
  EXPECT_EQ(data->classes(), expected);
  for (int i = 1; i <= 24; ++i) EXPECT_EQ(data->label(i - 1), (i * 5) % 12);
}

TEST_F(FlatFolderTest, ListsByLine) {
  images();
  folder.write("imagenet_2012_validation_synset_labels.txt", "n01751748\nn03995372\nn01440764\n");
  expect_labels({1, 2, 0});
}

TEST_F(FlatFolderTest, TheDevkitsNumbersNeedItsTable) {
  images();
  folder.write("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", "3\n1\n2\n");
  folder.write(
      "LOC_synset_mapping.txt",
      "n01440764 tench\nn01751748 sea snake\nn03995372 power drill\n");  // says nothing about the
                                                                         // devkit's order
  EXPECT_TRUE(contains(message(known), "map_clsloc.txt"));
  folder.write("ILSVRC2012_devkit_t12/data/map_clsloc.txt",
               "n03995372 1 power_drill\nn01440764 2 tench\nn01751748 3 sea_snake\n");
  expect_labels({1, 2, 0});
  folder.write("ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", "3\n4\n2\n");
  EXPECT_TRUE(contains(message(known), "line 2 says \"4\", a number that"));
  folder.write("ILSVRC2012_devkit_t12/data/map_clsloc.txt",
               "n03995372 1 power_drill\nn01440764 1 tench\n");
  EXPECT_TRUE(contains(message(known), "number 1 stands there twice"));
  folder.write("ILSVRC2012_devkit_t12/data/map_clsloc.txt", "n03995372 power_drill\n");
  EXPECT_TRUE(contains(message(known), "line 1 is not of the form"));
}

TEST_F(FlatFolderTest, WhatCannotBeResolvedIsRefused) {
  images();
  std::string text = message(known);
  EXPECT_TRUE(contains(text, "holds images but no class folders"));
  EXPECT_TRUE(contains(text, "LOC_val_solution.csv"));
  EXPECT_TRUE(contains(text, "<folder>/train/cat/1.jpg"));
  folder.write("val.txt", "ILSVRC2012_val_00000001.JPEG 65\n");
  EXPECT_TRUE(contains(message(known),
                       "the number 65, and nothing says in which order the classes are counted"));
  EXPECT_TRUE(contains(message({}), "the number 65"));
  folder.write("val.txt",
               "ILSVRC2012_val_00000001.JPEG n01440764\nILSVRC2012_val_00000001.JPEG n01751748\n");
  EXPECT_TRUE(contains(message(known), "line 2 names ILSVRC2012_val_00000001.JPEG a second time"));
  folder.write("val.txt", "ILSVRC2012_val_00000001.JPEG\n");
  EXPECT_TRUE(contains(message(known), "line 1 is not of the form"));
  folder.write("val.txt", "ILSVRC2012_val_00000001.JPEG \n");
  EXPECT_TRUE(contains(message(known), "line 1 names no class"));
  folder.write("val.txt", "ILSVRC2012_val_00000001.JPEG n00000000\n");
  EXPECT_TRUE(contains(
      message(known), "class n00000000 of " + folder / "val.txt is not among the 3 known classes"));
}

TEST(ClassNames, ComeFromTheFirstTable) {
  TemporaryFolder folder;
  EXPECT_EQ(find_class_table(folder.path()), "");
  folder.write("LOC_synset_mapping.txt",
               "n01440764 tench, Tinca tinca\r\nn01443537 goldfish\n\nalone\n");
  EXPECT_EQ(class_words({"n01443537", "n01440764", "cat", "alone"},
                        read_class_table(find_class_table(folder.path()))),
            (std::vector<std::string>{"goldfish", "tench, Tinca tinca", "cat", "alone"}));
  folder.write("words.tsv", "great dane\tGreat Dane\n");
  EXPECT_EQ(class_words({"great dane"}, read_class_table(find_class_table(folder.path()))),
            (std::vector<std::string>{"Great Dane"}));
  folder.write("words.tsv", "a\tx\na\ty\n");
  EXPECT_TRUE(contains(error_of([&] { read_class_table(folder / "words.tsv"); }),
                       "class a stands there twice"));
  folder.write("words.tsv", "a\tx\033[2J\n");
  EXPECT_TRUE(
      contains(error_of([&] { read_class_table(folder / "words.tsv"); }), "control characters"));
}

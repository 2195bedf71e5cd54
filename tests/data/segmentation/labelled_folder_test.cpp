#include "data/segmentation/labelled_folder.h"

#include <gtest/gtest.h>

#include "data/images/label_png.h"
#include "data/segmentation/class_list.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

namespace {

std::vector<uint8_t> labels(int64_t width, int64_t height, std::vector<uint8_t> numbers) {
  GreyImage image{width, height, {}};
  for (int64_t i = 0; i < width * height; ++i)
    image.values.push_back(numbers[size_t(i) % numbers.size()]);
  return encode_grey_png(image);
}

// Two images to train on, one to validate with, three classes.
void fill(const TemporaryFolder& folder) {
  folder.write("images/training/b2.jpg", encode_jpeg(test_image(20, 10), 90));
  folder.write("images/training/b10.png", encode_png(test_image(8, 8, 1)));
  folder.write("images/training/.hidden.jpg", std::string("x"));
  folder.write("images/training/notes.txt", std::string("x"));
  folder.write("images/validation/c.jpg", encode_jpeg(test_image(9, 7, 2), 90));
  folder.write("annotations/training/b2.png", labels(20, 10, {0, 1, 3, 255}));
  folder.write("annotations/training/b10.png", labels(8, 8, {2}));
  folder.write("annotations/validation/c.png", labels(9, 7, {1, 2}));
}

}  // namespace

TEST(LabelledFolder, PairsPhotographsWithLabelFiles) {
  const TemporaryFolder folder;
  fill(folder);
  folder.write("classes.txt", std::string("sky\nroad, street\ntree \n\n"));
  const LabelledFolder set(folder.path(), "train");
  ASSERT_EQ(set.size(), 2);
  EXPECT_EQ(set.classes(), (std::vector<std::string>{"sky", "road, street", "tree"}));
  EXPECT_EQ(set.place(), folder / "images/training");
  EXPECT_EQ(set.name(0), folder / "images/training/b2.jpg");  // in natural order
  EXPECT_EQ(set.name(1), folder / "images/training/b10.png");
  EXPECT_EQ(set.label_name(1), folder / "annotations/training/b10.png");
  EXPECT_EQ(set.image_size(0), (std::array<int64_t, 2>{20, 10}));

  const Example e = set.example(0);
  EXPECT_EQ(e.image.width, 20);
  EXPECT_EQ(e.labels.height, 10);
  for (size_t i = 0; i < 200; ++i)  // 0 and 255 are unlabelled, k is class k - 1
    ASSERT_EQ(e.labels.labels[i], (std::array<uint8_t, 4>{255, 0, 2, 255})[i % 4]);
  EXPECT_EQ(set.example(1).image.rgb, test_image(8, 8, 1).rgb);

  const LabelledFolder val(folder.path(), "val", {}, set.classes());
  EXPECT_EQ(val.size(), 1);
  EXPECT_EQ(val.place(), folder / "images/validation");
}

TEST(LabelledFolder, NumbersOfClassesMayBeginAtZero) {
  const TemporaryFolder folder;
  fill(folder);
  folder.write("classes.txt", std::string("nothing\nsky\nroad\ntree\n"));
  const LabelledFolder set(folder.path(), "train", {.zero_is_unlabelled = false});
  const Example e = set.example(0);
  for (size_t i = 0; i < 200; ++i)
    ASSERT_EQ(e.labels.labels[i], (std::array<uint8_t, 4>{0, 1, 3, 255})[i % 4]);
}

TEST(LabelledFolder, WithoutAListClassesAreTheNumbersOfTraining) {
  const TemporaryFolder folder;
  fill(folder);
  const std::vector<std::string> numbers = {"1", "2", "3"};
  EXPECT_EQ(LabelledFolder(folder.path(), "train").classes(), numbers);
  EXPECT_EQ(LabelledFolder(folder.path(), "val").classes(), numbers);
  EXPECT_EQ(LabelledFolder(folder.path(), "train", {.zero_is_unlabelled = false}).classes(),
            (std::vector<std::string>{"0", "1", "2", "3"}));
  EXPECT_EQ(LabelledFolder(folder.path(), "val", {}, {"a", "b"}).classes(),
            (std::vector<std::string>{"a", "b"}));
}

TEST(LabelledFolder, ReadsTheTableOfAde20k) {
  const TemporaryFolder folder;
  fill(folder);
  folder.write("objectInfo150.txt", std::string("Idx\tRatio\tTrain\tVal\tName\n"
                                                "1\t0.1576\t11664\t1172\twall\n"
                                                "2\t0.1072\t6046\t612\tbuilding, edifice\n"
                                                "3 \t0.0878\t8265\t796\tsky \n"));
  EXPECT_EQ(LabelledFolder(folder.path(), "train").classes(),
            (std::vector<std::string>{"wall", "building", "sky"}));
  const std::string path = folder.write("objectInfo150.txt", std::string("1\t5\twall\n3\t5\tsky"));
  const std::string error = error_of([&] { LabelledFolder(folder.path(), "train"); });
  EXPECT_EQ(error.find(path + ": the line of class 2 is \"3\\t5\\tsky\""), 0u) << error;
}

TEST(LabelledFolder, ListsOfClassesAreChecked) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& text, const std::string& what) {
    const std::string path = folder.write("classes.txt", text);
    const std::string error = error_of([&] { read_class_list(folder.path()); });
    EXPECT_EQ(error.find(path + ": "), 0u) << error;
    EXPECT_TRUE(contains(error, what));
  };
  refused("\n\n", "0 names");
  refused("a\n\nb\n", "class 2 of 3 is empty");
  refused("a\nb\x01\n", "class 2 of 2 contains control");
  std::string many;
  for (int i = 0; i < 256; ++i) many += "x\n";
  refused(many, "256 names");

  fill(folder);
  folder.write("classes.txt", std::string("a\nb\nc\n"));
  const std::string error = error_of([&] {
    LabelledFolder(folder.path(), "val", {}, {"a", "x", "c"});
  });
  EXPECT_TRUE(contains(error, "number 2 is \"b\" here and \"x\" there"));
}

TEST(LabelledFolder, SaysWhatIsMissing) {
  const TemporaryFolder folder;
  const auto says = [&](const std::string& what) {
    EXPECT_TRUE(contains(error_of([&] { LabelledFolder(folder.path(), "train"); }), what));
  };
  says("has no images/training and no images/train");
  folder.write("images/train/deeper/a.jpg", std::string("x"));
  says("has no annotations/training");
  folder.write("annotations/train/a.png", labels(4, 4, {1}));
  says("holds no images (.jpg .jpeg .png); those in folders below it are not looked for");
  folder.write("images/train/a.png", encode_png(test_image(4, 4)));
  folder.write("images/train/b.png", encode_png(test_image(4, 4)));
  folder.write("images/train/c.png", encode_png(test_image(4, 4)));
  says("images/train/b.png has no label file (.png) of the same name in " +
       (folder / "annotations/train") + ", nor have 1 others");
  std::filesystem::remove(folder / "images/train/b.png");
  std::filesystem::remove(folder / "images/train/c.png");
  folder.write("annotations/train/d.png", labels(4, 4, {1}));
  says("annotations/train/d.png has no image of the same name");
  std::filesystem::remove(folder / "annotations/train/d.png");
  folder.write("images/train/a.jpg", encode_jpeg(test_image(4, 4), 90));
  says("a.jpg and a.png have the same name but for its end");
  std::filesystem::remove(folder / "images/train/a.jpg");
  EXPECT_EQ(LabelledFolder(folder.path(), "train").size(), 1);
  EXPECT_TRUE(contains(error_of([&] { LabelledFolder(folder.path(), "test"); }), "\"test\""));
  folder.write("annotations/train/a.png", labels(4, 4, {0}));
  says("no pixel of 1 label files has a class");
}

TEST(LabelledFolder, NamesTheFileThatCannotBeUsed) {
  const TemporaryFolder folder;
  fill(folder);
  folder.write("classes.txt", std::string("sky\nroad\n"));
  {
    const LabelledFolder set(folder.path(), "train");
    const std::string error = error_of([&] { set.example(0); });  // class 3 of 2
    EXPECT_EQ(error.find(folder / "annotations/training/b2.png: the pixel in column 2, row 0 is 3"),
              0u)
        << error;
    EXPECT_TRUE(contains(error, "the 2 classes are the numbers 1 to 2"));
  }
  folder.write("annotations/training/b10.png", labels(8, 7, {2}));
  {
    const LabelledFolder set(folder.path(), "train");
    const std::string error = error_of([&] { set.example(1); });
    EXPECT_EQ(error.find(folder / "annotations/training/b10.png: 8 x 7 pixels, but its image "), 0u)
        << error;
  }
  folder.write("annotations/training/b10.png", encode_png(test_image(8, 8)));
  folder.write("annotations/training/b2.png", encode_png(test_image(20, 10)));
  const std::string error = error_of([&] { LabelledFolder(folder.path(), "train"); });
  EXPECT_EQ(error.find(folder / "annotations/training/b2.png: a PNG in colours"), 0u) << error;
  EXPECT_TRUE(contains(error, "(and 1 more label files)"));
}

TEST(LabelledFolder, AChecksumFollowsTheImageAndTheLabels) {
  const TemporaryFolder folder;
  fill(folder);
  const uint64_t before = LabelledFolder(folder.path(), "train").checksum(0);
  EXPECT_EQ(LabelledFolder(folder.path(), "train").checksum(0), before);
  EXPECT_NE(LabelledFolder(folder.path(), "train").checksum(1), before);
  folder.write("annotations/training/b2.png", labels(20, 10, {0, 1, 3, 2, 1, 1, 1}));
  const uint64_t after = LabelledFolder(folder.path(), "train").checksum(0);
  EXPECT_NE(after, before);
  folder.write("images/training/b2.jpg", encode_jpeg(test_image(20, 10), 40));
  EXPECT_NE(LabelledFolder(folder.path(), "train").checksum(0), after);
}

TEST(LabelImage, WhatIsWrittenIsRead) {
  const TemporaryFolder folder;
  const LabelImage labels{3, 2, {0, 1, 2, 255, 2, 0}};
  for (bool zero : {true, false}) {
    write_labels(folder / "x.png", labels, {3, zero});
    EXPECT_EQ(read_labels(folder / "x.png", {3, zero}).labels, labels.labels);
  }
  EXPECT_TRUE(contains(error_of([&] {
                         write_labels(folder / "x.png", labels, {2, true});
                       }),
                       "class 2 is not among 2"));
  EXPECT_THROW(check_label_rule({0, true}), Error);
  EXPECT_THROW(check_label_rule({255, true}), Error);
  EXPECT_NO_THROW(check_label_rule({255, false}));
}

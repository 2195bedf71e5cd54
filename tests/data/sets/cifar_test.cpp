#include "data/sets/cifar.h"

#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;

namespace {

// Records of a label (before it a coarse one, with `fine`) and an image whose pixel p of channel c
// is (7 p + 50 c + label) mod 256.
std::vector<uint8_t> records(const std::vector<int>& labels, bool fine) {
  std::vector<uint8_t> bytes;
  for (int label : labels) {
    if (fine) bytes.push_back(3);
    bytes.push_back(uint8_t(label));
    for (int c = 0; c < 3; ++c)
      for (int p = 0; p < 1024; ++p) bytes.push_back(uint8_t(7 * p + 50 * c + label));
  }
  return bytes;
}

std::string names(int n) {
  std::string text;
  for (int k = 0; k < n; ++k) text += str("class", k, "\n");
  return text + "\n";
}

void make_cifar10(const TemporaryFolder& folder, const std::string& below = "") {
  for (int k = 1; k <= 5; ++k)
    folder.write(str(below, "data_batch_", k, ".bin"), records({k, 9}, false));
  folder.write(below + "test_batch.bin", records({0, 1, 2}, false));
  folder.write(below + "batches.meta.txt", names(10));
}

}  // namespace

TEST(Cifar, ReadsBothSetsOfTen) {
  TemporaryFolder folder;
  make_cifar10(folder, "cifar-10-batches-bin/");
  const auto train = open_dataset(folder.path(), "train"), val = open_dataset(folder.path(), "val");
  EXPECT_EQ(open_dataset(folder.path(), "test")->size(), val->size());
  EXPECT_TRUE(contains(error_of([&] { open_dataset(folder.path(), "val", {}, 0.1); }),
                       "has validation images: leave out --val-split 0.1"));
  ASSERT_EQ(train->size(), 10);
  ASSERT_EQ(val->size(), 3);
  EXPECT_EQ(train->classes().size(), 10u);
  EXPECT_EQ(train->classes()[9], "class9");
  EXPECT_EQ(train->label(2), 2);
  EXPECT_EQ(train->label(3), 9);
  EXPECT_EQ(val->label(2), 2);
  EXPECT_EQ(train->name(3), folder / "cifar-10-batches-bin/data_batch_2.bin:1");
  const Image image = train->image(3);
  ASSERT_EQ(image.width, 32);
  ASSERT_EQ(image.height, 32);
  for (int p = 0; p < 1024; ++p)
    for (int c = 0; c < 3; ++c)
      ASSERT_EQ(image.rgb[size_t(3 * p + c)], uint8_t(7 * p + 50 * c + 9)) << p << " " << c;
}

TEST(Cifar, TakesTheFineLabelsOfTheHundred) {
  TemporaryFolder folder;
  folder.write("train.bin", records({99, 5}, true));
  folder.write("test.bin", records({7}, true));
  folder.write("fine_label_names.txt", names(100));
  const auto train = open_dataset(folder.path(), "train");
  ASSERT_EQ(train->size(), 2);
  EXPECT_EQ(train->label(0), 99);
  EXPECT_EQ(train->image(1).rgb[0], 5);
  EXPECT_EQ(open_dataset(folder.path(), "val", train->classes())->label(0), 7);
  EXPECT_TRUE(contains(error_of([&] { open_dataset(folder.path(), "val", {"cat"}); }),
                       "class class0 of " + folder.path()));
}

TEST(Cifar, BadFilesAreNamed) {
  TemporaryFolder folder;
  make_cifar10(folder);
  auto message = [&](const std::string& split = "train") {
    return error_of([&] { Cifar(folder.path(), split); });
  };
  folder.write("data_batch_4.bin", records({10}, false));
  EXPECT_TRUE(contains(
      message(), folder / "data_batch_4.bin: record 0 has label 10, and there are 10 classes"));
  folder.write("data_batch_4.bin", std::vector<uint8_t>(3072));
  EXPECT_TRUE(
      contains(message(),
               folder / "data_batch_4.bin: 3072 bytes are not a whole number of records of 3073"));
  folder.write("data_batch_4.bin", "");
  EXPECT_TRUE(contains(message(), "0 bytes are not"));
  std::filesystem::remove(folder / "data_batch_4.bin");
  EXPECT_TRUE(contains(message(), folder / "data_batch_4.bin: is missing"));
  EXPECT_EQ(Cifar(folder.path(), "val").size(), 3);
  folder.write("batches.meta.txt", names(9));
  EXPECT_TRUE(contains(message("val"), folder / "batches.meta.txt: holds 9 lines, expected 10"));
  std::filesystem::remove(folder / "batches.meta.txt");
  EXPECT_TRUE(contains(message("val"), "batches.meta.txt: is missing"));
}

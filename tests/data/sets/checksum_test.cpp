// A run that goes on knows its images again by Dataset::checksum: the same for the same images
// wherever they lie, another one for others, in every layout.
#include <gtest/gtest.h>

#include "data/dataset.h"
#include "data/sets/pack.h"
#include "tests/data/folder_maker.h"

namespace rmt::test {
namespace {

namespace fs = std::filesystem;

std::string sum_of(const std::string& root) { return checksum(*open_dataset(root, "train")); }

// Two classes of three files each.
void make_folder(const TemporaryFolder& folder) {
  for (int i = 0; i < 6; ++i)
    folder.write(str("set/train/", i < 3 ? "a" : "b", "/", i, ".jpg"),
                 encode_jpeg(test_image(12, 10, i), 80));
  folder.write("set/val/a/9.jpg", encode_jpeg(test_image(12, 10, 9), 80));
}

}  // namespace

TEST(Checksum, OfFoldersIsOfNamesSizesAndClasses) {
  TemporaryFolder folder;
  make_folder(folder);
  const std::string set = folder / "set", before = sum_of(set);
  EXPECT_EQ(before.size(), 16u);
  fs::rename(set, folder / "moved");
  EXPECT_EQ(sum_of(folder / "moved"), before);
  fs::rename(folder / "moved", set);

  fs::rename(set + "/train/a/1.jpg", set + "/train/a/1a.jpg");
  EXPECT_NE(sum_of(set), before) << "a new name in the same place";
  fs::rename(set + "/train/a/1a.jpg", set + "/train/a/1.jpg");
  fs::rename(set + "/train/a/2.jpg", set + "/train/b/2.jpg");
  EXPECT_NE(sum_of(set), before) << "another class";
  fs::rename(set + "/train/b/2.jpg", set + "/train/a/2.jpg");
  EXPECT_EQ(sum_of(set), before);
  fs::resize_file(set + "/train/a/2.jpg", fs::file_size(set + "/train/a/2.jpg") + 1);
  EXPECT_NE(sum_of(set), before) << "another size";
}

TEST(Checksum, OfRecordsIsOfTheirIndex) {
  TemporaryFolder folder;
  make_folder(folder);
  auto packed = [&](const std::string& to) {
    fs::create_directories(folder / to);
    pack_dataset(*open_dataset(folder / "set", "train"), folder / to, "train", {.size = 0});
    return sum_of(folder / to);
  };
  // What follows a JPEG's end is no part of its picture, and of its bytes.
  auto replace = [&](char last) {
    std::vector<uint8_t> bytes = encode_jpeg(test_image(12, 10, 0), 80);
    bytes.push_back(uint8_t(last));
    folder.write("set/train/a/0.jpg", bytes);
  };
  replace('a');
  const std::string before = packed("one"), folder_sum = sum_of(folder / "set");
  EXPECT_EQ(packed("two"), before);
  replace('b');
  EXPECT_EQ(sum_of(folder / "set"), folder_sum) << "a folder does not see it, the index does";
  EXPECT_NE(packed("three"), before);
}

TEST(Checksum, OfCifarIsOfItsPixels) {
  TemporaryFolder folder;
  std::string names, records;
  for (int k = 0; k < 10; ++k) names += str("class", k, "\n");
  for (int i = 0; i < 3; ++i) records += std::string(1, char(i)) + std::string(3072, char(i));
  folder.write("batches.meta.txt", names);
  for (int b = 1; b <= 5; ++b) folder.write(str("data_batch_", b, ".bin"), records);
  const std::string before = sum_of(folder.path());
  std::string other = records;
  other[2 * 3073 + 100] ^= 1;
  folder.write("data_batch_4.bin", other);
  EXPECT_NE(sum_of(folder.path()), before) << "a pixel";
  other = records;
  other[0] = 7;
  folder.write("data_batch_4.bin", other);
  EXPECT_NE(sum_of(folder.path()), before) << "a label";
  folder.write("data_batch_4.bin", records);
  EXPECT_EQ(sum_of(folder.path()), before);
}

}  // namespace rmt::test

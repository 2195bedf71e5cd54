#include "data/labels/label_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "core/files/files.h"
#include "core/files/little_endian.h"
#include "core/parallel.h"
#include "data/dataset.h"
#include "tests/data/folder_maker.h"
#include "tests/data/labels/some_maps.h"
#include "tests/memory_file.h"

namespace rmt::data::test {
namespace {

namespace fs = std::filesystem;

const std::string kGolden = "tests/golden/labels.rmtlabels";  // tests/golden/make_labels.py

std::vector<uint8_t> bytes_of(const std::string& path) { return read_bytes(path, 1 << 20); }

// A golden file in a folder of its own, to be damaged.
struct LabelFiles : testing::Test {
  TemporaryFolder folder;
  const std::string path = folder / "a.rmtlabels", partial = path + ".partial";
  const std::vector<uint8_t> golden = bytes_of(kGolden);
  const size_t record = 4 + 4 * 2 * 3 * 2, records_at = golden.size() - 3 * record;

  // Opens and reads everything: refused with a message that begins with the path, or the maps that
  // were written.
  bool refused(const std::vector<uint8_t>& bytes) {
    const rmt::test::MemoryFile damaged(bytes.data(), bytes.size());
    try {
      const LabelFile file(damaged.path());
      for (int64_t i : {0, 2}) {
        EXPECT_TRUE(same(file.of(kSomeNames[size_t(i)]), rounded(some_map(i))));
        EXPECT_TRUE(same(file.at(i), rounded(some_map(i))));
      }
      EXPECT_EQ(file.classes(), kSomeInfo.classes);
      EXPECT_EQ(file.teacher(), kSomeInfo.teacher);
      return false;
    } catch (const Error& e) {
      EXPECT_TRUE(std::string(e.what()).starts_with(damaged.path() + ": ")) << e.what();
      return true;
    }
  }
};

}  // namespace

TEST_F(LabelFiles, AreTheBytesThatTheFormatSays) {
  write_some(path);
  EXPECT_EQ(bytes_of(path), golden);
  EXPECT_FALSE(fs::exists(partial));
  EXPECT_FALSE(refused(golden));
}

TEST_F(LabelFiles, GiveEachImageItsMap) {
  const LabelFile file(kGolden);
  EXPECT_EQ(file.size(), 3);
  EXPECT_EQ(file.height(), 2);
  EXPECT_EQ(file.width(), 3);
  EXPECT_EQ(file.top(), 2);
  EXPECT_EQ(file.place(), kGolden);
  EXPECT_TRUE(same(file.of("dog/10.jpeg"), rounded(some_map(2))));
  EXPECT_EQ(error_of([&] { file.of("cat/1.jpg"); }),
            "cat/1.jpg: has no label map in " + kGolden +
                "; make labels of this data set with rmt-label");
  EXPECT_TRUE(contains(error_of([&] { file.of("bee/2.png"); }),
                       "bee/2.png: has no label map in " + kGolden + ": it could not be read"));
  EXPECT_TRUE(contains(error_of([&] { file.at(1); }), kGolden + ": record 1 has no map"));
  EXPECT_TRUE(contains(error_of([&] { file.at(3); }), kGolden + ": has no record 3"));
  EXPECT_TRUE(contains(error_of([&] { LabelFile(folder / "none"); }), folder / "none"));
}

// 49 cells of 5 logits and 5 classes of two bytes each, a CRC and a key: 992 bytes an image.
TEST_F(LabelFiles, TakeAThousandBytesAnImage) {
  LabelFileInfo info = kSomeInfo;
  info.height = info.width = 7, info.top = 5;
  info.classes.push_back("eel");
  std::vector<std::string> names;
  uint64_t bytes[2];
  for (size_t n : {10, 60}) {
    while (names.size() < n) names.push_back(str("ant/", names.size(), ".jpg"));
    write_some(path, info, names);
    bytes[n == 60] = fs::file_size(path);
  }
  EXPECT_EQ(bytes[1] - bytes[0], 50u * 992);
}

TEST_F(LabelFiles, AreReadByAnyNumberOfThreads) {
  std::vector<std::string> names;
  for (int i = 0; i < 100; ++i) names.push_back(str(i, ".png"));
  write_some(path, kSomeInfo, names);
  const LabelFile file(path);
  const int before = threads();
  set_threads(3);
  std::vector<uint8_t> right(100);
  parallel_for(100, 1, [&](int64_t i, int64_t) {
    right[size_t(i)] = i == 1 || same(file.of(names[size_t(i)]), rounded(some_map(i)));
  });
  set_threads(before);
  EXPECT_EQ(right, std::vector<uint8_t>(100, 1));
}

TEST_F(LabelFiles, EveryByteThatFlipsIsFound) {
  for (size_t at = 0; at < golden.size(); ++at) {
    // The record without a map is asked for by nobody.
    const bool unread = at >= records_at + record && at < records_at + 2 * record;
    for (uint8_t bits : {1, 128, 255}) {
      std::vector<uint8_t> bytes = golden;
      bytes[at] ^= bits;
      EXPECT_EQ(refused(bytes), !unread) << "byte " << at;
    }
  }
}

TEST_F(LabelFiles, EveryLengthButTheRightOneIsRefused) {
  for (size_t n = 0; n < golden.size(); ++n)
    EXPECT_TRUE(refused({golden.begin(), golden.begin() + std::ptrdiff_t(n)})) << n << " bytes";
  std::vector<uint8_t> longer = golden;
  longer.push_back(0);
  EXPECT_TRUE(refused(longer));
}

// Records that were exchanged are whole, and each is another image's.
TEST_F(LabelFiles, RecordsThatChangePlacesAreFound) {
  write_some(path);
  std::vector<uint8_t> bytes = bytes_of(path);
  EXPECT_FALSE(refused(bytes));
  const auto first = bytes.begin() + std::ptrdiff_t(records_at);
  std::swap_ranges(first, first + std::ptrdiff_t(record), first + std::ptrdiff_t(2 * record));
  EXPECT_TRUE(refused(bytes));
}

// What damage does not do but a writer with bad intentions: every checksum fits, and the fields
// lie.
TEST_F(LabelFiles, FieldsThatLieAreRefused) {
  auto attempt = [&](const std::string& expected, size_t at, uint64_t value, int size) {
    std::vector<uint8_t> bytes = golden;
    uint8_t* to = bytes.data() + at;
    put_number(to, value, size);
    // The tables are as long as the changed header says, where that fits.
    const uint8_t *texts = bytes.data() + 28, *images = bytes.data() + 32;
    const uint64_t tables = take_number(texts, 4) + 8 * take_number(images, 8);
    to = bytes.data() + 40;
    put_number(to, crc32c(bytes.data() + 48, tables < 200 ? tables : records_at - 48), 4);
    to = bytes.data() + 44;
    put_number(to, crc32c(bytes.data(), 44), 4);
    for (size_t i = 0; i < 3; ++i) {
      const uint8_t* key = bytes.data() + records_at - 24 + 8 * i;
      uint8_t* begin = bytes.data() + records_at + record * i;
      put_number(begin, crc32c(begin + 4, record - 4, crc32c(key, 8)), 4);
    }
    folder.write("a.rmtlabels", bytes);
    EXPECT_TRUE(contains(error_of([&] {
                           const LabelFile file(path);
                           file.at(0), file.at(2);
                         }),
                         expected));
  };
  attempt("is no label file by its first bytes", 0, 'X', 1);
  attempt("of version 2, this program reads version 1", 8, 2, 4);
  attempt("makes no sense: 0 x 3 cells", 12, 0, 4);
  attempt("makes no sense: 2 x 1025 cells", 16, 1025, 4);
  attempt("makes no sense", 20, 5, 4);             // more logits than classes
  attempt("makes no sense", 24, 65536, 4);         // classes
  attempt("ends within its tables", 28, 1000, 4);  // bytes of texts
  attempt("not the names of 4 classes", 28, 26, 4);
  attempt("makes no sense", 32, 0, 8);
  attempt("makes no sense", 32, uint64_t(1) << 61, 8);  // whose tables have 2^64 bytes
  attempt("ends within its tables", 32, uint64_t(1) << 40, 8);
  attempt("expected 195 for 2 images", 32, 2, 8);
  attempt("not the names of 4 classes", 48 + 11, '\n', 1);  // a name that is empty
  attempt("not the names of 4 classes", 48 + 26, 'x', 1);   // texts that do not end with a line
  attempt("records 0 and 1 are of the same image", records_at - 24, checksum_of(kSomeNames[1], 0),
          8);
  attempt("record 0: cell (0, 1) has the logit inf", records_at + 4 + 2 * 3, 0x7c00, 2);
  attempt("record 0: cell (1, 2) has class 4 of 4: labels of other classes?",
          records_at + record - 2, 4, 2);
}

TEST_F(LabelFiles, WhatCannotBeWrittenIsRefused) {
  auto refuses = [&](const std::string& expected, const LabelFileInfo& info,
                     const std::vector<std::string>& names = kSomeNames) {
    const std::string message = error_of([&] { LabelFileWriter(path, info, names); });
    EXPECT_TRUE(message.starts_with(path + ": ") && contains(message, expected)) << message;
    EXPECT_FALSE(fs::exists(partial));
  };
  LabelFileInfo info = kSomeInfo;
  refuses("images ant/1.jpg and ant/1.jpg", info, {"ant/1.jpg", "b.jpg", "ant/1.jpg"});
  refuses("0 images", info, {});
  info.top = 5;
  refuses("cells of 5 logits, 4 classes", info);
  info = kSomeInfo, info.height = -1;
  refuses("no label file can hold", info);
  info = kSomeInfo, info.classes[2] = "a\nb";
  refuses("the name of a class", info);
  info = kSomeInfo, info.teacher = "";
  refuses("what made the labels", info);

  LabelFileWriter writer(path, kSomeInfo, kSomeNames);
  auto add = [&](const std::string& name, const LabelMap& map) {
    return error_of([&] { writer.add(name, map); });
  };
  LabelMap map = some_map(0);
  EXPECT_TRUE(contains(add("bee/2.png", map), path + ": bee/2.png is not image 0 of the 3"));
  map.values[3] = -65520;
  EXPECT_TRUE(contains(add(kSomeNames[0], map), path + ": ant/1.jpg: the logit -65520 is beyond"));
  map.values[3] = NAN;
  EXPECT_TRUE(contains(add(kSomeNames[0], map), "ant/1.jpg: cell (0, 1) has the logit nan"));
  map.values[3] = 0, map.classes[11] = 4;
  EXPECT_TRUE(contains(add(kSomeNames[0], map), "ant/1.jpg: cell (1, 2) has class 4 of 4"));
  map.height = 1;
  EXPECT_TRUE(contains(add(kSomeNames[0], map), "1 x 3 cells of 2 logits, expected 2 x 3 of 2"));
  EXPECT_TRUE(contains(error_of([&] { writer.finish(); }), "only 0 of 3 images have labels"));
  EXPECT_TRUE(contains(error_of([&] { LabelFileWriter(path, kSomeInfo, kSomeNames); }),
                       path + ": another process is writing it"));
  EXPECT_EQ(writer.done(), 0);
}

}  // namespace rmt::data::test

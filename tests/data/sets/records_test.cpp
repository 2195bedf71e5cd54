#include "data/sets/records.h"

#include <functional>
#include <numeric>

#include "core/files/crc32c.h"
#include "core/parallel.h"
#include "core/random.h"
#include "data/images/resize.h"
#include "data/loader.h"
#include "data/sets/image_folder.h"
#include "data/sets/pack.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;
namespace fs = std::filesystem;

namespace {

std::vector<uint8_t> bytes_of(const std::string& path) { return read_bytes(path, 1 << 24); }

// train/ of 3 classes and 7 images of 40 x 50 to 46 x 62 pixels.
void make_images(const TemporaryFolder& folder) {
  for (int i = 0; i < 7; ++i)
    folder.write(str("images/train/",
                     i < 3   ? "n2"
                     : i < 6 ? "n10"
                             : "other",
                     "/", i, ".jpg"),
                 encode_jpeg(test_image(40 + i, 50 + 2 * i, i), 90));
}

struct Files {
  std::vector<std::string> names;
  std::vector<std::vector<uint8_t>> contents;
  friend bool operator==(const Files&, const Files&) = default;
};

Files files_in(const std::string& folder) {
  Files files;
  for (const std::string& name : names_in(folder, false))
    files.names.push_back(name), files.contents.push_back(bytes_of(folder + "/" + name));
  return files;
}

}  // namespace

TEST(Records, SizeZeroKeepsOrderLabelsNamesAndBytes) {
  TemporaryFolder folder;
  make_images(folder);
  ImageFolder from(folder / "images", "train");
  PackReport report = pack_dataset(from, folder / "packed", "train", {.size = 0});
  EXPECT_EQ(report.images, 7);
  EXPECT_EQ(report.shards, 1u);
  EXPECT_EQ(report.bytes, int64_t(fs::file_size(folder / "packed/train-00000-of-00001.rmtrec")));
  EXPECT_TRUE(report.skipped.empty());
  const auto data = open_dataset(folder / "packed", "train");
  EXPECT_EQ(data->classes(), from.classes());
  ASSERT_EQ(data->size(), 7);
  for (int64_t i = 0; i < 7; ++i) {
    EXPECT_EQ(data->label(i), from.label(i));
    EXPECT_EQ(data->bytes(i), from.bytes(i));
    EXPECT_EQ(data->image(i).rgb, from.image(i).rgb);
    EXPECT_EQ(data->name(i), folder / "packed/train-00000-of-00001.rmtrec" +
                                 from.name(i).substr(from.place().size()).replace(0, 1, ":"));
  }
  EXPECT_EQ(names_in(folder / "packed", false).size(), 1u);  // no temporary stays
}

TEST(Records, LargerImagesAreResizedSmallerOnesStay) {
  TemporaryFolder folder;
  folder.write("train/a/1.jpg", encode_jpeg(test_image(90, 60), 95));
  folder.write("train/a/2.png", encode_jpeg(test_image(70, 140, 1), 95));
  folder.write("train/a/3.jpg", encode_jpeg(test_image(40, 300, 2), 95));
  ImageFolder from(folder.path(), "train");
  pack_dataset(from, folder / "packed", "train", {.size = 40, .quality = 80});
  Records data(folder / "packed", "train");
  const int64_t size[3][2] = {{60, 40}, {40, 80}, {40, 300}};
  for (int64_t i = 0; i < 3; ++i) {
    Image image = from.image(i);
    std::vector<uint8_t> want = from.bytes(i);
    if (i < 2)
      want =
          encode_jpeg(resize(image, {0, 0, image.width, image.height}, size[i][0], size[i][1]), 80);
    EXPECT_EQ(data.bytes(i), want) << i;
    EXPECT_EQ(data.image(i).width, size[i][0]);
    EXPECT_EQ(data.image(i).height, size[i][1]);
  }
}

TEST(Records, ShardsAreCutBySizeAndReadAsOne) {
  TemporaryFolder folder;
  make_images(folder);
  ImageFolder from(folder / "images", "train");
  const int64_t largest = [&] {
    int64_t n = 0;
    for (int64_t i = 0; i < 7; ++i) n = std::max(n, int64_t(from.bytes(i).size()));
    return n;
  }();
  // One image a shard where none fits beside another; all in one where there is just room for them,
  // and one more shard for a byte less.
  EXPECT_EQ(pack_dataset(from, folder / "one", "train", {.size = 0, .shard_bytes = largest}).shards,
            7u);
  int64_t room = int64_t(kRecordHeaderBytes) + 2 + 2 + 2 + 3 + 2 + 5;
  for (int64_t i = 0; i < 7; ++i) room += int64_t(from.bytes(i).size());
  EXPECT_EQ(pack_dataset(from, folder / "all", "train", {.size = 0, .shard_bytes = room}).shards,
            1u);
  EXPECT_EQ(
      pack_dataset(from, folder / "two", "train", {.size = 0, .shard_bytes = room - 1}).shards, 2u);
  for (const char* name : {"one", "all", "two"}) {
    Records data(folder / name, "train");
    ASSERT_EQ(data.size(), 7);
    for (int64_t i = 0; i < 7; ++i) EXPECT_EQ(data.bytes(i), from.bytes(i));
  }
  EXPECT_TRUE(fs::exists(folder / "one/train-00006-of-00007.rmtrec"));
}

TEST(Records, BytesDoNotDependOnThreads) {
  TemporaryFolder folder;
  make_images(folder);
  ImageFolder from(folder / "images", "train");
  const int before = threads();
  std::vector<Files> files;
  for (int n : {1, 2, 3}) {
    set_threads(n);
    const std::string out = folder / std::to_string(n);
    pack_dataset(from, out, "train", {.size = 24, .shard_bytes = 2000});
    files.push_back(files_in(out));
  }
  set_threads(before);
  EXPECT_GT(files[0].names.size(), 1u);
  EXPECT_EQ(files[0], files[1]);
  EXPECT_EQ(files[0], files[2]);
}

TEST(Records, TrainsAsItsFolder) {
  TemporaryFolder folder;
  make_images(folder);
  ImageFolder from(folder / "images", "train");
  pack_dataset(from, folder / "packed", "train", {.size = 0, .shard_bytes = 3000});
  Records packed(folder / "packed", "train");
  LoaderOptions options;
  options.batch_size = 3, options.workers = 2, options.transform.image_size = 32;
  Loader a(from, options), b(packed, options);
  for (int64_t epoch : {0, 1}) {
    a.start(epoch), b.start(epoch);
    for (int64_t k = 0; k < a.batches(); ++k) {
      auto x = a.next(), y = b.next();
      ASSERT_TRUE(x && y);
      EXPECT_EQ(x->images.to_vector<uint8_t>(), y->images.to_vector<uint8_t>());
      EXPECT_EQ(x->labels.to_vector<int64_t>(), y->labels.to_vector<int64_t>());
      EXPECT_EQ(x->indices, y->indices);
    }
  }
}

TEST(Records, LabelsFollowTheKnownClasses) {
  TemporaryFolder folder;
  make_images(folder);
  pack_dataset(ImageFolder(folder / "images", "train"), folder / "packed", "val", {.size = 0});
  Records data(folder / "packed", "val", {"other", "more", "n10", "n2"});
  EXPECT_EQ(data.label(0), 3);
  EXPECT_EQ(data.label(3), 2);
  EXPECT_EQ(data.label(6), 0);
  EXPECT_EQ(data.classes().size(), 4u);
  EXPECT_TRUE(contains(error_of([&] {
                         Records(folder / "packed", "val", {"n2", "n10"});
                       }),
                       "class other of " + folder.path()));
}

TEST(Records, BadImagesAreNamedAndLeftOut) {
  TemporaryFolder folder;
  make_images(folder);
  folder.write("images/train/n2/1.jpg", "no image");
  PackReport report = pack_dataset(ImageFolder(folder / "images", "train"), folder / "packed",
                                   "train", {.size = 0});
  EXPECT_EQ(report.images, 6);
  ASSERT_EQ(report.skipped.size(), 1u);
  EXPECT_TRUE(contains(report.skipped[0], "images/train/n2/1.jpg"));
  EXPECT_EQ(Records(folder / "packed", "train").size(), 6);
  TemporaryFolder bad;
  bad.write("train/a/1.jpg", "");
  EXPECT_TRUE(contains(
      error_of([&] { pack_dataset(ImageFolder(bad.path(), "train"), bad / "packed", "train"); }),
      "none of the 1 images"));
  EXPECT_TRUE(names_in(bad / "packed", false).empty());
}

TEST(Records, NothingIsOverwrittenUnlessForced) {
  TemporaryFolder folder;
  make_images(folder);
  ImageFolder from(folder / "images", "train");
  const std::string out = folder / "packed";
  pack_dataset(from, out, "train", {.size = 0, .shard_bytes = 1000});
  const Files before = files_in(out);
  EXPECT_TRUE(contains(error_of([&] { pack_dataset(from, out, "train", {.size = 20}); }),
                       "is there already"));
  EXPECT_EQ(files_in(out), before);
  pack_dataset(from, out, "val", {.size = 0});  // another split lives beside it
  EXPECT_EQ(pack_dataset(from, out, "train", {.size = 20, .force = true}).shards, 1u);
  EXPECT_EQ(names_in(out, false),
            (std::vector<std::string>{"train-00000-of-00001.rmtrec", "val-00000-of-00001.rmtrec"}));
  pack_dataset(Records(out, "train"), out, "train", {.size = 16, .force = true});  // its own source
  EXPECT_EQ(Records(out, "train").image(0).width, 16);
  EXPECT_TRUE(contains(error_of([&] { pack_dataset(from, folder / "images", "train", {}); }),
                       "would be read instead"));
  for (const PackOptions& o : {PackOptions{.size = -1}, PackOptions{.quality = 0},
                               PackOptions{.quality = 101}, PackOptions{.shard_bytes = 0}})
    EXPECT_TRUE(
        contains(error_of([&] { pack_dataset(from, folder / "else", "train", o); }), "pack: "));
}

TEST(Records, AFailedWriteLeavesNothing) {
  TemporaryFolder folder;
  make_images(folder);
  ImageFolder from(folder / "images", "train");
  fs::create_directories(folder /
                         "packed/train-00001.rmtrec.tmp");  // the second shard cannot be written
  EXPECT_TRUE(contains(error_of([&] {
                         pack_dataset(from, folder / "packed", "train",
                                      {.size = 0, .shard_bytes = 1000});
                       }),
                       "train-00001.rmtrec.tmp: cannot write"));
  EXPECT_TRUE(names_in(folder / "packed", false).empty());
}

// A pack of two shards, to be damaged.
struct DamagedRecords : testing::Test {
  TemporaryFolder folder;
  std::vector<std::string> files;
  std::vector<std::vector<uint8_t>> images;
  DamagedRecords() {
    for (int i = 0; i < 3; ++i)
      folder.write(str("images/train/c", i % 2, "/", i, ".jpg"),
                   encode_jpeg(test_image(8, 8, i), 50));
    ImageFolder from(folder / "images", "train");
    pack_dataset(from, folder / "packed", "train",
                 {.size = 0, .shard_bytes = int64_t(from.bytes(0).size()) * 5 / 2});
    files = record_files(folder / "packed", "train");
    for (int64_t i = 0; i < from.size(); ++i) images.push_back(from.bytes(i));
  }
  void write(size_t file, const std::vector<uint8_t>& bytes) {
    std::ofstream(files[file], std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
  }
  // Opens and reads everything: refused with a message that names the file, or the right bytes.
  bool refused(size_t file) {
    try {
      Records data(folder / "packed", "train");
      EXPECT_EQ(size_t(data.size()), images.size());
      for (int64_t i = 0; i < data.size(); ++i) EXPECT_EQ(data.bytes(i), images[size_t(i)]);
      return false;
    } catch (const Error& e) {
      EXPECT_TRUE(contains(e.what(), files[file]));
      return true;
    }
  }
};

TEST_F(DamagedRecords, EveryByteThatFlipsIsFound) {
  ASSERT_EQ(files.size(), 2u);
  ASSERT_FALSE(refused(0));
  Random random(1, Purpose::test);
  const std::vector<uint8_t> whole = bytes_of(files[0]);
  std::fstream file(files[0], std::ios::binary | std::ios::in | std::ios::out);
  auto put = [&](size_t at, uint8_t byte) {
    file.seekp(std::streamoff(at)).put(char(byte)).flush();
  };
  for (size_t at = 0; at < whole.size(); ++at) {
    put(at, uint8_t(whole[at] ^ (1 + random.below(255))));
    ASSERT_TRUE(refused(0)) << "byte " << at;
    put(at, whole[at]);
  }
  EXPECT_FALSE(refused(0));
}

TEST_F(DamagedRecords, EveryLengthButTheRightOneIsRefused) {
  const std::vector<uint8_t> whole = bytes_of(files[1]);
  for (size_t n = whole.size(); n-- > 0;) {
    fs::resize_file(files[1], n);
    ASSERT_TRUE(refused(1)) << n << " bytes";
  }
  std::vector<uint8_t> longer = whole;
  longer.push_back(0);
  write(1, longer);
  EXPECT_TRUE(refused(1));
  write(1, whole);
  EXPECT_FALSE(refused(1));
}

// What damage does not do but a writer with bad intentions: every checksum fits, and the fields
// lie.
struct LyingRecords : DamagedRecords {
  using Classes = std::vector<std::string>;
  using Index = std::vector<RecordEntry>;
  const std::vector<uint8_t> whole = bytes_of(files[0]);

  // Writes the first shard with changed fields and checksums that fit, and reads the pack.
  void attempt(const std::string& expected,
               const std::function<void(RecordHeader&, Classes&, Index&)>& change) {
    std::array<uint8_t, kRecordHeaderBytes> head;
    std::copy(whole.begin(), whole.begin() + kRecordHeaderBytes, head.begin());
    RecordHeader h = record_header(head, "");
    Classes classes = {"c0", "c1"};
    Index entries =
        record_index({whole.begin() + std::ptrdiff_t(h.index_offset), whole.end()}, h, "");
    const std::vector<uint8_t> body(whole.begin() + kRecordHeaderBytes + h.class_bytes,
                                    whole.begin() + std::ptrdiff_t(h.index_offset));
    change(h, classes, entries);
    std::vector<uint8_t> table;
    for (const std::string& name : classes) {
      table.push_back(uint8_t(name.size()));
      table.push_back(0);
      table.insert(table.end(), name.begin(), name.end());
    }
    const std::vector<uint8_t> index = to_bytes(entries);
    h.class_crc = crc32c(table.data(), table.size());
    h.index_crc = crc32c(index.data(), index.size());
    const auto begin = to_bytes(h);
    std::vector<uint8_t> bytes(begin.begin(), begin.end());
    for (const std::vector<uint8_t>& part : {table, body, index})
      bytes.insert(bytes.end(), part.begin(), part.end());
    write(0, bytes);
    EXPECT_TRUE(contains(error_of([&] {
                           Records data(folder / "packed", "train");
                           for (int64_t i = 0; i < data.size(); ++i) data.image(i);
                         }),
                         expected));
  }
};

TEST_F(LyingRecords, FieldsThatLieAreRefused) {
  attempt("does not lie behind",
          [](RecordHeader&, Classes&, Index& index) { index[0].offset += 1; });
  attempt("does not lie behind",
          [](RecordHeader&, Classes&, Index& index) { index[1].offset = ~uint64_t(0); });
  attempt("does not lie behind",
          [](RecordHeader&, Classes&, Index& index) { index[1].bytes += 1; });
  attempt("does not lie behind", [](RecordHeader&, Classes&, Index& index) { index[1].bytes = 0; });
  attempt("belong to no record",
          [](RecordHeader&, Classes&, Index& index) { index[1].bytes -= 1; });
  attempt("label 2, and there are 2 classes",
          [](RecordHeader&, Classes&, Index& index) { index[1].label = 2; });
  attempt("claims 0 x 8", [](RecordHeader&, Classes&, Index& index) { index[0].width = 0; });
  attempt("the index says 9 x 8",
          [](RecordHeader&, Classes&, Index& index) { index[0].width = 9; });
  attempt("control characters",
          [](RecordHeader&, Classes&, Index& index) { index[0].name = "a\033[2J"; });
  attempt("is empty", [](RecordHeader&, Classes&, Index& index) { index[0].name = ""; });
  attempt("has 5000 bytes",
          [](RecordHeader&, Classes&, Index& index) { index[0].name = std::string(5000, 'a'); });
  attempt("another's", [](RecordHeader&, Classes& classes, Index&) { classes[1] = "c0"; });
  attempt("table of classes", [](RecordHeader& h, Classes&, Index&) { h.classes = 3; });
  attempt("too few for",
          [](RecordHeader& h, Classes&, Index&) { h.records = 1u << 20, h.all = h.records; });
  attempt("the name of record 0", [](RecordHeader& h, Classes&, Index&) { h.records = 1; });
  attempt("its index begins at byte",
          [](RecordHeader& h, Classes&, Index&) { h.index_offset = ~uint64_t(0); });
  attempt("makes no sense", [](RecordHeader& h, Classes&, Index&) { h.shards = 1u << 31; });
  attempt("makes no sense", [](RecordHeader& h, Classes&, Index&) { h.records = 0; });
  attempt("is missing, or not what lies in its place",
          [](RecordHeader& h, Classes&, Index&) { h.shard = 1; });
  attempt("is of another pack", [](RecordHeader& h, Classes&, Index&) { h.pack ^= 1; });
}

TEST_F(DamagedRecords, MissingAndForeignShardsAreNamed) {
  fs::rename(files[1], folder / "aside");
  EXPECT_TRUE(contains(error_of([&] { Records(folder / "packed", "train"); }),
                       "1 shards with 2 records, expected 2 with 3"));
  fs::rename(files[0], files[1]);
  EXPECT_TRUE(contains(error_of([&] { Records(folder / "packed", "train"); }),
                       files[0] + ": is missing, or not what lies in its place"));
  folder.write("packed/train-00000-of-00002.rmtrec", std::string(100, 'x'));
  EXPECT_TRUE(contains(error_of([&] { Records(folder / "packed", "train"); }),
                       "is no record file by its first bytes"));
  std::vector<uint8_t> newer = bytes_of(files[1]);
  newer[8] = 2;
  write(0, newer);
  EXPECT_TRUE(contains(error_of([&] { Records(folder / "packed", "train"); }),
                       "of version 2, this program reads version 1"));
}

// What processes tell each other of their images; processes are threads here.
#include "data/sharing.h"

#include "data/loader.h"

#include <filesystem>

#include "core/processes/bytes.h"
#include "data/sets/image_folder.h"
#include "data/sets/listed_files.h"
#include "tests/data/folder_maker.h"
#include "tests/threads_as_processes.h"

namespace rmt::test {
namespace {

using namespace data;

// Two classes of eight images in train/, of three in val/.
struct Images {
  TemporaryFolder folder;
  Images() {
    for (int i = 0; i < 16; ++i) write(str("train/class", i / 8, "/", i, ".jpg"), i);
    for (int i = 0; i < 6; ++i) write(str("val/class", i / 3, "/", i, ".jpg"), i);
    folder.write("train/class0/notes.txt", "no image");
  }
  void write(const std::string& name, int i) const {
    folder.write(name, encode_jpeg(test_image(20 + i % 7, 18, i), 90));
  }
};

void expect_same(const Dataset& got, const Dataset& want) {
  ASSERT_EQ(got.size(), want.size());
  EXPECT_EQ(got.place(), want.place());
  EXPECT_EQ(got.classes(), want.classes());
  EXPECT_EQ(checksum(got), checksum(want));
  for (int64_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got.name(i), want.name(i));
    EXPECT_EQ(got.label(i), want.label(i));
    EXPECT_EQ(got.bytes(i), want.bytes(i));
    EXPECT_EQ(got.image(i).rgb, want.image(i).rgb);
  }
}

}  // namespace

TEST(Sharing, TheFirstProcessLooksForFilesAndAllSeeThem) {
  const Images images;
  const std::string& root = images.folder.path();
  for (double val_split : {0., 0.25}) {
    if (val_split > 0) std::filesystem::remove_all(root + "/val");
    const TrainAndVal want = open_train_and_val(root, val_split);
    run_as_processes(3, [&](Processes& p) {
      // The others could not find any: there is no such folder for them.
      const TrainAndVal got =
          open_train_and_val(p.is_first() ? root : root + "/nowhere", val_split, p);
      expect_same(*got.train, *want.train);
      expect_same(*got.val, *want.val);
      EXPECT_EQ(got.train->leftovers().unread.size(), p.is_first() ? 1u : 0u);
    });
  }
}

TEST(Sharing, SetsThatAreNoFilesAreOpenedByEach) {
  TemporaryFolder folder;  // CIFAR-10's files, of two images each
  std::vector<uint8_t> bytes(2 * 3073, 7);
  for (int i = 1; i <= 5; ++i) folder.write(str("data_batch_", i, ".bin"), bytes);
  folder.write("test_batch.bin", bytes);
  folder.write("batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
  run_as_processes(2, [&](Processes& p) {
    const TrainAndVal got = open_train_and_val(folder.path(), 0, p);
    EXPECT_EQ(got.train->size(), 10);
    EXPECT_EQ(got.val->size(), 2);
    EXPECT_FALSE(got.train->is_files());
  });
}

TEST(Sharing, ListsThatAreNoneAreErrors) {
  const Images images;
  const std::string list = list_files(ImageFolder(images.folder.path(), "train"));
  expect_same(ListedFiles(list), ImageFolder(images.folder.path(), "train"));
  for (size_t n = 0; n < list.size(); ++n)
    EXPECT_TRUE(contains(error_of([&] { ListedFiles(list.substr(0, n)); }), "list of files: "));
  EXPECT_TRUE(contains(error_of([&] { ListedFiles(list + "x"); }), "goes on behind its end"));
  const std::string zero(1, '\0');
  auto made = [&](std::string classes, std::string count, std::string label) {
    return "here" + zero + classes + zero + "cat" + zero + count + zero + "a.jpg" + zero + label +
           zero + "5" + zero;
  };
  EXPECT_EQ(ListedFiles(made("1", "1", "0")).name(0), "here/a.jpg");
  EXPECT_TRUE(contains(error_of([&] { ListedFiles(made("1", "1", "1")); }), "has the label 1"));
  EXPECT_TRUE(contains(error_of([&] { ListedFiles(made("-1", "1", "0")); }), "is no number"));
  EXPECT_TRUE(contains(error_of([&] { ListedFiles(made("99999999999999999999", "1", "0")); }),
                       "is no number"));
  EXPECT_TRUE(contains(error_of([&] { ListedFiles(made("1", "18446744073709551615", "0")); }),
                       "ends too early"));
}

// Bad are 3 and 12 of the training images. Another epoch gives them to other processes.
TEST(Sharing, BadImagesOfAllProcessesCountOnce) {
  const Images images;
  for (const char* name : {"train/class0/3.jpg", "train/class1/12.jpg"})
    images.folder.write(name, "text");
  const ImageFolder data(images.folder.path(), "train");
  auto train = [&](Processes& p, int64_t most) {
    LoaderOptions o;
    o.batch_size = 4, o.rank = p.rank(), o.ranks = p.size(), o.transform.image_size = 12;
    Loader loader(data, o);
    BadImages bad(most, p);
    std::vector<BadImage> all;
    for (int64_t epoch = 0; epoch < 6; ++epoch) {
      loader.start(epoch);
      while (loader.next()) continue;
      for (const BadImage& b : bad.next(loader)) all.push_back(b);
    }
    EXPECT_FALSE(loader.bad().empty()) << "each has met one";
    EXPECT_TRUE(bad.next(loader).empty());
    return all;
  };
  run_as_processes(2, [&](Processes& p) {
    std::vector<BadImage> all = train(p, 2);
    ASSERT_EQ(all.size(), 2u);
    const std::string mine = all[0].path + all[0].reason + all[1].path + all[1].reason;
    EXPECT_EQ(all_gather(mine, p), std::vector<std::string>(2, mine)) << "the same for both";
  });
  EXPECT_TRUE(contains(error_of([&] { run_as_processes(2, [&](Processes& p) { train(p, 1); }); }),
                       "more than 1 images could not be read, the last one: "));
}

}  // namespace rmt::test

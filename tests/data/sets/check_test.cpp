#include "data/sets/check.h"

#include <sys/wait.h>

#include <nlohmann/json.hpp>

#include "core/files/crc32c.h"
#include "core/parallel.h"
#include "data/sets/cifar.h"
#include "data/sets/image_folder.h"
#include "data/sets/pack.h"
#include "data/sets/records.h"
#include "data/sets/tar.h"
#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;
namespace fs = std::filesystem;

namespace {

std::vector<uint8_t> jpeg(int variant, int64_t side = 40) {
  return encode_jpeg(test_image(side, side, variant), 80);
}

void make_images(const TemporaryFolder& folder) {
  folder.write("train/a/1.jpg", jpeg(1));
  folder.write("train/a/2.jpg", jpeg(2));
  folder.write("train/b/3.jpg", jpeg(3));
  folder.write("train/b/small.jpg", jpeg(4, 20));
  folder.write("val/a/9.jpg", jpeg(9));
}

std::vector<std::string> texts(const std::vector<Duplicate>& duplicates,
                               const TemporaryFolder& folder) {
  std::vector<std::string> all;
  for (const Duplicate& d : duplicates)
    all.push_back(str(d.first.substr(folder.path().size() + 1), " ",
                      d.second.substr(folder.path().size() + 1), d.leak ? " leak" : "",
                      d.conflict ? " conflict" : ""));
  return all;
}

}  // namespace

TEST(Check, CountsAndFindsNothingWrong) {
  TemporaryFolder folder;
  make_images(folder);
  int64_t last = 0;
  DataReport report =
      check_data(folder.path(), [&](const std::string&, int64_t done, int64_t) { last = done; });
  ASSERT_EQ(report.splits.size(), 2u);
  EXPECT_EQ(report.splits[0].images, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(report.splits[1].images, (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(report.splits[0].kinds, (std::map<std::string, int64_t>{{"JPEG", 4}}));
  EXPECT_EQ(last, 1);
  EXPECT_FALSE(report.broken());
  EXPECT_TRUE(report.duplicates.empty());
  ASSERT_EQ(report.splits[0].small.size(), 1u);
  EXPECT_EQ(report.splits[0].small[0].name, folder / "train/b/small.jpg");
  EXPECT_EQ(report.splits[0].small[0].what, "20 x 20");
  EXPECT_EQ(report.remarks, (std::vector<std::string>{"val: no images of 1 classes: b"}));
}

TEST(Check, FindsBrokenAndOddFiles) {
  TemporaryFolder folder;
  make_images(folder);
  std::vector<uint8_t> cut = jpeg(5);
  cut.resize(cut.size() / 2);
  folder.write("train/a/cut.jpg", cut);
  folder.write("train/b/wrong.png", jpeg(6));
  DataReport report = check_data(folder.path());
  EXPECT_TRUE(report.broken());
  ASSERT_EQ(report.splits[0].broken.size(), 1u);
  EXPECT_EQ(report.splits[0].broken[0].name, folder / "train/a/cut.jpg");
  EXPECT_TRUE(contains(report.splits[0].broken[0].what, "ends before the image does"));
  ASSERT_EQ(report.splits[0].odd.size(), 1u);
  EXPECT_EQ(report.splits[0].odd[0].name, folder / "train/b/wrong.png");
}

TEST(Check, FindsEqualFilesWithinAndAcrossSplits) {
  TemporaryFolder folder;
  make_images(folder);
  folder.write("train/a/again.jpg", jpeg(1));
  folder.write("train/b/1.jpg", jpeg(1));
  folder.write("val/a/leak.jpg", jpeg(3));
  const std::vector<std::string> expected = {"train/a/1.jpg train/a/again.jpg",
                                             "train/a/1.jpg train/b/1.jpg conflict",
                                             "train/b/3.jpg val/a/leak.jpg leak conflict"};
  const int before = threads();
  for (int n : {1, 3}) {
    set_threads(n);
    EXPECT_EQ(texts(check_data(folder.path()).duplicates, folder), expected) << n << " threads";
  }
  set_threads(before);
}

TEST(Check, EqualChecksumsAreNotEqualFiles) {
  TemporaryFolder folder;
  // Adding the polynomial itself, 33 bits, to a file changes no checksum. Behind the image's end,
  // which the decoder ignores.
  std::vector<uint8_t> a = jpeg(1);
  a.resize(a.size() + 8);
  std::vector<uint8_t> b = a;
  const uint64_t polynomial = (uint64_t(0x82F63B78) << 1) |
                              1;  // 0x1EDC6F41 with its bits reflected, the highest power in bit 0
  for (size_t i = 0; i < 8; ++i) b[b.size() - 8 + i] ^= uint8_t(polynomial >> (8 * i));
  ASSERT_NE(a, b);
  ASSERT_EQ(crc32c(a.data(), a.size()), crc32c(b.data(), b.size()));
  folder.write("train/a/1.jpg", a);
  folder.write("train/a/2.jpg", b);
  EXPECT_TRUE(check_data(folder.path()).duplicates.empty());
}

TEST(Check, ComparesWithImageNet) {
  TemporaryFolder folder;
  folder.write("val/n01440764/1.jpg", jpeg(1));
  folder.write("val/n01443537/2.jpg", jpeg(2));
  EXPECT_EQ(check_data(folder.path()).remarks,
            (std::vector<std::string>{
                "val: named like ImageNet: 2 of 1000 classes, 2 of 50,000 images (49,998 missing)",
                "there is no train split"}));
}

TEST(OpenDataset, TakesTheFirstLayoutThatIsThere) {
  TemporaryFolder folder;
  const std::string text = error_of([&] { open_dataset(folder.path(), "train"); });
  for (const char* layout :
       {"has no folder train/", "train/cat/1.jpg", "ILSVRC2012_val_00000001.JPEG",
        "train-00000-of-00012.rmtrec", "train-000000.tar", "data_batch_1.bin"})
    EXPECT_TRUE(contains(text, layout));
  EXPECT_TRUE(
      contains(error_of([&] { open_dataset(folder / "nowhere", "train"); }), "does not exist"));
  EXPECT_FALSE(has_split(folder.path(), "train"));
  auto is = [&](auto* type) {
    return dynamic_cast<decltype(type)>(open_dataset(folder.path(), "train").get()) != nullptr;
  };
  for (int k = 1; k <= 5; ++k)
    folder.write(str("data_batch_", k, ".bin"), std::vector<uint8_t>(3073));
  folder.write("batches.meta.txt", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
  EXPECT_TRUE(is(static_cast<Cifar*>(nullptr)));
  folder.write("train-0.tar", "");
  EXPECT_TRUE(
      contains(error_of([&] { open_dataset(folder.path(), "train"); }), "train-0.tar: at byte 0"));
  folder.write("elsewhere/train/a/1.jpg", jpeg(1));
  pack_dataset(ImageFolder(folder / "elsewhere", "train"), folder.path(), "train");
  EXPECT_TRUE(is(static_cast<Records*>(nullptr)));
  folder.write("train/a/1.jpg", jpeg(1));
  EXPECT_TRUE(is(static_cast<ImageFolder*>(nullptr)));
  EXPECT_TRUE(has_split(folder.path(), "train"));
}

namespace {

// The program as a user runs it. BIN is the folder of the programs.
struct RmtData : testing::Test {
  TemporaryFolder folder;
  std::string bin = std::getenv("BIN") ? fs::absolute(std::getenv("BIN")).string() : "";
  void SetUp() override {
    if (bin.empty())
      GTEST_SKIP() << "BIN is not set: 'make test' sets it to the folder of the programs";
    make_images(folder);
  }
  int status = -1;
  std::string run(const std::string& arguments, const char* errors = "2>&1") {
    FILE* pipe = popen(
        str("cd '", folder.path(), "' && '", bin, "'/rmt-data ", arguments, " ", errors).c_str(),
        "r");
    std::string text;
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
    const int s = pclose(pipe);
    status = WIFEXITED(s) ? WEXITSTATUS(s) : -1;
    return text;
  }
};

}  // namespace

TEST_F(RmtData, PacksBothSplitsWithTheNamesOfClasses) {
  folder.write("words.tsv", "a\tan apple\n");
  EXPECT_TRUE(contains(run("pack --data-dir . --out packed --size 24"),
                       "packed/train: 4 images in 1 shards"));
  EXPECT_EQ(status, 0);
  EXPECT_EQ(names_in(folder / "packed", false),
            (std::vector<std::string>{"train-00000-of-00001.rmtrec", "val-00000-of-00001.rmtrec",
                                      "words.tsv"}));
  Records val(folder / "packed", "val");
  EXPECT_EQ(val.classes(),
            (std::vector<std::string>{"a", "b"}));  // those of training, though val has no b
  EXPECT_EQ(val.image(0).width, 24);
  EXPECT_TRUE(contains(run("pack --data-dir . --out packed"), "is there already"));
  EXPECT_EQ(status, 1);
  EXPECT_TRUE(contains(run("pack --data-dir . --out other --split val"), "other/val: 1 images"));
  EXPECT_EQ(Records(folder / "other", "val").classes().size(), 2u);
  EXPECT_TRUE(contains(run("check --data-dir packed"), "every image can be read"));
  EXPECT_EQ(status, 0);
}

TEST_F(RmtData, ChecksAndReports) {
  folder.write("val/a/leak.jpg", jpeg(2));
  std::string text = run("check --data-dir .");
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(contains(text, "train: ./train: 4 images of 2 classes, 2 to 2 of each"));
  EXPECT_TRUE(contains(
      text, "a training image in val (leak): 1\n    ./val/a/leak.jpg: equals ./train/a/2.jpg"));
  folder.write("train/a/\"quo\xFFted\".jpg", "no image");
  text = run("check --data-dir .");
  EXPECT_EQ(status, 1);
  EXPECT_TRUE(contains(text, "broken: 1"));
  const nlohmann::json json =
      nlohmann::json::parse(run("check --data-dir . --json", "2>/dev/null"));
  EXPECT_EQ(status, 1);
  EXPECT_TRUE(json["broken"]);
  EXPECT_EQ(json["splits"][0]["images"], 5);
  EXPECT_EQ(json["splits"][0]["classes"]["b"], 2);
  EXPECT_EQ(json["splits"][0]["broken"][0]["name"], "./train/a/\"quo\xEF\xBF\xBDted\".jpg");
  EXPECT_EQ(json["duplicates"][0]["second"], "./val/a/leak.jpg");
}

TEST_F(RmtData, WrongUsageIsStatus2) {
  EXPECT_TRUE(
      contains(run("pack --data-dir . --out packed --qualty 80"), "did you mean --quality?"));
  EXPECT_EQ(status, 2);
  EXPECT_TRUE(contains(run(""), "subcommand"));
  EXPECT_EQ(status, 2);
  EXPECT_TRUE(contains(run("pack --data-dir ."), "--out"));
  EXPECT_EQ(status, 2);
  EXPECT_TRUE(contains(run("pack --help"), "--quality INT"));
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(contains(run("check --data-dir nowhere"), "data folder nowhere does not exist"));
  EXPECT_EQ(status, 1);
}

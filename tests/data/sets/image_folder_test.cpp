#include "data/sets/image_folder.h"

#include "tests/data/folder_maker.h"

using namespace rmt;
using namespace rmt::data;
namespace fs = std::filesystem;

TEST(ImageFolder, OrdersClassesAndFilesNaturally) {
  TemporaryFolder folder;
  for (const char* name : {"class10/b.png", "class10/a10.jpg", "class10/a9.JPG", "class2/x.Jpeg",
                           "Class1/deep/er/y.jpg", "class2/readme.txt", "class2/.hidden.jpg"})
    folder.write(std::string("train/") + name, "no image yet");
  folder.write("train/.cache/z.jpg", "");
  folder.write("train/labels.csv", "");
  ImageFolder data(folder.path(), "train");
  EXPECT_EQ(data.classes(), (std::vector<std::string>{"Class1", "class2", "class10"}));
  ASSERT_EQ(data.size(), 5);
  std::vector<std::string> paths;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < data.size(); ++i)
    paths.push_back(data.name(i)), labels.push_back(data.label(i));
  std::vector<std::string> want;
  for (const char* name : {"Class1/deep/er/y.jpg", "class2/x.Jpeg", "class10/a9.JPG",
                           "class10/a10.jpg", "class10/b.png"})
    want.push_back(folder / "train/" + name);
  EXPECT_EQ(paths, want);
  EXPECT_EQ(labels, (std::vector<int64_t>{0, 1, 2, 2, 2}));
}

TEST(ImageFolder, NaturalOrderIsTimms) {
  const std::vector<std::string> ordered = {"",   "1",   "2",   "10", "10a", "a",        "a1",
                                            "A2", "a10", "a-1", "ab", "B",   "n02000001"};
  for (size_t i = 0; i < ordered.size(); ++i)
    for (size_t j = 0; j < ordered.size(); ++j)
      EXPECT_EQ(natural_less(ordered[i], ordered[j]), i < j) << ordered[i] << " and " << ordered[j];
  EXPECT_NE(natural_less("a01", "a1"), natural_less("a1", "a01"));  // never equal unless the same
  EXPECT_NE(natural_less("a", "A"), natural_less("A", "a"));
  EXPECT_TRUE(natural_less("x99999999999999999999998", "x99999999999999999999999"));
}

TEST(ImageFolder, ValAndValidation) {
  TemporaryFolder folder;
  folder.write("validation/a/1.jpg", "");
  EXPECT_EQ(ImageFolder(folder.path(), "val").place(), folder / "validation");
  folder.write("val/a/1.jpg", "");
  EXPECT_EQ(ImageFolder(folder.path(), "val").place(), folder / "val");
}

TEST(ImageFolder, FollowsLinks) {
  TemporaryFolder folder;
  std::string file = folder.write("elsewhere/a/1.jpg", "");
  fs::create_directory(folder / "train");
  fs::create_directory_symlink(folder / "elsewhere/a", folder / "train/a");
  fs::create_directory(folder / "train/b");
  fs::create_symlink(file, folder / "train/b/2.jpg");
  EXPECT_EQ(ImageFolder(folder.path(), "train").size(), 2);
  fs::create_directory_symlink(folder / "elsewhere/a", folder / "elsewhere/a/again");
  EXPECT_TRUE(
      contains(error_of([&] { ImageFolder(folder.path(), "train"); }), "does a link lead back"));
}

TEST(ImageFolder, LabelsFollowTheKnownClasses) {
  TemporaryFolder folder;
  folder.write("val/b/1.jpg", "");
  ImageFolder data(folder.path(), "val", {"a", "b", "c"});
  EXPECT_EQ(data.label(0), 1);
  EXPECT_EQ(data.classes().size(), 3u);
  folder.write("val/dog/1.jpg", "");
  std::string message = error_of([&] { ImageFolder(folder.path(), "val", {"a", "b", "c"}); });
  EXPECT_TRUE(contains(message, folder / "val/dog"));
  EXPECT_TRUE(contains(message, "not among the 3 known classes"));
}

TEST(ImageFolder, SaysWhatIsMissingAndShowsTheLayout) {
  TemporaryFolder folder;
  auto message = [&](const std::string& root, const std::string& split) {
    return error_of([&] { ImageFolder(root, split); });
  };
  std::string text = message(folder / "nowhere", "train");
  EXPECT_TRUE(contains(text, folder / "nowhere does not exist"));
  EXPECT_TRUE(contains(text, "<folder>/train/cat/1.jpg"));
  EXPECT_TRUE(contains(message(folder / std::string(300, 'x') + "/data", "train"),
                       "cannot be opened: File name too long"));
  EXPECT_TRUE(contains(message(folder.write("file", ""), "train"), "is not a folder"));
  EXPECT_TRUE(contains(message(folder.path(), "train"), "has no folder train/"));
  EXPECT_TRUE(contains(message(folder.path(), "val"), "has no folder val/"));
  EXPECT_TRUE(contains(message(folder.path(), "dev"), "not \"dev\""));
  fs::create_directory(folder / "train");
  EXPECT_TRUE(contains(message(folder.path(), "train"), "has no class folders\n"));
  folder.write("train/1.jpg", "");
  EXPECT_TRUE(contains(message(folder.path(), "train"), "1 images lie directly in it"));
  folder.write("train/a/1.jpg", "");
  folder.write("train/b/notes.txt", "");
  EXPECT_TRUE(contains(message(folder.path(), "train"), folder / "train/b holds no images"));
}

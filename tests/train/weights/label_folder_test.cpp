#include "train/weights/label_folder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "core/half.h"
#include "data/labels/label_file.h"
#include "tests/check_op.h"
#include "tests/train/folder.h"
#include "tests/train/weights/pth_writer.h"

namespace rmt::test {
using namespace train;
namespace {

namespace fs = std::filesystem;

const std::string kGolden = "tests/golden/pth_labels.pth";  // tests/golden/make_pth.py

void put(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  fs::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

// A file with one tensor of that shape: `number` makes element i.
template <class Number>
std::string pt_of(const std::string& type, const std::vector<int64_t>& sizes,
                  const Number& number) {
  TensorRecord t{.type = type, .elements = 1, .sizes = sizes, .strides = {}};
  for (size_t i = sizes.size(); i-- > 0; t.elements *= sizes[i])
    t.strides.insert(t.strides.begin(), t.elements);
  std::string bytes;
  for (int64_t i = 0; i < t.elements; ++i) bytes += raw(number(i));
  return zip_of({{"x/data.pkl", pickle(t.str())}, {"x/data/0", bytes}});
}
// Sizes (2, T, h, w), 16-bit floats: logits 1, classes `label`.
std::string halves(const std::vector<int64_t>& sizes, float label, float logit = 1) {
  int64_t n = 1;
  for (int64_t size : sizes) n *= size;
  return pt_of("HalfStorage", sizes, [&](int64_t i) { return to_half(i < n / 2 ? logit : label); });
}

}  // namespace

TEST(LabelFolder, ReadsTheFilesOfPyTorch) {
  TemporaryFolder folder;
  fs::create_directories(folder / "n01");
  fs::copy_file(kGolden, folder / "n01/a.b.pt");
  const LabelFolder maps(folder.path(), 50);
  EXPECT_EQ(maps.height(), 2);
  EXPECT_EQ(maps.width(), 3);
  EXPECT_EQ(maps.top(), 4);
  EXPECT_TRUE(maps.classes().empty());
  EXPECT_EQ(maps.place(), folder.path());
  const data::LabelMap map = maps.of("n01/a.b.JPEG");
  ASSERT_EQ(map.values.size(), 24u);
  for (int i = 0; i < 24; ++i) {
    EXPECT_EQ(map.values[size_t(i)], from_half(to_half(10 - float(i) * 0.37f)));
    EXPECT_EQ(map.classes[size_t(i)], i * 7 % 50);
  }
  expect_error([&] { maps.of("n01/b.jpg"); },
               {"n01/b.jpg: has no label map in " + folder.path(), folder / "n01/b.pt"});
}

TEST(LabelFolder, FilesThatDoNotFitAreNamed) {
  TemporaryFolder folder;
  expect_error([&] { LabelFolder(folder.path(), 50); },
               {folder.path() + ": holds no label maps, <class folder>/<name of an image>.pt"});
  put(folder / "c2/1.pt", halves({2, 3, 4, 5}, 49));
  const LabelFolder maps(folder.path(), 50);
  EXPECT_EQ(maps.of("c2/1.jpg").classes, std::vector<int32_t>(60, 49));
  const std::string path = folder / "c10/1.pt";
  auto refused = [&](const std::string& bytes, const std::string& expected) {
    put(path, bytes);
    expect_error([&] { maps.of("c10/1.png"); }, {path + ": ", expected});
  };
  refused(halves({2, 3, 5, 4}, 0), "has 5 x 4 cells of 3 logits, others have 4 x 5 of 3");
  refused(halves({2, 2, 4, 5}, 0), "has 4 x 5 cells of 2 logits, others have 4 x 5 of 3");
  refused(halves({2, 3, 4, 5}, 712), "cell (0, 0) has class 712 of 50: labels of other classes?");
  refused(halves({2, 3, 4, 5}, -1), "has class -1 of 50");
  refused(halves({2, 3, 4, 5}, 0.5), "has the class 0.5, expected whole numbers");
  refused(halves({2, 3, 4, 5}, NAN), "has the class nan");
  refused(halves({2, 3, 4, 5}, INFINITY), "has the class inf");
  refused(halves({2, 3, 4, 5}, 0, INFINITY), "has the logit inf");
  refused(halves({2, 51, 1, 1}, 0), "has 51 logits a cell, and there are 50 classes");
  refused(halves({2, 3, 20}, 0), "has shape (2, 3, 20), expected (2, T, h, w)");
  refused(halves({1, 3, 4, 5}, 0), "has shape (1, 3, 4, 5), expected (2, T, h, w)");
  refused(halves({2, 3, 0, 5}, 0), "has shape (2, 3, 0, 5)");
  refused(pt_of("DoubleStorage", {2, 3, 4, 5}, [](int64_t) { return 1.0; }),
          "is of type torch float64, expected torch float16 or float32");
  refused(zip_of({{"x/data.pkl", pickle("}")}}), "holds no tensors");
  refused("PK", "safetensors");
  Archive weights;
  weights.tensors["tensor"] = Tensor::zeros({2, 3, 4, 5}, DType::f32);
  refused(pth_of(weights), "holds weights and not one tensor");
  fs::resize_file(path, (16 << 20) + 1);
  expect_error([&] { maps.of("c10/1.png"); }, {path + ": has 16777217 bytes, more than"});
}

// 2049 has no f16: it would be read as 2048 or 2050.
TEST(LabelFolder, ManyClassesNeedNumbersOf32Bits) {
  TemporaryFolder folder;
  put(folder / "c/1.pt", halves({2, 1, 1, 1}, 2048));
  EXPECT_EQ(LabelFolder(folder.path(), 2049).of("c/1.jpg").classes[0], 2048);
  expect_error([&] { LabelFolder(folder.path(), 2050); },
               {folder / "c/1.pt", "cannot tell 2050 classes apart"});
  put(folder / "c/1.pt",
      pt_of("FloatStorage", {2, 1, 1, 1}, [](int64_t i) { return i ? 2049.f : 1.f; }));
  EXPECT_EQ(LabelFolder(folder.path(), 2050).of("c/1.jpg").classes[0], 2049);
}

TEST(OpenLabelMaps, TakesAFolderOrAFileOfTheSameClasses) {
  TemporaryFolder folder;
  const std::string path = folder / "a.rmtlabels";
  {
    data::LabelFileWriter writer(path, {1, 1, 1, {"ant", "bee", "cat"}, "a teacher"},
                                 {"ant/1.jpg"});
    writer.add("ant/1.jpg", {1, 1, 1, {2.5f}, {1}});
    writer.finish();
  }
  EXPECT_EQ(open_label_maps(path, {"ant", "bee", "cat"})->of("ant/1.jpg").values[0], 2.5f);
  const std::string remedy = "; make labels of this data set with rmt-label";
  expect_error(
      [&] {
        open_label_maps(path, {"ant", "bee"});
      },
      {path + ": has labels of 3 classes, and the data set has 2" + remedy});
  expect_error(
      [&] {
        open_label_maps(path, {"ant", "cat", "bee"});
      },
      {path + ": its class 1 is bee, and the data set's is cat" + remedy});
  put(folder / "maps/ant/1.pt", halves({2, 1, 1, 1}, 2));
  EXPECT_EQ(open_label_maps(folder / "maps", {"ant", "bee", "cat"})->of("ant/1.jpg").classes[0], 2);
  expect_error(
      [&] {
        open_label_maps(folder / "maps", {"ant", "bee"});
      },
      {folder / "maps/ant/1.pt", "class 2 of 2: labels of other classes?"});
  expect_error([&] { open_label_maps(folder / "none", {"ant"}); },
               {folder / "none", "cannot open"});
}

}  // namespace rmt::test

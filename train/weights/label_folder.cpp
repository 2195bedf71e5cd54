#include "train/weights/label_folder.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/error.h"
#include "core/files/input_file.h"
#include "data/dataset.h"
#include "data/labels/label_file.h"
#include "train/weights/pth.h"

namespace rmt::train {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFile = uint64_t(16) << 20;  // bytes
// A 16-bit float has 11 bits for the number, so it counts to 2048 and then leaves numbers out.
constexpr int64_t kMaxHalfClasses = 2049;

std::string first_file(const std::string& root) {
  std::vector<std::string> folders = data::names_in(root, true);
  for (std::string& folder : folders) folder = root + "/" + folder;
  folders.push_back(root);
  for (const std::string& folder : folders)
    for (const std::string& name : data::names_in(folder, false))
      if (name.ends_with(".pt")) return folder + "/" + name;
  throw Error(root + ": holds no label maps, <class folder>/<name of an image>.pt");
}

// Values and classes lie in planes (T, h, w) there, and in cells (h, w, T) here.
data::LabelMap cells_of(const Tensor& x, const std::string& path) {
  const int64_t top = x.dim(1), height = x.dim(2), width = x.dim(3), n = top * height * width;
  data::LabelMap map{height, width, top, std::vector<float>(size_t(n)),
                     std::vector<int32_t>(size_t(n))};
  const float *values = x.data<float>(), *classes = values + n;
  for (int64_t t = 0; t < top; ++t)
    for (int64_t cell = 0; cell < height * width; ++cell) {
      const size_t to = size_t(cell * top + t);
      const float label = classes[t * height * width + cell];
      CHECK(std::fabs(label) < 1e9f && label == std::floor(label), path, ": has the class ", label,
            ", expected whole numbers");
      map.values[to] = values[t * height * width + cell];
      map.classes[to] = int32_t(label);
    }
  return map;
}

}  // namespace

LabelFolder::LabelFolder(const std::string& root, int64_t classes)
    : root_(root), classes_(classes) {
  first_ = read(first_file(root));
  first_.values.clear();
  first_.classes.clear();
}

data::LabelMap LabelFolder::read(const std::string& path) const {
  const uint64_t bytes = InputFile(path).size();
  CHECK(bytes <= kMaxFile, path, ": has ", bytes, " bytes, more than a label map may have (",
        kMaxFile, ")");
  const Archive archive = read_weights(path);
  const auto stored = archive.metadata.find("stored_as");
  CHECK(stored != archive.metadata.end() && archive.tensors.count("tensor"), path,
        ": holds weights and not one tensor, as a label map does");
  const Tensor& x = archive.at("tensor");
  const bool half = stored->second == "torch float16";
  CHECK((half || stored->second == "torch float32") && x.dtype() == DType::f32, path,
        ": is of type ", stored->second, ", expected torch float16 or float32");
  CHECK(!half || classes_ <= kMaxHalfClasses, path, ": 16-bit floats cannot tell ", classes_,
        " classes apart, only ", kMaxHalfClasses, "; save it in torch float32");
  CHECK(x.rank() == 4 && x.dim(0) == 2 && x.numel() > 0, path, ": has shape ", x.shape(),
        ", expected (2, T, h, w), logits and classes");
  CHECK(x.dim(1) <= classes_, path, ": has ", x.dim(1), " logits a cell, and there are ", classes_,
        " classes");
  data::LabelMap map = cells_of(x, path);
  data::check_label_map(map, classes_, path);
  return map;
}

data::LabelMap LabelFolder::of(const std::string& name) const {
  const std::string path = fs::path(root_ + "/" + name).replace_extension(".pt").string();
  std::error_code ignored;
  CHECK(fs::exists(path, ignored), name, ": has no label map in ", root_, ", where ", path,
        " is expected");
  data::LabelMap map = read(path);
  CHECK(map.height == first_.height && map.width == first_.width && map.top == first_.top, path,
        ": has ", map.height, " x ", map.width, " cells of ", map.top, " logits, others have ",
        first_.height, " x ", first_.width, " of ", first_.top);
  return map;
}

std::unique_ptr<data::LabelMaps> open_label_maps(const std::string& path,
                                                 const std::vector<std::string>& classes) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored))
    return std::make_unique<LabelFolder>(path, int64_t(classes.size()));
  auto file = std::make_unique<data::LabelFile>(path);
  const std::vector<std::string>& own = file->classes();
  const char* const remedy = "; make labels of this data set with rmt-label";
  CHECK(own.size() == classes.size(), path, ": has labels of ", own.size(),
        " classes, and the data set has ", classes.size(), remedy);
  const auto [a, b] = std::mismatch(own.begin(), own.end(), classes.begin());
  CHECK(a == own.end(), path, ": its class ", a - own.begin(), " is ", *a,
        ", and the data set's is ", *b, remedy);
  return file;
}

}  // namespace rmt::train

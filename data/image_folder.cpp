#include "data/image_folder.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"

namespace rmt {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLayout =
    "\nExpected layout:\n"
    "  <folder>/train/cat/1.jpg      one folder a class, any names\n"
    "  <folder>/train/dog/2.jpeg     .jpg .jpeg .png\n"
    "  <folder>/val/cat/3.png        the same classes";

bool digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

std::string read_number(const std::string& s, size_t& i) {  // without leading zeros
  size_t begin = i;
  while (i < s.size() && digit(s[i])) ++i;
  while (begin + 1 < i && s[begin] == '0') ++begin;
  return s.substr(begin, i - begin);
}

bool is_image(const fs::path& path) {
  std::string e = path.extension().string();
  std::transform(e.begin(), e.end(), e.begin(), lower);
  return e == ".jpg" || e == ".jpeg" || e == ".png";
}

bool hidden(const fs::path& path) { return path.filename().string().starts_with("."); }

std::string find_split(const std::string& root, const std::string& split) {
  CHECK(split == "train" || split == "val", "data: the split is \"train\" or \"val\", not \"", split, "\"");
  std::error_code ignored;
  CHECK(fs::exists(root, ignored), "data folder ", root, " does not exist", kLayout);
  CHECK(fs::is_directory(root, ignored), "data folder ", root, " is not a folder", kLayout);
  std::vector<std::string> names = {split};
  if (split == "val") names.push_back("validation");
  for (const std::string& name : names)
    if (fs::is_directory(root + "/" + name, ignored)) return root + "/" + name;
  throw Error(str("data folder ", root, " has no folder ", split, split == "val" ? "/ or validation/" : "/", kLayout));
}

}  // namespace

bool natural_less(const std::string& a, const std::string& b) {
  size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      std::string x = read_number(a, i), y = read_number(b, j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else if (digit(a[i]) != digit(b[j])) {
      return digit(a[i]);
    } else {
      char x = lower(a[i++]), y = lower(b[j++]);
      if (x != y) return uint8_t(x) < uint8_t(y);
    }
  }
  if (i < a.size() || j < b.size()) return j < b.size();
  return a < b;  // equal but for case and leading zeros
}

ImageFolder::ImageFolder(const std::string& root, const std::string& split, const std::vector<std::string>& known_classes)
    : directory_(find_split(root, split)), classes_(known_classes) {
  std::vector<std::string> folders;
  int64_t loose = 0;
  std::error_code failed;
  for (fs::directory_iterator it(directory_, failed), end; !failed && it != end; it.increment(failed)) {
    if (hidden(it->path())) continue;
    std::error_code ignored;
    if (it->is_directory(ignored)) folders.push_back(it->path().filename().string());
    loose += is_image(it->path());
  }
  CHECK(!failed, "data folder ", directory_, " cannot be read: ", failed.message());
  CHECK(!folders.empty(), "data folder ", directory_, " has no class folders",
        loose ? str("; ", loose, " images lie directly in it: sort them into one folder a class") : "", kLayout);
  std::sort(folders.begin(), folders.end(), natural_less);
  if (classes_.empty()) classes_ = folders;
  for (const std::string& name : folders) {
    auto at = std::find(classes_.begin(), classes_.end(), name);
    CHECK(at != classes_.end(), "data: class folder ", directory_, "/", name, " is not among the ", classes_.size(), " known classes (", classes_.front(),
          " ... ", classes_.back(), "); rename or remove it");
    add_class(name, at - classes_.begin());
  }
}

void ImageFolder::add_class(const std::string& name, int64_t label) {
  constexpr int kDeepest = 16;
  const fs::path folder = fs::path(directory_) / name;
  const size_t before = files_.size(), prefix = directory_.size() + 1;
  std::error_code failed;
  fs::recursive_directory_iterator it(folder, fs::directory_options::follow_directory_symlink, failed), end;
  for (; !failed && it != end; it.increment(failed)) {
    CHECK(it.depth() < kDeepest, "data: ", it->path().string(), " is more than ", kDeepest, " folders deep; does a link lead back to its own folder?");
    std::error_code ignored;
    if (hidden(it->path()))
      it.disable_recursion_pending();
    else if (is_image(it->path()) && !it->is_directory(ignored))
      files_.push_back({it->path().string().substr(prefix), label});
  }
  CHECK(!failed, "data: class folder ", folder.string(), " cannot be read: ", failed.message());
  CHECK(files_.size() > before, "data: class folder ", folder.string(), " holds no images (.jpg .jpeg .png); add some or remove the folder");
  std::sort(files_.begin() + std::ptrdiff_t(before), files_.end(), [](const File& a, const File& b) { return natural_less(a.name, b.name); });
}

}  // namespace rmt

#include "data/sets/image_folder.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/files/files.h"
#include "data/sets/splits.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

std::string find_split(const std::string& root, const std::string& split) {
  std::string folder = split_folder(root, split);
  if (folder.empty()) throw Error(missing_split(root, split));
  return folder;
}

// What lies in a class folder instead of images.
std::string unread_here(const Leftovers& all, const std::string& name) {
  for (const auto& [kind, files] : all.unread)
    for (const std::string& example : files.examples)
      if (example.starts_with(name + "/"))
        return ", but files like " + example + ", which are not read";
  return "";
}

}  // namespace

ImageFolder::ImageFolder(const std::string& root, const std::string& split,
                         const std::vector<std::string>& known_classes)
    : directory_(find_split(root, split)), classes_(known_classes) {
  const std::vector<std::string> folders = names_in(directory_, true);
  if (folders.empty()) {
    const std::vector<std::string> files = names_in(directory_, false);
    const auto loose = std::count_if(files.begin(), files.end(), is_image_name);
    throw Error(str(
        "data folder ", directory_, " has no class folders",
        loose ? str("; ", loose, " images lie directly in it: sort them into one folder a class")
              : "",
        dataset_layouts()));
  }
  if (classes_.empty()) classes_ = folders;
  for (const std::string& name : folders) {
    auto at = std::find(classes_.begin(), classes_.end(), name);
    CHECK(at != classes_.end(), "data: class folder ", directory_, "/", name, " is not among the ",
          classes_.size(), " known classes (", classes_.front(), " ... ", classes_.back(),
          "); rename or remove it");
    add_class(name, at - classes_.begin());
  }
  for (const std::string& file : names_in(directory_, false))
    if (is_image_name(file))
      leftovers_.beside.add(file);
    else if (const std::string kind = extension_of(file); !kind.empty())  // no LICENSE, no Makefile
      leftovers_.unread[kind].add(file);
}

void ImageFolder::add_class(const std::string& name, int64_t label) {
  constexpr int kDeepest = 16;
  const fs::path folder = fs::path(directory_) / name;
  const size_t before = files_.size(), prefix = directory_.size() + 1;
  std::error_code failed;
  fs::recursive_directory_iterator it(folder, fs::directory_options::follow_directory_symlink,
                                      failed),
      end;
  for (; !failed && it != end; it.increment(failed)) {
    CHECK(it.depth() < kDeepest, "data: ", it->path().string(), " is more than ", kDeepest,
          " folders deep; does a link lead back to its own folder?");
    std::error_code ignored;
    const std::string file = it->path().filename().string();
    if (file.starts_with("."))
      it.disable_recursion_pending();
    else if (it->is_directory(ignored))
      continue;
    else if (is_image_name(file))
      files_.push_back({it->path().string().substr(prefix), label});
    else
      leftovers_.unread[extension_of(file)].add(it->path().string().substr(prefix));
  }
  CHECK(!failed, "data: class folder ", folder.string(), " cannot be read: ", failed.message());
  CHECK(files_.size() > before, "data: class folder ", folder.string(),
        " holds no images (.jpg .jpeg .png)", unread_here(leftovers_, name),
        "; add some or remove the folder");
  std::sort(files_.begin() + std::ptrdiff_t(before), files_.end(),
            [](const File& a, const File& b) { return natural_less(a.name, b.name); });
  note_deeper(before);
}

// Folders below a class folder may be classes that were meant to be told apart. One alone is not:
// so are Tiny ImageNet's, n01443537/images/.
void ImageFolder::note_deeper(size_t first) {
  auto folder_of = [](const File& f) {
    return std::string_view(f.name).substr(0, f.name.rfind('/'));
  };
  auto other = [&](const File& f) { return folder_of(f) != folder_of(files_[first]); };
  const auto begin = files_.begin() + std::ptrdiff_t(first);
  if (std::none_of(begin, files_.end(), other)) return;
  for (auto f = begin; f != files_.end(); ++f)
    if (std::count(f->name.begin(), f->name.end(), '/') > 1) leftovers_.deeper.add(f->name);
}

std::vector<uint8_t> ImageFolder::bytes(int64_t i) const {
  return read_bytes(name(i), kMaxImageFile);
}

}  // namespace rmt::data

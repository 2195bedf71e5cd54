#include "data/sets/flat_folder.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <map>
#include <unordered_map>

#include "core/error.h"
#include "core/files/files.h"
#include "data/sets/splits.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxList = size_t(64) << 20;
constexpr const char* kNumbers = "ILSVRC2012_validation_ground_truth.txt";
constexpr const char* kNumberTable = "map_clsloc.txt";
constexpr const char* kLists[] = {"LOC_val_solution.csv",
                                  "val_annotations.txt",
                                  "val_labels.txt",
                                  "val.txt",
                                  "imagenet_2012_validation_synset_labels.txt",
                                  kNumbers};

using ClassOf =
    std::unordered_map<std::string, std::string>;  // by the file's name without its extension

std::string images_in(const std::string& folder) {  // itself, or Tiny ImageNet's folder below it
  std::error_code ignored;
  return fs::is_regular_file(folder + "/val_annotations.txt", ignored) &&
                 fs::is_directory(folder + "/images", ignored)
             ? folder + "/images"
             : folder;
}

std::string stem(const std::string& file) {
  return is_image_name(file) ? fs::path(file).stem().string() : file;
}

std::string find_list(const std::string& root, const std::string& folder, const char* name) {
  std::error_code ignored;
  for (const std::string& at :
       {root, folder, root + "/devkit/data", root + "/ILSVRC2012_devkit_t12/data"})
    if (fs::is_regular_file(at + "/" + name, ignored)) return at + "/" + name;
  return "";
}

bool is_number(const std::string& s) {
  return !s.empty() && s.find_first_not_of("0123456789") == std::string::npos;
}

int64_t number(const std::string& s) {  // -1: none that fits
  int64_t n = -1;
  auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
  return error == std::errc() && end == s.data() + s.size() ? n : -1;
}

// "n02119789 1 kit_fox" -> names by number
std::map<int64_t, std::string> read_number_table(const std::string& path) {
  std::map<int64_t, std::string> names;
  for (const std::string& line : read_lines(path, kMaxList)) {
    if (line.empty()) continue;
    const size_t a = line.find(' '), b = a == std::string::npos ? a : line.find(' ', a + 1);
    const int64_t n = a == std::string::npos
                          ? -1
                          : number(line.substr(a + 1, b == std::string::npos ? b : b - a - 1));
    CHECK(n >= 1 && is_plain_text(line), path, ": line ", names.size() + 1,
          " is not of the form \"n02119789 1 kit_fox\"");
    CHECK(names.emplace(n, line.substr(0, a)).second, path, ": number ", n, " stands there twice");
  }
  return names;
}

// Line i is the class of image i.
ClassOf read_numbered(const std::string& path, const std::string& table) {
  const std::vector<std::string> lines = read_lines(path, kMaxList);
  const bool numbers = !lines.empty() && is_number(lines[0]);
  CHECK(!numbers || !table.empty(), path,
        ": gives classes as the devkit's numbers, which follow no alphabet; put ", kNumberTable,
        " of a devkit (\"n02119789 1 kit_fox\" a line) beside it, or Kaggle's LOC_val_solution.csv "
        "in its place");
  const std::map<int64_t, std::string> names =
      numbers ? read_number_table(table) : std::map<int64_t, std::string>{};
  ClassOf class_of;
  for (size_t i = 0; i < lines.size(); ++i) {
    std::string name = lines[i];
    if (numbers) {
      auto at = names.find(number(name));
      CHECK(at != names.end(), path, ": line ", i + 1, " says \"", is_plain_text(name) ? name : "",
            "\", a number that ", table, " does not have");
      name = at->second;
    }
    CHECK(is_plain_text(name), path, ": line ", i + 1, " is no name of a class");
    char file[40];
    std::snprintf(file, sizeof file, "ILSVRC2012_val_%08zu", i + 1);
    class_of.emplace(file, name);
  }
  return class_of;
}

// <file> <class>, apart by a tab, a comma or a blank; what follows the class behind another of them
// is ignored.
ClassOf read_named(const std::string& path, const std::vector<std::string>& known) {
  ClassOf class_of;
  size_t at = 0;
  for (const std::string& line : read_lines(path, kMaxList)) {
    ++at;
    if (line.empty() || line.starts_with("ImageId,")) continue;
    const bool tabs = line.find('\t') != std::string::npos;
    const size_t cut = line.find_first_of(tabs ? "\t" : ", ");
    CHECK(cut != std::string::npos && is_plain_text(line.substr(0, cut)), path, ": line ", at,
          " is not of the form \"<file> <class>\"");
    const std::string rest = line.substr(cut + 1),
                      name = rest.substr(0, rest.find_first_of(tabs ? "\t" : ", "));
    CHECK(is_plain_text(name), path, ": line ", at, " names no class");
    CHECK(!is_number(name) || std::find(known.begin(), known.end(), name) != known.end(), path,
          ": line ", at, " gives the class as the number ", name,
          ", and nothing says in which order the classes are counted; name them as in training "
          "(n01440764)");
    CHECK(class_of.emplace(stem(line.substr(0, cut)), name).second, path, ": line ", at, " names ",
          line.substr(0, cut), " a second time");
  }
  return class_of;
}

ClassOf read_list(const std::string& root, const std::string& folder,
                  const std::vector<std::string>& known, std::string& path) {
  for (const char* name : kLists) {
    path = find_list(root, folder, name);
    if (path.empty()) continue;
    const bool by_line = name == kLists[4] || name == kLists[5];
    return by_line ? read_numbered(path, find_list(root, folder, kNumberTable))
                   : read_named(path, known);
  }
  std::string names;
  for (const char* name : kLists) names += str(names.empty() ? "" : ", ", name);
  throw Error(
      str("data folder ", folder,
          " holds images but no class folders, and there is no list of their classes in it or in ",
          root, " (", names, "): sort the images into one folder a class, or add such a list",
          dataset_layouts()));
}

}  // namespace

bool FlatFolder::is_one(const std::string& folder) {
  if (images_in(folder) != folder) return true;
  if (!names_in(folder, true).empty()) return false;
  const std::vector<std::string> files = names_in(folder, false);
  return std::any_of(files.begin(), files.end(), is_image_name);
}

FlatFolder::FlatFolder(const std::string& root, const std::vector<std::string>& known_classes) {
  const std::string folder = split_folder(root, "val");
  if (folder.empty()) throw Error(missing_split(root, "val"));
  std::string list;
  const ClassOf class_of = read_list(root, folder, known_classes, list);
  directory_ = images_in(folder);
  classes_ = known_classes;
  std::vector<std::string> named;
  for (const auto& [file, name] : class_of) named.push_back(name);
  std::sort(named.begin(), named.end(), natural_less);
  named.erase(std::unique(named.begin(), named.end()), named.end());
  if (classes_.empty()) classes_ = named;
  const std::vector<int64_t> labels = known_labels(named, classes_, list);
  std::unordered_map<std::string, int64_t> label;
  for (size_t k = 0; k < named.size(); ++k) label.emplace(named[k], labels[k]);
  for (const std::string& file : names_in(directory_, false)) {
    if (!is_image_name(file)) {
      leftovers_.unread[extension_of(file)].add(file);
      continue;
    }
    auto at = class_of.find(stem(file));
    CHECK(at != class_of.end(), directory_, "/", file, ": ", list,
          " does not name its class; remove the image or add it there");
    files_.push_back(file), labels_.push_back(label.at(at->second));
  }
  CHECK(!files_.empty(), "data folder ", directory_, " holds no images", dataset_layouts());
}

std::vector<uint8_t> FlatFolder::bytes(int64_t i) const {
  return read_bytes(name(i), kMaxImageFile);
}

}  // namespace rmt::data

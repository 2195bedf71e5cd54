#include "data/sets/splits.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "data/dataset.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string>& names_of(const std::string& split) {
  static const std::vector<std::string> train = {"train", "training"},
                                        val = {"val", "validation", "valid"}, test = {"test"};
  return split == "train" ? train : split == "val" ? val : test;
}

std::string find_folder(const std::string& root, const std::string& split) {
  const std::vector<std::string> folders = names_in(root, true);
  for (const std::string& name : names_of(split)) {
    if (std::count(folders.begin(), folders.end(), name)) return name;
    for (const std::string& folder : folders)
      if (in_lower_case(folder) == name) return folder;
  }
  return "";
}

// Does an image lie in it, or up to two folders deeper? Looks at so many entries and no more: the
// question is asked of whatever folder a user names.
bool holds_images(const std::string& folder) {
  constexpr int kDeepest = 2;
  int entries = 10000;
  std::error_code failed;
  fs::recursive_directory_iterator it(folder, fs::directory_options::follow_directory_symlink,
                                      failed),
      end;
  for (; !failed && it != end && entries-- > 0; it.increment(failed)) {
    const std::string file = it->path().filename().string();
    std::error_code ignored;
    if (file.starts_with(".") || it.depth() >= kDeepest) it.disable_recursion_pending();
    if (!file.starts_with(".") && is_image_name(file) && !it->is_directory(ignored)) return true;
  }
  return false;
}

int64_t images_in(const std::string& folder) {
  const std::vector<std::string> files = names_in(folder, false);
  return std::count_if(files.begin(), files.end(), is_image_name);
}

bool has_any_split(const std::string& root) {
  return !find_folder(root, "train").empty() || !find_folder(root, "val").empty() ||
         !find_folder(root, "test").empty();
}

std::vector<std::string> folders_of_images(const std::string& root) {
  std::vector<std::string> folders = names_in(root, true);
  std::erase_if(folders, [&](const std::string& f) { return !holds_images(root + "/" + f); });
  return folders;
}

// The folder below `root` that was probably meant: it holds train/ with class folders, or it alone
// holds the class folders.
std::string one_deeper(const std::string& root) {
  const std::vector<std::string> folders = folders_of_images(root);
  for (const std::string& name : folders) {
    const std::string inner = root + "/" + name, train = find_folder(inner, "train");
    if (!train.empty() && !names_in(inner + "/" + train, true).empty()) return inner;
  }
  const std::string only = folders.size() == 1 ? root + "/" + folders[0] : "";
  return !only.empty() && images_in(only) == 0 ? only : "";
}

// The folder above `root`, when `root` is its train/ and a val/ lies beside it.
std::string one_higher(const std::string& root) {
  const fs::path path = (fs::path(root) / "").lexically_normal().parent_path();
  const std::string name = in_lower_case(path.filename().string()),
                    above = path.has_parent_path() ? path.parent_path().string() : ".";
  const std::vector<std::string>& names = names_of("train");
  if (!std::count(names.begin(), names.end(), name)) return "";
  return find_folder(above, "val").empty() ? "" : above;
}

// What lies in a folder that lacks a part, and what to do about it.
std::string what_was_found(const std::string& root, const std::string& split) {
  const std::string train = find_folder(root, "train"), val = find_folder(root, "val"),
                    test = find_folder(root, "test");
  if (split == "all" && has_any_split(root))
    return str(" has ",
               !train.empty() ? train
               : !val.empty() ? val
                              : test,
               "/, so these are not class folders alone");
  if (split == "test") return val.empty() ? " has no test/" : str(" has ", val, "/ and no test/");
  if (split == "train" && !(val + test).empty())
    return str(" has ", val.empty() ? test : val, "/ and no train/: add the training images");
  if (!train.empty())
    return str(" has ", train, "/ and no val/",
               test.empty() ? "" : str(" (", test, "/ has no class folders, so no labels)"),
               ": give --val-split 0.1 to hold a tenth of ", train,
               "/ out for validation, or add val/");
  if (const std::string above = one_higher(root); !above.empty())
    return str(" is the train/ of a data folder: name ", above, ", which has the val/ too");
  if (const std::vector<std::string> classes = class_folders_alone(root); !classes.empty())
    return str(" has ", classes.size(), " class folders (", classes.front(),
               classes.size() > 2 ? " ... " : ", ", classes.back(),
               ") and no train/: give --val-split 0.1 to hold a tenth of each class out for "
               "validation and train on the rest");
  if (const std::string inner = one_deeper(root); !inner.empty())
    return str(" has no train/, but ", inner, " looks like a data folder: name that one");
  const std::vector<std::string> folders = folders_of_images(root);
  const std::string place = folders.size() == 1 ? root + "/" + folders[0] : root;
  const int64_t loose = images_in(place);
  return str(" has no folder ", split == "all" ? "train" : split, "/",
             loose ? str("; ", loose, " images lie directly in ", place,
                         ": sort them into one folder a class")
                   : "");
}

}  // namespace

std::string split_folder(const std::string& root, const std::string& split) {
  CHECK(split == "train" || split == "val" || split == "test" || split == "all",
        "data: the split is \"train\", \"val\", \"test\" or \"all\", not \"", split, "\"");
  std::error_code ignored;
  std::error_code failed;
  const bool there = fs::exists(root, failed);
  CHECK(!failed, "data folder ", root, " cannot be opened: ", failed.message(),
        "; check its path and the permissions of the folders above it");
  CHECK(there, "data folder ", root, " does not exist", dataset_layouts());
  CHECK(fs::is_directory(root, ignored), "data folder ", root, " is not a folder",
        dataset_layouts());
  if (split == "all") return class_folders_alone(root).empty() ? "" : root;
  const std::string name = find_folder(root, split);
  return name.empty() ? "" : root + "/" + name;
}

std::vector<std::string> class_folders_alone(const std::string& root) {
  if (has_any_split(root)) return {};
  std::vector<std::string> folders = folders_of_images(root);
  const bool divided = std::any_of(folders.begin(), folders.end(), [&](const std::string& f) {
    return has_any_split(root + "/" + f);
  });
  return divided || folders.size() < 2 ? std::vector<std::string>{} : folders;
}

std::string missing_split(const std::string& root, const std::string& split) {
  return str("data folder ", root, what_was_found(root, split), dataset_layouts());
}

const char* dataset_layouts() {
  return "\nExpected one of these layouts (val/ may be called validation/ too; where there is "
         "none, "
         "test/ is used, or --val-split 0.1):\n"
         "  <folder>/train/cat/1.jpg                   one folder a class, any names\n"
         "  <folder>/train/dog/2.jpeg                  .jpg .jpeg .png\n"
         "  <folder>/val/cat/3.png                     the same classes\n"
         "or class folders alone, with --val-split 0.1\n"
         "  <folder>/cat/1.jpg\n"
         "or ImageNet's flat validation folder\n"
         "  <folder>/val/ILSVRC2012_val_00000001.JPEG  with LOC_val_solution.csv or another list "
         "of their classes in <folder>\n"
         "or packed by rmt-data\n"
         "  <folder>/train-00000-of-00012.rmtrec       and val-00000-of-00001.rmtrec\n"
         "or WebDataset's shards\n"
         "  <folder>/train-000000.tar                  or <folder>/train/000000.tar, with key.jpg "
         "and key.cls in it\n"
         "or CIFAR-10 or CIFAR-100, binary version\n"
         "  <folder>/data_batch_1.bin                  or train.bin, or the folder that holds "
         "their folder";
}

}  // namespace rmt::data

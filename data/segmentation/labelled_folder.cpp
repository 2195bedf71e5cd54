#include "data/segmentation/labelled_folder.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "core/error.h"
#include "core/parallel.h"
#include "data/dataset.h"
#include "data/images/label_png.h"
#include "data/segmentation/class_list.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

const char* layout() {
  return "\nsegmentation reads\n"
         "  <folder>/images/training/1.jpg       photographs, JPEG or PNG (or train/)\n"
         "  <folder>/annotations/training/1.png  a number for each pixel, 8 bits, of the same "
         "name\n"
         "  <folder>/images/validation/ ...      the same (or val/)\n"
         "  <folder>/classes.txt                 the classes' names, one a line";
}

// The folder of a part below root/kind; "" when there is none.
std::string find_part(const std::string& root, const std::string& kind, const std::string& split) {
  for (const char* name : {split == "train" ? "training" : "validation", split.c_str()}) {
    const std::string folder = root + "/" + kind + "/" + name;
    std::error_code ignored;
    if (fs::is_directory(folder, ignored)) return folder;
  }
  return "";
}
std::string part_of(const std::string& root, const std::string& kind, const std::string& split) {
  CHECK(split == "train" || split == "val", "segmentation: no part \"", split,
        "\"; it must be train or val");
  std::error_code ignored;
  CHECK(fs::is_directory(root, ignored), "data folder ", root, " does not exist", layout());
  const std::string folder = find_part(root, kind, split);
  CHECK(!folder.empty(), "data folder ", root, " has no ", kind, "/",
        split == "train" ? "training" : "validation", " and no ", kind, "/", split, layout());
  return folder;
}

bool is_png(const std::string& file) { return extension_of(file) == ".png"; }

// Files of a folder by their names without extension; Error when two have the same.
std::map<std::string, std::string> by_stem(const std::string& folder,
                                           bool (*wanted)(const std::string&)) {
  std::map<std::string, std::string> files;
  for (const std::string& file : names_in(folder, false)) {
    if (!wanted(file)) continue;
    const auto [at, fresh] = files.emplace(fs::path(file).stem().string(), file);
    CHECK(fresh, "data folder ", folder, ": ", at->second, " and ", file,
          " have the same name but for its end; rename or remove one");
  }
  return files;
}

// Error when a file of one folder has no partner in the other.
void check_partners(const std::map<std::string, std::string>& files, const std::string& folder,
                    const std::map<std::string, std::string>& others, const std::string& other,
                    const char* partner) {
  int64_t missing = 0;
  std::string first;
  for (const auto& [stem, file] : files)
    if (!others.count(stem) && missing++ == 0) first = file;
  CHECK(missing == 0, folder, "/", first, " has no ", partner, " of the same name in ", other,
        missing > 1 ? str(", nor have ", missing - 1, " others") : "",
        "; add what is missing or remove these");
}

// 1 ... the largest number in the label files of a folder, or 0 ... it.
std::vector<std::string> numbered_classes(const std::string& folder, bool zero_is_unlabelled) {
  const std::map<std::string, std::string> files = by_stem(folder, is_png);
  std::vector<std::string> names;
  for (const auto& [stem, file] : files) names.push_back(folder + "/" + file);
  std::vector<int> most(names.size(), -1);  // of each file
  parallel_for(int64_t(names.size()), 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      for (uint8_t v : read_label_png(names[size_t(i)]).values)
        if (v != kIgnored) most[size_t(i)] = std::max<int>(most[size_t(i)], v);
  });
  const int largest = most.empty() ? -1 : *std::max_element(most.begin(), most.end());
  const int first = zero_is_unlabelled ? 1 : 0;
  CHECK(largest >= first, "data folder ", folder, ": no pixel of ", names.size(),
        " label files has a class", layout());
  std::vector<std::string> classes;
  for (int v = first; v <= largest; ++v) classes.push_back(std::to_string(v));
  return classes;
}

void check_same_classes(const std::vector<std::string>& listed,
                        const std::vector<std::string>& known, const std::string& root) {
  for (size_t k = 0; k < std::max(listed.size(), known.size()); ++k) {
    const std::string here = k < listed.size() ? listed[k] : "",
                      there = k < known.size() ? known[k] : "";
    CHECK(here == there, "data folder ", root, " lists ", listed.size(), " classes, but ",
          known.size(), " are known, and number ", k + 1, " is \"", here, "\" here and \"", there,
          "\" there; labels of other classes cannot be used");
  }
}

}  // namespace

LabelledFolder::LabelledFolder(const std::string& root, const std::string& split,
                               const LabelledFolderOptions& options,
                               const std::vector<std::string>& known_classes)
    : images_(part_of(root, "images", split)), labels_(part_of(root, "annotations", split)) {
  const auto images = by_stem(images_, is_image_name), labels = by_stem(labels_, is_png);
  CHECK(!images.empty(), "data folder ", images_, " holds no images (.jpg .jpeg .png)",
        names_in(images_, true).empty() ? "" : "; those in folders below it are not looked for",
        layout());
  check_partners(images, images_, labels, labels_, "label file (.png)");
  check_partners(labels, labels_, images, images_, "image");
  for (const auto& [stem, file] : images) files_.push_back({file, labels.at(stem), {}});
  std::sort(files_.begin(), files_.end(),
            [](const File& a, const File& b) { return natural_less(a.image, b.image); });
  read_headers();

  classes_ = read_class_list(root);
  if (!classes_.empty() && !known_classes.empty())
    check_same_classes(classes_, known_classes, root);
  if (classes_.empty()) classes_ = known_classes;
  if (classes_.empty()) {
    const std::string training = find_part(root, "annotations", "train");
    classes_ = numbered_classes(training.empty() ? labels_ : training, options.zero_is_unlabelled);
  }
  rule_ = {int64_t(classes_.size()), options.zero_is_unlabelled};
  check_label_rule(rule_);
}

// The error of the first file that has one, whichever thread meets which.
void LabelledFolder::read_headers() {
  std::vector<std::string> errors(files_.size());
  parallel_for(size(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) try {
        files_[size_t(i)].size = label_png_size(label_name(i));
      } catch (const SystemError&) {
        throw;
      } catch (const Error& e) {
        errors[size_t(i)] = e.what();
      }
  });
  const auto wrong =
      std::count_if(errors.begin(), errors.end(), [](auto& e) { return !e.empty(); });
  for (const std::string& e : errors)
    CHECK(e.empty(), e, wrong > 1 ? str(" (and ", wrong - 1, " more label files)") : "");
}

Example LabelledFolder::example(int64_t i) const {
  Example e;
  e.image = read_image(name(i));
  e.labels = read_labels(label_name(i), rule_);
  CHECK(e.image.width == e.labels.width && e.image.height == e.labels.height,
        printable(label_name(i)), ": ", e.labels.width, " x ", e.labels.height,
        " pixels, but its image ", name(i), " has ", e.image.width, " x ", e.image.height,
        "; label each pixel of the image, or remove both");
  return e;
}

uint64_t LabelledFolder::checksum(int64_t i) const {
  const File& file = files_[size_t(i)];
  return checksum_of(std::to_string(checksum_of_file(images_, file.image)),
                     checksum_of_file(labels_, file.labels));
}

}  // namespace rmt::data

#include "data/dataset.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <unordered_map>

#include "core/error.h"
#include "core/parallel.h"
#include "data/sets/cifar.h"
#include "data/sets/flat_folder.h"
#include "data/sets/image_folder.h"
#include "data/sets/records.h"
#include "data/sets/tar.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

bool digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; }

std::string read_number(const std::string& s, size_t& i) {  // without leading zeros
  size_t begin = i;
  while (i < s.size() && digit(s[i])) ++i;
  while (begin + 1 < i && s[begin] == '0') ++begin;
  return s.substr(begin, i - begin);
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const std::string& root, const std::string& split,
                                      const std::vector<std::string>& known_classes) {
  const std::string folder = split_folder(root, split);
  if (!folder.empty() && split == "val" && FlatFolder::is_one(folder))
    return std::make_unique<FlatFolder>(root, known_classes);
  if (!folder.empty() && !names_in(folder, true).empty())
    return std::make_unique<ImageFolder>(root, split, known_classes);
  if (!record_files(root, split).empty())
    return std::make_unique<Records>(root, split, known_classes);
  if (!tar_files(root, split).empty())
    return std::make_unique<TarShards>(root, split, known_classes);
  if (!Cifar::find(root).empty()) return std::make_unique<Cifar>(root, split, known_classes);
  return std::make_unique<ImageFolder>(root, split, known_classes);  // which says what is missing
}

bool has_split(const std::string& root, const std::string& split) {
  return !split_folder(root, split).empty() || !record_files(root, split).empty() ||
         !tar_files(root, split).empty() || !Cifar::find(root).empty();
}

const char* dataset_layouts() {
  return "\nExpected one of these layouts (val/ may be called validation/ too):\n"
         "  <folder>/train/cat/1.jpg                   one folder a class, any names\n"
         "  <folder>/train/dog/2.jpeg                  .jpg .jpeg .png\n"
         "  <folder>/val/cat/3.png                     the same classes\n"
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

std::string split_folder(const std::string& root, const std::string& split) {
  CHECK(split == "train" || split == "val", "data: the split is \"train\" or \"val\", not \"",
        split, "\"");
  std::error_code ignored;
  CHECK(fs::exists(root, ignored), "data folder ", root, " does not exist", dataset_layouts());
  CHECK(fs::is_directory(root, ignored), "data folder ", root, " is not a folder",
        dataset_layouts());
  if (fs::is_directory(root + "/" + split, ignored)) return root + "/" + split;
  if (split == "val" && fs::is_directory(root + "/validation", ignored))
    return root + "/validation";
  return "";
}

bool is_image_name(const std::string& file) {
  std::string e = fs::path(file).extension().string();
  std::transform(e.begin(), e.end(), e.begin(), lower);
  return e == ".jpg" || e == ".jpeg" || e == ".png";
}

bool is_plain_text(const std::string& name) {
  return !name.empty() &&
         std::none_of(name.begin(), name.end(), [](char c) { return uint8_t(c) < 32 || c == 127; });
}

std::vector<std::string> names_in(const std::string& folder, bool folders) {
  std::vector<std::string> names;
  std::error_code failed;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
    std::error_code ignored;
    std::string name = it->path().filename().string();
    if (!name.starts_with(".") && it->is_directory(ignored) == folders)
      names.push_back(std::move(name));
  }
  CHECK(!failed, "data folder ", folder, " cannot be read: ", failed.message());
  std::sort(names.begin(), names.end(), natural_less);
  return names;
}

std::vector<int64_t> known_labels(const std::vector<std::string>& own,
                                  const std::vector<std::string>& known, const std::string& place) {
  std::unordered_map<std::string, int64_t> label;
  const std::vector<std::string>& names = known.empty() ? own : known;
  for (size_t k = 0; k < names.size(); ++k) label.emplace(names[k], int64_t(k));
  std::vector<int64_t> labels;
  for (const std::string& name : own) {
    auto at = label.find(name);
    CHECK(at != label.end(), "data: class ", name, " of ", place, " is not among the ",
          known.size(), " known classes (", known.front(), " ... ", known.back(),
          "); rename or remove it");
    labels.push_back(at->second);
  }
  return labels;
}

std::string checksum(const Dataset& data) {
  std::vector<uint64_t> sums(size_t(data.size()));
  parallel_for(data.size(), 256, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[size_t(i)] = data.checksum(i);
  });
  uint64_t all = 0;
  for (int64_t i = 0; i < data.size(); ++i)  // each depends on all before it: order counts
    all = checksum_of(std::to_string(data.label(i)), all ^ sums[size_t(i)]);
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(all));
  return text;
}

// For each byte: exclusive or, then a multiplication modulo 2^64, which spreads it upwards.
uint64_t checksum_of(const std::string& name, uint64_t number) {
  uint64_t sum = 0xcbf29ce484222325;
  auto add = [&](uint8_t byte) { sum = (sum ^ byte) * 0x100000001b3; };
  for (char c : name) add(uint8_t(c));
  for (int shift = 0; shift < 64; shift += 8) add(uint8_t(number >> shift));
  return sum;
}

uint64_t checksum_of_file(const std::string& folder, const std::string& name) {
  std::error_code missing;  // is found when the image is read
  return checksum_of(name, uint64_t(fs::file_size(folder + "/" + name, missing)));
}

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

}  // namespace rmt::data

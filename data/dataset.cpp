#include "data/dataset.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <unordered_map>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "core/parallel.h"
#include "data/sets/cifar.h"
#include "data/sets/flat_folder.h"
#include "data/sets/image_folder.h"
#include "data/sets/records.h"
#include "data/sets/splits.h"
#include "data/sets/subset.h"
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

// Is it there under its own name, in any layout?
bool is_there(const std::string& root, const std::string& split) {
  return !split_folder(root, split).empty() || !record_files(root, split).empty() ||
         !tar_files(root, split).empty() || (split != "all" && !Cifar::find(root).empty());
}

// test/ is validated on where there is no val/. ImageNet's own test/ is no such: it has no labels.
bool test_stands_in(const std::string& root) {
  if (is_there(root, "val")) return false;
  const std::string folder = split_folder(root, "test");
  return folder.empty() ? is_there(root, "test") : !names_in(folder, true).empty();
}

std::unique_ptr<Dataset> open_part(const std::string& root, const std::string& asked,
                                   const std::vector<std::string>& known_classes) {
  const std::string split = asked == "val" && test_stands_in(root) ? "test" : asked,
                    folder = split_folder(root, split);
  if (!folder.empty() && split == "val" && FlatFolder::is_one(folder))
    return std::make_unique<FlatFolder>(root, known_classes);
  if (!folder.empty() && !names_in(folder, true).empty())
    return std::make_unique<ImageFolder>(root, split, known_classes);
  if (!record_files(root, split).empty())
    return std::make_unique<Records>(root, split, known_classes);
  if (!tar_files(root, split).empty())
    return std::make_unique<TarShards>(root, split, known_classes);
  if (is_there(root, split) && folder.empty())
    return std::make_unique<Cifar>(root, split, known_classes);
  return std::make_unique<ImageFolder>(root, split, known_classes);  // which says what is missing
}

// All images that --val-split divides.
std::shared_ptr<const Dataset> open_whole(const std::string& root,
                                          const std::vector<std::string>& known_classes,
                                          double val_split) {
  CHECK(val_split > 0 && val_split < 1, "--val-split ", val_split,
        " is not a part of the images, above 0 and below 1");
  const std::string val = split_folder(root, "val");
  CHECK(!is_there(root, "val"), "data folder ", root, " has validation images",
        val.empty() ? "" : str(", ", val), ": leave out --val-split ", val_split,
        ", which would hold others out of the training images, or move them away");
  const bool alone = !is_there(root, "train") && is_there(root, "all");
  return open_part(root, alone ? "all" : "train", known_classes);
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const std::string& root, const std::string& split,
                                      const std::vector<std::string>& known_classes,
                                      double val_split) {
  if (val_split == 0 || (split != "train" && split != "val"))
    return open_part(root, split, known_classes);
  std::shared_ptr<const Dataset> whole = open_whole(root, known_classes, val_split);
  return std::make_unique<Subset>(whole, held_out(*whole, val_split), split == "val");
}

TrainAndVal open_train_and_val(const std::string& root, double val_split) {
  if (val_split == 0) {
    auto train = open_part(root, "train", {});
    auto val = open_part(root, "val", train->classes());
    return {std::move(train), std::move(val)};
  }
  std::shared_ptr<const Dataset> whole = open_whole(root, {}, val_split);
  const std::vector<bool> held = held_out(*whole, val_split);
  return {std::make_unique<Subset>(whole, held, false),
          std::make_unique<Subset>(whole, held, true)};
}

bool has_split(const std::string& root, const std::string& split) {
  return is_there(root, split) || (split == "val" && test_stands_in(root));
}

std::string short_name(const Dataset& data, int64_t i) {
  const std::string name = data.name(i);
  if (name.starts_with(data.place() + "/")) return name.substr(data.place().size() + 1);
  for (const char* mark : {".rmtrec:", ".tar:"})
    if (size_t at = name.find(mark); at != std::string::npos)
      return name.substr(name.find(':', at) + 1);
  return name;
}

void Leftovers::Files::add(const std::string& name) {
  ++count;
  examples.insert(std::upper_bound(examples.begin(), examples.end(), name, natural_less), name);
  if (examples.size() > 3) examples.pop_back();
}

bool is_image_name(const std::string& file) {
  const std::string e = extension_of(file);
  return e == ".jpg" || e == ".jpeg" || e == ".jpe" || e == ".jfif" || e == ".png";
}

std::string extension_of(const std::string& file) {
  return in_lower_case(fs::path(file).extension().string());
}

std::string in_lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), lower);
  return text;
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

std::vector<uint8_t> Dataset::bytes(int64_t i) const { return encode_png(image(i)); }

std::string Dataset::name(int64_t i) const { return str(place(), ", image ", i); }

uint64_t Dataset::checksum(int64_t i) const {
  const Image x = image(i);
  return checksum_of(str(x.width, " ", x.height), crc32c(x.rgb.data(), x.rgb.size()));
}

const std::string& Dataset::place() const {
  static const std::string in_memory = "a data set in memory";
  return in_memory;
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

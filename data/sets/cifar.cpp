#include "data/sets/cifar.h"

#include <algorithm>
#include <filesystem>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "data/sets/splits.h"

namespace rmt::data {
namespace {

constexpr int64_t kSide = 32, kPlane = kSide * kSide;

bool is_file(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored);
}

std::vector<std::string> read_names(const std::string& path, size_t expected) {
  CHECK(is_file(path), path, ": is missing; it names the classes, copy it from the archive");
  std::vector<std::string> names = read_lines(path, 1 << 20);
  names.erase(std::remove(names.begin(), names.end(), ""), names.end());
  std::vector<std::string> sorted = names;
  std::sort(sorted.begin(), sorted.end());
  CHECK(names.size() == expected && std::all_of(names.begin(), names.end(), is_plain_text) &&
            std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end(),
        path, ": holds ", names.size(), " lines, expected ", expected,
        " different names of classes");
  return names;
}

}  // namespace

std::string Cifar::find(const std::string& root) {
  for (const std::string& folder :
       {root, root + "/cifar-10-batches-bin", root + "/cifar-100-binary"})
    for (const char* name : {"data_batch_1.bin", "test_batch.bin", "train.bin", "test.bin"})
      if (is_file(folder + "/" + name)) return folder;
  return "";
}

Cifar::Cifar(const std::string& root, const std::string& split,
             const std::vector<std::string>& known_classes)
    : directory_(find(root)) {
  CHECK(!directory_.empty(), "data folder ", root, " holds no files of CIFAR", dataset_layouts());
  fine_ = !is_file(directory_ + "/data_batch_1.bin") && !is_file(directory_ + "/test_batch.bin");
  const std::vector<std::string> own = read_names(
      directory_ + (fine_ ? "/fine_label_names.txt" : "/batches.meta.txt"), fine_ ? 100 : 10);
  classes_ = known_classes.empty() ? own : known_classes;
  const std::vector<int64_t> labels = known_labels(own, classes_, directory_);
  if (split != "train")
    add_file(fine_ ? "test.bin" : "test_batch.bin", labels);
  else if (fine_)
    add_file("train.bin", labels);
  else
    for (int k = 1; k <= 5; ++k) add_file(str("data_batch_", k, ".bin"), labels);
}

void Cifar::add_file(const std::string& name, const std::vector<int64_t>& labels) {
  const std::string path = directory_ + "/" + name;
  CHECK(is_file(path), path, ": is missing; copy it from the archive");
  files_.push_back(std::make_unique<InputFile>(path));
  const InputFile& file = *files_.back();
  const size_t step = size_t(3 * kPlane) + (fine_ ? 2 : 1);
  CHECK(file.size() > 0 && file.size() % step == 0 && file.size() / step < (1u << 31), path, ": ",
        file.size(), " bytes are not a whole number of records of ", step,
        "; it was cut short or is no file of CIFAR-", labels.size(), ", copy it again");
  std::vector<uint8_t> part;
  for (uint64_t at = 0; at < file.size(); at += part.size()) {
    part = file.read(size_t(std::min<uint64_t>(1000 * step, file.size() - at)), at);
    for (size_t i = 0; i < part.size(); i += step) {
      const uint64_t number = (at + i) / step, label = part[i + (fine_ ? 1 : 0)];
      CHECK(label < labels.size(), path, ": record ", number, " has label ", label,
            ", and there are ", labels.size(), " classes; copy the file again");
      records_.push_back({uint32_t(files_.size() - 1), uint32_t(number), labels[size_t(label)]});
    }
  }
}

std::vector<uint8_t> Cifar::bytes(int64_t i) const {
  const Record& record = records_[size_t(i)];
  const uint64_t head = fine_ ? 2 : 1;
  return files_[record.file]->read(size_t(3 * kPlane), record.number * (3 * kPlane + head) + head);
}

Image Cifar::image(int64_t i) const {
  const std::vector<uint8_t> planes = bytes(i);
  Image image{kSide, kSide, std::vector<uint8_t>(planes.size())};
  for (size_t p = 0; p < size_t(kPlane); ++p)
    for (size_t c = 0; c < 3; ++c) image.rgb[3 * p + c] = planes[c * size_t(kPlane) + p];
  return image;
}

uint64_t Cifar::checksum(int64_t i) const {
  const std::vector<uint8_t> planes = bytes(i);
  return checksum_of("", crc32c(planes.data(), planes.size()));
}

std::string Cifar::name(int64_t i) const {
  return str(files_[records_[size_t(i)].file]->path(), ":", records_[size_t(i)].number);
}

}  // namespace rmt::data

#include "data/sets/check.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/files/crc32c.h"
#include "core/parallel.h"
#include "data/images/header.h"
#include "data/sets/cifar.h"
#include "data/sets/remarks.h"

namespace rmt::data {
namespace {

constexpr int64_t kSmall = 32, kImageNetTrain = 1281167, kImageNetVal = 50000,
                  kImageNetClasses = 1000;

struct Examined {  // at one image
  uint32_t crc = 0, bytes = 0;
  int64_t width = 0, height = 0;
  std::string kind, error;
};

Examined examine(const Dataset& data, int64_t i, bool files) {
  Examined l;
  try {
    const std::vector<uint8_t> bytes = data.bytes(i);
    l.bytes = uint32_t(bytes.size());
    l.crc = crc32c(bytes.data(), bytes.size());
    const Image image =
        files ? decode_image(bytes.data(), bytes.size(), data.name(i)) : data.image(i);
    l.width = image.width;
    l.height = image.height;
    l.kind = files ? image_header(bytes).kind : "CIFAR";
  } catch (const SystemError&) {
    throw;
  } catch (const Error& e) {
    l.error = e.what();
  }
  return l;
}

// Is it a .png that is a PNG, or a .jpg that is a JPEG?
bool named_as(const std::string& name, const std::string& kind) {
  const bool png = name.size() >= 4 && (name.ends_with(".png") || name.ends_with(".PNG"));
  return !is_image_name(name) || png == kind.starts_with("PNG");
}

// One image of a split, for the search for equal ones.
struct Fingerprint {
  uint32_t crc, bytes, split;
  int64_t index;
};

SplitReport check_split(const Dataset& data, const std::string& split, uint32_t number,
                        std::vector<Fingerprint>& prints,
                        const std::function<void(const std::string&, int64_t, int64_t)>& progress) {
  SplitReport report;
  report.split = split;
  report.place = data.place();
  report.classes = data.classes();
  report.images.resize(report.classes.size());
  report.leftovers = data.leftovers();
  const bool files = !dynamic_cast<const Cifar*>(&data);
  const int64_t n = data.size(), part = 1024;
  for (int64_t begin = 0; begin < n; begin += part) {
    std::vector<Examined> examined(size_t(std::min(part, n - begin)));
    parallel_for(int64_t(examined.size()), 1, [&](int64_t i, int64_t) {
      examined[size_t(i)] = examine(data, begin + i, files);
    });
    for (size_t k = 0; k < examined.size(); ++k) {
      const Examined& l = examined[k];
      const int64_t i = begin + int64_t(k);
      ++report.images[size_t(data.label(i))];
      report.bytes += l.bytes;
      if (l.bytes > 0) prints.push_back({l.crc, l.bytes, number, i});
      if (!l.error.empty()) {
        report.broken.push_back({data.name(i), l.error});
        continue;
      }
      ++report.kinds[l.kind];
      if (std::min(l.width, l.height) < kSmall && files)
        report.small.push_back({data.name(i), str(l.width, " x ", l.height)});
      const bool plain = l.kind.find("CMYK") == std::string::npos &&
                         l.kind.find("16 bits") == std::string::npos &&
                         l.kind.find("alpha") == std::string::npos;
      if (!plain || !named_as(data.name(i), l.kind))
        report.odd.push_back({data.name(i), "is " + l.kind});
    }
    if (progress) progress(split, begin + int64_t(examined.size()), n);
  }
  return report;
}

// Equal checksum and size make candidates, their bytes decide.
std::vector<Duplicate> find_duplicates(std::vector<Fingerprint>& prints,
                                       const std::vector<std::unique_ptr<Dataset>>& data) {
  auto key = [](const Fingerprint& p) { return std::tuple(p.crc, p.bytes, p.split, p.index); };
  std::sort(prints.begin(), prints.end(),
            [&](const Fingerprint& a, const Fingerprint& b) { return key(a) < key(b); });
  auto class_of = [&](const Fingerprint& p) {
    return data[p.split]->classes()[size_t(data[p.split]->label(p.index))];
  };
  std::vector<std::pair<Fingerprint, Fingerprint>> equal;
  for (size_t begin = 0, end; begin < prints.size(); begin = end) {
    for (end = begin + 1; end < prints.size() && prints[end].crc == prints[begin].crc &&
                          prints[end].bytes == prints[begin].bytes;)
      ++end;
    // Of this group: the first of each content.
    std::vector<std::pair<size_t, std::vector<uint8_t>>> different;
    for (size_t k = begin; k < end && end - begin > 1; ++k) {
      std::vector<uint8_t> bytes = data[prints[k].split]->bytes(prints[k].index);
      auto same = std::find_if(different.begin(), different.end(),
                               [&](const auto& d) { return d.second == bytes; });
      if (same != different.end())
        equal.emplace_back(prints[same->first], prints[k]);
      else
        different.emplace_back(k, std::move(bytes));
    }
  }
  auto order = [](const std::pair<Fingerprint, Fingerprint>& p) {
    return std::tuple(p.second.split, p.second.index);
  };
  std::sort(equal.begin(), equal.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  std::vector<Duplicate> found;
  for (const auto& [a, b] : equal)
    found.push_back({data[a.split]->name(a.index), data[b.split]->name(b.index),
                     data[a.split] != data[b.split], class_of(a) != class_of(b)});
  return found;
}

bool is_wnid(const std::string& name) {
  return name.size() == 9 && name[0] == 'n' &&
         name.find_first_not_of("0123456789", 1) == std::string::npos;
}

std::string with_commas(int64_t n) {  // 1281167 -> "1,281,167"
  const std::string digits = std::to_string(n);
  std::string s;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) s += ',';
    s += digits[i];
  }
  return s;
}

void remark_on_classes(const SplitReport& s, std::vector<std::string>& remarks) {
  std::vector<std::string> empty;
  for (size_t k = 0; k < s.classes.size(); ++k)
    if (s.images[k] == 0) empty.push_back(s.classes[k]);
  if (!empty.empty())
    remarks.push_back(
        str(s.split, ": no images of ", empty.size(), " classes: ", first_names(empty)));
}

// Every class of ImageNet has 732 to 1300 images to train and 50 to validate.
void remark_on_imagenet(const SplitReport& s, std::vector<std::string>& remarks) {
  if (s.split == "all" || !std::all_of(s.classes.begin(), s.classes.end(), is_wnid)) return;
  const int64_t expected = s.split == "train" ? kImageNetTrain : kImageNetVal,
                classes = int64_t(s.classes.size());
  if (classes == kImageNetClasses && s.all() == expected) {
    remarks.push_back(str(s.split, ": all ", with_commas(expected), " images and ", classes,
                          " classes of ImageNet"));
  } else {
    const int64_t missing = expected - s.all();
    remarks.push_back(str(s.split, ": named like ImageNet: ", classes, " of ", kImageNetClasses,
                          " classes, ", with_commas(s.all()), " of ", with_commas(expected),
                          " images",
                          missing > 0   ? str(" (", with_commas(missing), " missing)")
                          : missing < 0 ? str(" (", with_commas(-missing), " too many)")
                                        : ""));
  }
  if (classes != kImageNetClasses) return;
  std::vector<std::string> wrong;
  for (size_t k = 0; k < s.classes.size(); ++k)
    if (int64_t n = s.images[k]; s.split == "train" ? n < 732 || n > 1300 : n != 50)
      wrong.push_back(str(s.classes[k], " (", n, ")"));
  if (!wrong.empty())
    remarks.push_back(str(s.split, ": ", wrong.size(), " classes without ImageNet's ",
                          s.split == "train" ? "732 to 1300" : "50",
                          " images: ", first_names(wrong)));
}

}  // namespace

int64_t SplitReport::all() const {
  int64_t sum = 0;
  for (int64_t n : images) sum += n;
  return sum;
}

bool DataReport::broken() const {
  return std::any_of(splits.begin(), splits.end(),
                     [](const SplitReport& s) { return !s.broken.empty(); });
}

DataReport check_data(
    const std::string& root,
    const std::function<void(const std::string& split, int64_t done, int64_t of)>& progress,
    double val_split) {
  DataReport report;
  std::vector<std::unique_ptr<Dataset>> data;
  if (val_split > 0) {
    TrainAndVal both = open_train_and_val(root, val_split);
    data.push_back(std::move(both.train)), data.push_back(std::move(both.val));
  } else if (has_split(root, "train") || has_split(root, "val")) {
    for (const char* split : {"train", "val"})
      if (has_split(root, split))
        data.push_back(open_dataset(
            root, split, data.empty() ? std::vector<std::string>{} : data[0]->classes()));
  } else {
    data.push_back(open_dataset(root, has_split(root, "all") ? "all" : "train"));
  }
  const bool one = data.size() == 1;
  const std::string only = !one                       ? ""
                           : has_split(root, "train") ? "train"
                           : has_split(root, "val")   ? "val"
                                                      : "all";
  std::vector<Fingerprint> prints;
  for (size_t k = 0; k < data.size(); ++k)
    report.splits.push_back(check_split(*data[k],
                                        one      ? only
                                        : k == 0 ? "train"
                                                 : "val",
                                        uint32_t(k), prints, progress));
  for (const SplitReport& split : report.splits) {
    remark_on_classes(split, report.remarks);
    remark_on_imagenet(split, report.remarks);
  }
  if (only == "train" || only == "all")
    report.remarks.push_back(
        str(only == "all" ? "these are class folders without a val split" : "there is no val split",
            ": rmt-train holds one out with --val-split 0.1"));
  if (only == "val") report.remarks.push_back("there is no train split");
  report.duplicates = find_duplicates(prints, data);
  return report;
}

}  // namespace rmt::data

#include "train/confusion.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/error.h"

namespace rmt::train {

Confusion::Confusion(int64_t classes) : classes_(classes) {
  CHECK(classes <= 8192, "a table of ", classes, " x ", classes,
        " answers is too large; leave out --per-class, --confusion and --confusion-csv");
  counts_.resize(size_t(classes * classes));
  images_.resize(size_t(classes));
}

void Confusion::add(const Tensor& logits, const Tensor& labels) {
  if (classes_ == 0) return;
  const int64_t K = logits.dim(1);
  for (int64_t b = 0; b < logits.dim(0); ++b) {
    const float* z = logits.data<float>() + b * K;
    const int64_t truth = labels.data<int64_t>()[b];
    ++images_[size_t(truth)];
    if (std::any_of(z, z + K, [](float x) { return std::isnan(x); })) continue;
    ++counts_[size_t(truth * classes_ + (std::max_element(z, z + K) - z))];
  }
}

std::vector<ClassResult> results_by_class(const Confusion& confusion) {
  std::vector<ClassResult> results;
  for (int64_t truth = 0; truth < confusion.classes(); ++truth) {
    ClassResult r{truth, confusion.images(truth), confusion.count(truth, truth)};
    for (int64_t answer = 0; answer < confusion.classes(); ++answer)
      if (answer != truth && confusion.count(truth, answer) > r.rival_count) {
        r.rival = answer;
        r.rival_count = confusion.count(truth, answer);
      }
    if (r.images > 0) results.push_back(r);
  }
  std::stable_sort(results.begin(), results.end(),
                   [](const ClassResult& a, const ClassResult& b) { return a.top1() < b.top1(); });
  return results;
}

std::string class_table(const std::vector<ClassResult>& results, const ClassNames& names) {
  std::string text = "  top-1 %  images  class\n";
  for (const ClassResult& r : results) {
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, "  %7.2f  %6lld  ", r.top1(),
                  static_cast<long long>(r.images));
    text += numbers + printable(brief_name(names, r.index));
    if (r.rival >= 0)
      text += str("; ", r.rival_count, " as ", printable(brief_name(names, r.rival)));
    text += '\n';
  }
  return text;
}

std::string confusion_csv(const Confusion& confusion, const ClassNames& names) {
  std::string text = "true class";
  for (const std::string& label : names.labels) text += str(",", csv_field(label));
  text += '\n';
  for (int64_t truth = 0; truth < confusion.classes(); ++truth) {
    text += csv_field(names.labels[size_t(truth)]);
    for (int64_t answer = 0; answer < confusion.classes(); ++answer)
      text += str(",", confusion.count(truth, answer));
    text += '\n';
  }
  return text;
}

}  // namespace rmt::train

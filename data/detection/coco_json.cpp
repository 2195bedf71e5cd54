#include "data/detection/coco_json.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <memory>
#include <numeric>
#include <unordered_map>

#include "core/error.h"
#include "core/files/input_file.h"
#include "data/detection/coco_parser.h"

namespace rmt::data {
namespace {

constexpr uint64_t kMaxFile = uint64_t(4) << 30;
constexpr size_t kPiece = size_t(1) << 20;

// The bytes of a file, a piece at a time.
class Source {
 public:
  explicit Source(const std::string& path) : file_(path) {
    CHECK(file_.size() <= kMaxFile, printable(path), ": has ", file_.size(),
          " bytes, the most are ", kMaxFile, "; split it");
    fill();
  }
  bool done() const { return at_ == piece_.size(); }
  char now() const { return piece_[at_]; }
  void next() {
    if (++at_ == piece_.size()) fill();
  }

 private:
  void fill() {
    piece_.resize(size_t(std::min<uint64_t>(kPiece, file_.size() - offset_)));
    file_.read(piece_.data(), piece_.size(), offset_);
    offset_ += piece_.size(), at_ = 0;
  }
  InputFile file_;
  uint64_t offset_ = 0;
  std::vector<char> piece_;
  size_t at_ = 0;
};

// What the JSON parser walks along. Without a source it is the end.
struct Cursor {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;
  Source* source = nullptr;

  char operator*() const { return source->now(); }
  Cursor& operator++() {
    source->next();
    return *this;
  }
  bool done() const { return !source || source->done(); }
  bool operator==(const Cursor& other) const { return done() == other.done(); }
};

// Places by id; Error for an id that is there twice.
template <class Entry>
std::unordered_map<int64_t, int64_t> places(const CocoJson& coco, const std::vector<Entry>& entries,
                                            const char* one) {
  std::unordered_map<int64_t, int64_t> at;
  at.reserve(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const auto [first, added] = at.emplace(entries[i].id, int64_t(i));
    CHECK(added, coco.path, ": ", one, " ", i + 1, ", id ", entries[i].id, ": ", one, " ",
          first->second + 1, " has the same id; give each its own, or remove one");
  }
  return at;
}

// The tests that COCO's tools make before training, in doubles and in their order.
Unfit fitness(const CocoAnnotation& a, const CocoImage& image) {
  if (a.unfit == Unfit::kIgnore) return a.unfit;
  const auto [x, y, w, h] = a.box;
  const double inside_x = std::min(x + w, double(image.width)) - std::max(x, 0.0);
  const double inside_y = std::min(y + h, double(image.height)) - std::max(y, 0.0);
  if (a.area <= 0 || w < 1 || h < 1) return Unfit::kDegenerate;
  return inside_x <= 0 || inside_y <= 0 ? Unfit::kOutside : Unfit::kNo;
}

// Ids become places, and what does not fit together is found.
void resolve(CocoJson& coco) {
  const auto refuse = [&](size_t i, const std::string& what) {
    throw Error(str(coco.path, ": ", coco.entry(int64_t(i)), ": ", what));
  };
  CHECK(!coco.images.empty(), coco.path, ": \"images\" is empty; name at least one image");
  CHECK(!coco.categories.empty(), coco.path, ": \"categories\" is empty; name at least one");
  CHECK(coco.annotations.size() <= UINT32_MAX, coco.path, ": has more than 2^32 annotations");
  const auto images = places(coco, coco.images, "image");
  places(coco, coco.categories, "category");
  places(coco, coco.annotations, "annotation");
  std::sort(coco.categories.begin(), coco.categories.end(),
            [](const CocoCategory& a, const CocoCategory& b) { return a.id < b.id; });
  const auto labels = places(coco, coco.categories, "category");
  for (size_t i = 0; i < coco.annotations.size(); ++i) {
    CocoAnnotation& a = coco.annotations[i];
    const auto image = images.find(a.image), label = labels.find(a.label);
    if (image == images.end())
      refuse(i, str("there is no image of id ", a.image, "; add it or remove the annotation"));
    if (label == labels.end())
      refuse(i, str("there is no category of id ", a.label, "; add it or remove the annotation"));
    a.image = image->second, a.label = label->second;
    const CocoImage& of = coco.images[size_t(a.image)];
    if (a.form == CocoAnnotation::Form::kRuns &&
        (coco.words[a.at] != of.width || coco.words[a.at + 1] != of.height))
      refuse(i, str("its run lengths are for ", coco.words[a.at], " x ", coco.words[a.at + 1],
                    " pixels, and image ", of.id, " has ", of.width, " x ", of.height,
                    "; \"size\" is [height, width] of the image"));
    a.unfit = fitness(a, of);
    if (a.unfit == Unfit::kNo) continue;
    (a.unfit == Unfit::kIgnore    ? coco.ignored
     : a.unfit == Unfit::kOutside ? coco.outside
                                  : coco.degenerate)
        .add(coco.entry(int64_t(i)));
  }
}

void sort_by_image(CocoJson& coco) {
  coco.by_image.resize(coco.annotations.size());
  std::iota(coco.by_image.begin(), coco.by_image.end(), 0u);
  std::stable_sort(coco.by_image.begin(), coco.by_image.end(), [&](uint32_t a, uint32_t b) {
    return coco.annotations[a].image < coco.annotations[b].image;
  });
  coco.image_end.assign(coco.images.size(), 0);
  for (const CocoAnnotation& a : coco.annotations) ++coco.image_end[size_t(a.image)];
  std::partial_sum(coco.image_end.begin(), coco.image_end.end(), coco.image_end.begin());
}

}  // namespace

CocoJson read_coco_json(const std::string& path) {
  CocoJson coco;
  coco.path = path;
  Source source(path);
  CocoParser parser(coco);
  nlohmann::json::sax_parse(Cursor{&source}, Cursor{}, &parser);
  parser.check_complete();
  resolve(coco);
  sort_by_image(coco);
  return coco;
}

std::string remark(const Leftovers::Files& files, const char* what) {
  std::string text;
  for (const std::string& example : files.examples) text += (text.empty() ? "" : "; ") + example;
  const bool more = files.count > int64_t(files.examples.size());
  return str(files.count, " ", what, " (", text, more ? "; ..." : "", ")");
}

std::span<const uint32_t> CocoJson::of_image(int64_t i) const {
  const uint64_t begin = i > 0 ? image_end[size_t(i - 1)] : 0;
  return {by_image.data() + begin, size_t(image_end[size_t(i)] - begin)};
}

std::string CocoJson::entry(int64_t annotation) const {
  return str("annotation ", annotation + 1, ", id ", annotations[size_t(annotation)].id);
}

std::vector<std::vector<double>> CocoJson::polygons(const CocoAnnotation& a) const {
  std::vector<std::vector<double>> all;
  if (a.form == CocoAnnotation::Form::kNone || a.form == CocoAnnotation::Form::kRuns) return all;
  const bool doubles = a.form == CocoAnnotation::Form::kDoubles;
  for (uint64_t at = a.at; at < a.at + a.words;) {
    all.emplace_back(words[at++]);
    for (double& x : all.back()) {
      if (doubles)
        x = std::bit_cast<double>(uint64_t(words[at]) | uint64_t(words[at + 1]) << 32);
      else
        x = double(int32_t(words[at])) / 100;
      at += doubles ? 2 : 1;
    }
  }
  return all;
}

RunLengths CocoJson::mask(const CocoAnnotation& a) const {
  const CocoImage& of = images[size_t(a.image)];
  CHECK(has_mask(a), path, ": annotation of id ", a.id, " has no mask; ask for boxes alone");
  if (a.form != CocoAnnotation::Form::kRuns) return from_polygons(polygons(a), of.width, of.height);
  const auto first = words.begin() + int64_t(a.at);
  return {of.width, of.height, {first + 2, first + a.words}};
}

std::vector<std::string> CocoJson::remarks() const {
  std::vector<std::string> lines;
  const auto add = [&](const Leftovers::Files& files, const char* what) {
    if (files.count > 0) lines.push_back(str(path, ": ", remark(files, what)));
  };
  add(ignored, "annotations with \"ignore\" are not learned from");
  add(outside, "annotations whose box lies outside of the image are not learned from");
  add(degenerate,
      "annotations without area, or less than a pixel wide or high, are not learned from");
  add(short_polygons, "annotations have polygons of less than 3 points, which are left out");
  return lines;
}

}  // namespace rmt::data

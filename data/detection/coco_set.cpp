#include "data/detection/coco_set.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <map>
#include <unordered_set>

#include "core/error.h"

namespace rmt::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLeastSide = 32;                      // of an image to train on
constexpr int64_t kMaxMasks = int64_t(2) << 30;         // bytes of the masks of one image
constexpr const char* kYears[] = {"2017", "2014", ""};  // of COCO's files; others have none

std::string layouts(const std::string& part) {
  return str("\nExpected COCO's layout:\n  <root>/annotations/instances_", part, ".json   (or ",
             part, "2017.json)\n  <root>/images/*.jpg   (or ", part, "2017/, ", part, "/, images/",
             part, "2017/, images/", part, "/)");
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// "train2017" where its json is there; "" where none is.
std::string tag_of(const std::string& root, const std::string& part) {
  std::error_code ignored;
  for (const char* year : kYears)
    if (fs::exists(root + "/annotations/instances_" + part + year + ".json", ignored))
      return part + year;
  return "";
}

}  // namespace

CocoSet::CocoSet(const std::string& folder, const std::string& json, const CocoOptions& options)
    : folder_(folder), coco_(read_coco_json(json)), options_(options) {
  for (const CocoCategory& category : coco_.categories) classes_.push_back(category.name);
  if (options_.masks) {
    const auto& all = coco_.annotations;
    CHECK(all.empty() || std::any_of(all.begin(), all.end(),
                                     [&](const CocoAnnotation& a) { return coco_.has_mask(a); }),
          json,
          ": no annotation has a mask (\"segmentation\"), only boxes; choose a detector "
          "without masks (RetinaNet), or add them");
  }
  choose(find_missing());
}

// Lists each folder once, which is quicker than to ask for a hundred thousand files.
std::vector<bool> CocoSet::find_missing() {
  std::map<std::string, std::unordered_set<std::string>> there;
  std::vector<bool> missing(coco_.images.size());
  for (size_t i = 0; i < missing.size(); ++i) {
    const std::string& file = coco_.images[i].file;
    const size_t cut = file.rfind('/') + 1;  // 0 without one
    const std::string below = file.substr(0, cut);
    auto at = there.find(below);
    if (at == there.end()) {
      at = there.emplace(below, std::unordered_set<std::string>{}).first;
      if (const std::string path = folder_ + "/" + below; is_folder(path))
        for (std::string& name : names_in(path, false)) at->second.insert(std::move(name));
    }
    missing[i] = !at->second.contains(file.substr(cut));
    if (missing[i]) missing_.add(file);
  }
  const auto all = int64_t(missing.size());
  CHECK(missing_.count * 10 <= all, coco_.path, ": ", missing_.count, " of ", all,
        " images are not in ", folder_, ", the first is ", missing_.examples[0],
        "; put them there, or name another folder of images");
  return missing;
}

// Is it learned from and found?
bool CocoSet::is_object(const CocoAnnotation& a) const {
  return a.unfit == Unfit::kNo && !a.crowd && (!options_.masks || coco_.has_mask(a));
}

void CocoSet::choose(const std::vector<bool>& missing) {
  if (options_.masks)
    for (size_t i = 0; i < coco_.annotations.size(); ++i) {
      const CocoAnnotation& a = coco_.annotations[i];
      if (a.unfit == Unfit::kNo && !a.crowd && !is_object(a))
        maskless_.add(coco_.entry(int64_t(i)));
    }
  for (size_t i = 0; i < coco_.images.size(); ++i) {
    if (missing[i]) continue;
    const CocoImage& image = coco_.images[i];
    const auto own = coco_.of_image(int64_t(i));
    const bool any = std::any_of(own.begin(), own.end(), [&](uint32_t at) {
      const CocoAnnotation& a = coco_.annotations[at];
      return is_object(a) || (a.crowd && a.unfit == Unfit::kNo);
    });
    const bool small = std::min(image.width, image.height) < kLeastSide;
    if (options_.training && !any)
      empty_.add(image.file);
    else if (options_.training && small)
      small_.add(image.file);
    else
      kept_.push_back(int64_t(i));
  }
  CHECK(!kept_.empty(), coco_.path, ": none of ", coco_.images.size(),
        " images can be learned from; each needs an object, and sides of at least ", kLeastSide,
        " pixels");
}

Example CocoSet::example(int64_t i) const {
  const CocoImage& image = this->image(i);
  Example example;
  example.image = read_image(name(i));
  CHECK(example.image.width == image.width && example.image.height == image.height, name(i),
        ": has ", example.image.width, " x ", example.image.height, " pixels, and ", coco_.path,
        " says ", image.width, " x ", image.height, " of it (id ", image.id,
        "); its boxes are for another picture, mend one of the two");
  Objects& objects = example.objects;
  for (const uint32_t at : coco_.of_image(kept_[size_t(i)])) {
    const CocoAnnotation& a = coco_.annotations[at];
    if (a.unfit != Unfit::kNo) continue;
    const auto [x, y, w, h] = a.box;
    const Corners box{float(x), float(y), float(x + w), float(y + h)};
    if (a.crowd) objects.crowds.push_back(box);
    if (!is_object(a)) continue;
    objects.boxes.push_back(box);
    objects.labels.push_back(a.label);
    if (!options_.masks) continue;
    CHECK(int64_t(objects.boxes.size()) * image.width * image.height <= kMaxMasks, name(i),
          ": its masks take more than 2 GiB; make the image smaller, or remove objects");
    objects.masks.push_back(to_bitmap(coco_.mask(a)));
  }
  return example;
}

uint64_t CocoSet::checksum(int64_t i) const {
  uint64_t sum = checksum_of_file(folder_, image(i).file);
  for (const uint32_t at : coco_.of_image(kept_[size_t(i)])) {
    const CocoAnnotation& a = coco_.annotations[at];
    sum = checksum_of(classes_[size_t(a.label)], sum ^ uint64_t(a.id));
    for (const double x : a.box)
      sum = checksum_of(a.crowd ? "crowd" : "", sum ^ std::bit_cast<uint64_t>(x));
  }
  return sum;
}

std::vector<std::string> CocoSet::remarks() const {
  std::vector<std::string> lines = coco_.remarks();
  const auto add = [&](const Leftovers::Files& files, const char* what) {
    if (files.count > 0) lines.push_back(str(coco_.path, ": ", remark(files, what)));
  };
  add(maskless_, "annotations without a mask are left out");
  add(missing_, "images are not in the folder and are left out");
  add(empty_, "images without objects are not trained on");
  add(small_, "images with a side of less than 32 pixels are not trained on");
  return lines;
}

std::unique_ptr<CocoSet> open_coco(const std::string& root, const std::string& part,
                                   const CocoOptions& options) {
  CHECK(is_folder(root), "data folder ", root, " does not exist", layouts(part));
  const std::string tag = tag_of(root, part);
  CHECK(!tag.empty(), "data folder ", root, " has no annotations/instances_", part, ".json",
        layouts(part));
  std::string folder;
  for (const std::string& name :
       {tag, "images/" + tag, part, "images/" + part, std::string("images")})
    if (folder.empty() && is_folder(root + "/" + name)) folder = root + "/" + name;
  CHECK(!folder.empty(), "data folder ", root, " has no folder of images", layouts(part));
  return std::make_unique<CocoSet>(folder, root + "/annotations/instances_" + tag + ".json",
                                   options);
}

}  // namespace rmt::data

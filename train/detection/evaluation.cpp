#include "train/detection/evaluation.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "core/processes/bytes.h"
#include "train/detection/paste.h"

namespace rmt::train {
namespace {

// Detections as bytes, to travel between processes, and back.
template <class T>
void put(std::string& bytes, const T* values, size_t n) {
  bytes.append(reinterpret_cast<const char*>(values), n * sizeof(T));
}

std::string to_bytes(const std::vector<CocoDetection>& detections) {
  std::string bytes;
  for (const CocoDetection& d : detections) {
    const int64_t whole[] = {d.image, d.category, d.mask.width, d.mask.height,
                             int64_t(d.mask.counts.size())};
    put(bytes, whole, 5);
    put(bytes, &d.score, 1);
    put(bytes, d.box.data(), 4);
    put(bytes, d.mask.counts.data(), d.mask.counts.size());
  }
  return bytes;
}

std::vector<CocoDetection> from_bytes(const std::string& bytes) {
  std::vector<CocoDetection> out;
  size_t at = 0;
  auto take = [&]<class T>(T* values, size_t n) {
    std::memcpy(values, bytes.data() + at, n * sizeof(T));
    at += n * sizeof(T);
  };
  while (at < bytes.size()) {
    int64_t whole[5];
    CocoDetection d;
    take(whole, 5);
    d.image = whole[0], d.category = whole[1], d.mask.width = whole[2], d.mask.height = whole[3];
    d.mask.counts.resize(size_t(whole[4]));
    take(&d.score, 1);
    take(d.box.data(), 4);
    take(d.mask.counts.data(), d.mask.counts.size());
    out.push_back(std::move(d));
  }
  return out;
}

// Those of all processes, in the order of ranks; nothing where one has not seen all of its part.
std::optional<std::vector<CocoDetection>> of_all_processes(const std::vector<CocoDetection>& mine,
                                                           bool complete, Processes& processes) {
  std::vector<CocoDetection> all;
  for (const std::string& text : all_gather(to_bytes(mine) + (complete ? "1" : "0"), processes)) {
    complete &= text.back() == '1';
    std::vector<CocoDetection> theirs = from_bytes(text.substr(0, text.size() - 1));
    std::set<int64_t> before;  // images of earlier processes, which may come again, too
    for (const CocoDetection& d : all) before.insert(d.image);
    for (CocoDetection& d : theirs)
      if (!before.contains(d.image)) all.push_back(std::move(d));
  }
  if (!complete) return std::nullopt;
  return all;
}

}  // namespace

void check_categories(const data::CocoSet& set, const std::vector<std::string>& names,
                      const std::string& whose) {
  const std::vector<std::string>& own = set.classes();
  CHECK(own.size() == names.size(), set.coco().path, ": has ", own.size(), " categories, and ",
        whose, " has ", names.size(), "; they must be the same");
  for (size_t k = 0; k < own.size(); ++k)
    CHECK(own[k] == names[k], set.coco().path, ": category ", k + 1, " in the order of ids is \"",
          own[k], "\", and that of ", whose, " is \"", names[k], "\"; they must be the same");
}

std::vector<int64_t> category_ids(const data::CocoSet& set) {
  std::vector<int64_t> ids;
  for (const data::CocoCategory& c : set.coco().categories) ids.push_back(c.id);
  return ids;
}

std::vector<CocoTruth> coco_truth(const data::CocoSet& set, bool masks) {
  const data::CocoJson& coco = set.coco();
  std::vector<CocoTruth> out;
  for (int64_t i = 0; i < set.size(); ++i)
    for (uint32_t place : coco.of_image(set.place_of(i))) {
      const data::CocoAnnotation& a = coco.annotations[place];
      if (masks && !coco.has_mask(a)) continue;
      out.push_back({set.image_id(i), set.category_id(a.label), a.area, a.crowd, a.box, {}});
      if (masks) out.back().mask = coco.mask(a);
    }
  return out;
}

std::vector<nn::Detection> detect_in(nn::Detector& model, const Compute& compute,
                                     const data::Batch& batch,
                                     const data::TransformOptions& transform) {
  NoGrad off;
  model.mode().training = false;
  const data::Place& p = batch.places[0];
  const double across = double(p.width) / double(p.original_width);
  const double down = double(p.height) / double(p.original_height);
  return model.detect(compute.images(batch, transform), {{p.height, p.width}}, {{across, down}})[0];
}

std::vector<CocoDetection> coco_detections(const std::vector<nn::Detection>& found, int64_t image,
                                           int64_t width, int64_t height,
                                           const std::vector<int64_t>& categories) {
  std::vector<CocoDetection> out;
  for (const nn::Detection& d : found) {
    const CocoBox box{d.box.x1, d.box.y1, d.box.x2 - d.box.x1, d.box.y2 - d.box.y1};
    out.push_back({image, categories[size_t(d.label)], d.score, box, {}});
    if (!d.mask.empty()) out.back().mask = paste_mask(d.mask, box, width, height);
  }
  return out;
}

std::optional<std::vector<CocoDetection>> detect_all(
    nn::Detector& model, const data::CocoSet& images, data::Batches& loader, const Compute& compute,
    const data::TransformOptions& transform,
    const std::function<bool(const data::Batch&, const std::vector<nn::Detection>&)>& seen) {
  TestedWeights own;
  auto found = detect_all(own, model, images, loader, compute, transform, seen);
  if (!found) return std::nullopt;
  return std::move((*found)[0]);
}

std::optional<std::vector<std::vector<CocoDetection>>> detect_all(
    TestedWeights& weights, nn::Detector& model, const data::CocoSet& images, data::Batches& loader,
    const Compute& compute, const data::TransformOptions& transform,
    const std::function<bool(const data::Batch&, const std::vector<nn::Detection>&)>& seen) {
  const std::vector<int64_t> categories = category_ids(images);
  std::vector<std::vector<CocoDetection>> mine(weights.count());
  // By weights: an image in the place of an unreadable one comes twice.
  std::vector<std::set<int64_t>> seen_images(weights.count());
  const bool complete = weights.for_each(loader, [&](size_t k, const data::Batch& batch) {
    const int64_t index = batch.indices[0];
    if (!seen_images[k].insert(index).second) return true;
    const std::vector<nn::Detection> found = detect_in(model, compute, batch, transform);
    const data::Place& p = batch.places[0];
    for (CocoDetection& d : coco_detections(found, images.image_id(index), p.original_width,
                                            p.original_height, categories))
      mine[k].push_back(std::move(d));
    return seen(batch, found);
  });
  std::vector<std::vector<CocoDetection>> all;
  for (const std::vector<CocoDetection>& own : mine) {
    auto together = of_all_processes(own, complete, *compute.processes);
    if (!together) return std::nullopt;
    all.push_back(std::move(*together));
  }
  return all;
}

std::string scores_json(const CocoScores& scores, const std::string& of, const std::string& model) {
  nlohmann::ordered_json j{{"of", of}, {"model", model}};
  const CocoStats stats = scores.stats();
  for (size_t i = 0; i < stats.size(); ++i) j[kCocoNames[i]] = stats[i];
  return j.dump();
}

}  // namespace rmt::train

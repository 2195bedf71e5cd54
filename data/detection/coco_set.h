// A data set in COCO's form: a folder of images, and a json with their objects.
#pragma once
#include <memory>

#include "data/annotated.h"
#include "data/detection/coco_json.h"

namespace rmt::data {

struct CocoOptions {
  bool masks = false;  // examples carry them; objects without one are left out
  bool training =
      false;  // images with nothing to learn from, or with a side below 32, are left out
};

class CocoSet : public AnnotatedSet {
 public:
  // Images that the json names and that are not in the folder are left out and counted: Error where
  // these are more than a tenth. Error also for masks where no annotation has one, and where no
  // image is left.
  CocoSet(const std::string& folder, const std::string& json, const CocoOptions& options);

  int64_t size() const override { return int64_t(kept_.size()); }
  // Objects that are fit (Unfit), in the file's order; crowds apart. Error where the image's size
  // is not that of the json.
  Example example(int64_t i) const override;
  const std::vector<std::string>& classes() const override { return classes_; }
  std::string name(int64_t i) const override { return folder_ + "/" + image(i).file; }
  const std::string& place() const override { return folder_; }
  uint64_t checksum(int64_t i) const override;
  std::array<int64_t, 2> image_size(int64_t i) const override {
    return {image(i).width, image(i).height};
  }

  // For evaluation, and for results in COCO's form.
  int64_t image_id(int64_t i) const { return image(i).id; }
  int64_t category_id(int64_t label) const { return coco_.categories[size_t(label)].id; }
  int64_t place_of(int64_t i) const { return kept_[size_t(i)]; }  // in coco().images
  const CocoJson& coco() const { return coco_; }                  // all that the file says
  const std::string& folder() const { return folder_; }
  std::vector<std::string> remarks() const;  // what was left out, a line for each kind

 private:
  const CocoImage& image(int64_t i) const { return coco_.images[size_t(kept_[size_t(i)])]; }
  bool is_object(const CocoAnnotation& a) const;
  std::vector<bool> find_missing();
  void choose(const std::vector<bool>& missing);

  std::string folder_;
  CocoJson coco_;
  CocoOptions options_;
  std::vector<std::string> classes_;
  std::vector<int64_t> kept_;  // places in coco_.images
  Leftovers::Files missing_, empty_, small_, maskless_;
};

// "train" or "val" of a folder in one of these layouts, the first that is there:
//   root/annotations/instances_<part>2017.json  or  instances_<part>.json
//   root/<part>2017/*.jpg, root/images/<part>2017/, root/<part>/, root/images/<part>/, root/images/
// Error that shows them where there is none.
std::unique_ptr<CocoSet> open_coco(const std::string& root, const std::string& part,
                                   const CocoOptions& options);

}  // namespace rmt::data

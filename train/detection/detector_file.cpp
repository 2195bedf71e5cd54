#include "train/detection/detector_file.h"

#include <nlohmann/json.hpp>
#include <set>

#include "train/dense_parts.h"
#include "train/detection/evaluation.h"
#include "train/detection/task.h"
#include "train/weights/model_file.h"

namespace rmt::train {
namespace {

// RetinaNet's anchors of one place, each with a row for a class.
constexpr int64_t kAnchors = 9;

// From the rows of the classifying layer: RetinaNet has kAnchors for each class, the others one and
// one more for the background.
int64_t classes_in(const Archive& archive, const std::string& head) {
  if (head == "retinanet") return archive.at("bbox_head.retina_cls.weight").dim(0) / kAnchors;
  const char* stage = head == "cascade_mask_rcnn" ? "0." : "";
  return archive.at(str("roi_head.bbox_head.", stage, "fc_cls.weight")).dim(0) - 1;
}

}  // namespace

std::unique_ptr<nn::Detector> make_detector(const TrainOptions& o, int64_t classes) {
  return nn::make_detector(o.head, model_config(o, classes), classes, detector_options(o));
}

std::vector<std::string> class_layers_of_detector(nn::Module& detector) {
  std::set<std::string> layers;
  for (const nn::Entry& e : detector.parameters())
    for (const char* last : {"retina_cls", "fc_cls", "fc_reg", "conv_logits"})
      if (const size_t at = e.name.find(str(".", last, ".")); at != std::string::npos)
        layers.insert(e.name.substr(0, e.name.find_last_of('.')));
  return {layers.begin(), layers.end()};
}

DetectorFile load_detector(const std::string& path, const std::string& model,
                           const std::string& head) {
  DenseFile f = read_dense_file(path, model, head, nn::detector_names(), classes_in);
  DetectorFile file{f.options, f.classes, make_detector(f.options, int64_t(f.classes.size())),
                    f.origin, f.named};
  load_model(*file.model, f.archive, name_with_head(f.options));
  return file;
}

std::vector<DrawnObject> find_objects(DetectorFile& file, const Compute& compute,
                                      const data::Image& image) {
  const data::Batch batch = batch_of(
      image, data::detection_pipeline(detection_options(file.options, false)), kBatchMultiple);
  const auto found = detect_in(*file.model, compute, batch, transform_options(file.options));
  std::vector<int64_t> labels;
  for (size_t k = 0; k < file.classes.size(); ++k) labels.push_back(int64_t(k));
  std::vector<DrawnObject> objects;
  for (CocoDetection& d : coco_detections(found, 0, image.width, image.height, labels))
    objects.push_back({d.box, d.category, d.score, std::move(d.mask)});
  return objects;
}

std::string objects_json(const std::string& image, const std::vector<DrawnObject>& objects,
                         const std::vector<std::string>& classes) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const DrawnObject& o : objects)
    list.push_back({{"class", classes[size_t(o.label)]}, {"score", o.score}, {"box", o.box}});
  return nlohmann::ordered_json({{"image", image}, {"objects", list}})
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace rmt::train

#include "nn/detection/detector.h"

#include "nn/detection/rcnn.h"
#include "nn/detection/retinanet.h"

namespace rmt::nn {

std::vector<std::string> detector_names() {
  return {"retinanet", "faster_rcnn", "mask_rcnn", "cascade_mask_rcnn"};
}

std::unique_ptr<Detector> make_detector(const std::string& name, const RmtConfig& backbone,
                                        int64_t classes, const DetectorOptions& options) {
  CHECK(classes >= 1, "detector: ", classes, " classes");
  if (name == "retinanet") return std::make_unique<RetinaNet>(backbone, classes, options);
  if (name == "cascade_mask_rcnn")
    return std::make_unique<Rcnn>(backbone, classes, options, cascade_options(options));
  RcnnOptions rules = mask_rcnn_options(options);
  rules.masks = name == "mask_rcnn";
  if (name == "mask_rcnn" || name == "faster_rcnn")
    return std::make_unique<Rcnn>(backbone, classes, options, rules);
  std::string known;
  for (const std::string& n : detector_names()) known += (known.empty() ? "" : ", ") + n;
  throw Error(str("detector: there is no \"", name, "\"; known are ", known));
}

}  // namespace rmt::nn

#include "nn/detection/detector.h"

#include "nn/detection/rcnn.h"
#include "nn/detection/retinanet.h"

namespace rmt::nn {

std::vector<std::string> detector_names() {
  return {"retinanet", "faster_rcnn", "mask_rcnn", "cascade_mask_rcnn"};
}

void expect_detector(const std::string& name) {
  std::string known;
  for (const std::string& n : detector_names()) {
    if (n == name) return;
    known += (known.empty() ? "" : ", ") + n;
  }
  throw Error(str("detector: there is no \"", name, "\"; known are ", known));
}

std::unique_ptr<Detector> make_detector(const std::string& name, const RmtConfig& backbone,
                                        int64_t classes, const DetectorOptions& options) {
  CHECK(classes >= 1, "detector: ", classes, " classes");
  expect_detector(name);
  if (name == "retinanet") return std::make_unique<RetinaNet>(backbone, classes, options);
  RcnnOptions rules =
      name == "cascade_mask_rcnn" ? cascade_options(options) : mask_rcnn_options(options);
  rules.masks = name != "faster_rcnn";
  return std::make_unique<Rcnn>(backbone, classes, options, rules);
}

}  // namespace rmt::nn

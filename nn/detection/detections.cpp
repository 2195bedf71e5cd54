#include "nn/detection/detections.h"

#include "ops/add.h"

namespace rmt::nn {

std::vector<Detection> best_detections(const std::vector<Candidate>& of_image,
                                       const DetectorOptions& options) {
  std::vector<Detection> best;
  for (int64_t i : suppress(of_image, options.nms_threshold, options.most_detections)) {
    const Candidate& c = of_image[size_t(i)];
    best.push_back({c.box, c.score, c.group, {}});
  }
  return best;
}

Box to_original(const Box& b, const std::array<double, 2>& scale) {
  return {b.x1 / scale[0], b.y1 / scale[1], b.x2 / scale[0], b.y2 / scale[1]};
}

Box to_batch(const Box& b, const std::array<double, 2>& scale) {
  return {b.x1 * scale[0], b.y1 * scale[1], b.x2 * scale[0], b.y2 * scale[1]};
}

void check_batch(const Tensor& images, const std::vector<ImageSize>& sizes) {
  CHECK(images.rank() == 4 && images.dim(3) == 3, "detector: images must be (B, H, W, 3), got ",
        images.shape());
  CHECK(int64_t(sizes.size()) == images.dim(0), "detector: ", sizes.size(), " sizes for ",
        images.dim(0), " images");
  for (const ImageSize& s : sizes)
    CHECK(s.height >= 1 && s.width >= 1 && s.height <= images.dim(1) && s.width <= images.dim(2),
          "detector: an image of ", s.height, " x ", s.width, " in a batch of ", images.dim(1),
          " x ", images.dim(2));
}

void check_truth(const Tensor& images, const std::vector<GroundTruth>& truth, int64_t classes,
                 bool with_masks) {
  CHECK(int64_t(truth.size()) == images.dim(0), "detector: objects of ", truth.size(),
        " images for ", images.dim(0));
  for (const GroundTruth& t : truth) {
    CHECK(t.boxes.size() == t.labels.size(), "detector: ", t.boxes.size(), " boxes with ",
          t.labels.size(), " labels");
    for (const Box& b : t.boxes)
      CHECK(b.width() > 0 && b.height() > 0 && std::isfinite(b.area()), "detector: the box (", b.x1,
            ", ", b.y1, ") ... (", b.x2, ", ", b.y2, ") has no area; leave the object out");
    for (int64_t label : t.labels)
      CHECK(label >= 0 && label < classes, "detector: label ", label, " is not in 0 ... ",
            classes - 1);
    if (!with_masks || t.boxes.empty()) continue;
    CHECK(t.masks.defined(), "detector: objects without masks; train one without, as faster_rcnn");
    const Shape expected{int64_t(t.boxes.size()), images.dim(1), images.dim(2)};
    CHECK(t.masks.dtype() == DType::u8 && t.masks.shape() == expected, "detector: masks are ",
          t.masks.shape(), " ", t.masks.dtype(), ", expected ", expected, " u8");
  }
}

Losses with_total(std::vector<std::pair<std::string, Tensor>> parts) {
  Losses losses{std::move(parts), {}};
  for (const auto& [name, value] : losses.parts)
    if (name.find("loss") != std::string::npos)
      losses.total = losses.total.defined() ? ops::add(losses.total, value) : value;
  return losses;
}

}  // namespace rmt::nn

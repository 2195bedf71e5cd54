#include "nn/detection/roi.h"

#include <algorithm>

#include "core/parallel.h"
#include "nn/detection/anchor_targets.h"
#include "ops/roi_align.h"

namespace rmt::nn {
namespace {

constexpr double kObjects = .25;  // of the boxes of an image, at most

// A bitmap (H, W) of 0 and 1, and its value between the pixels' middles.
struct Bilinear {
  const uint8_t* bits;
  int64_t H, W;
  double operator()(double y, double x) const {
    if (y < -1 || y > double(H) || x < -1 || x > double(W)) return 0;
    y = std::max(y, 0.), x = std::max(x, 0.);
    int64_t y0 = int64_t(y), x0 = int64_t(x), y1 = y0 + 1, x1 = x0 + 1;
    if (y0 >= H - 1) y = double(y0 = y1 = H - 1);
    if (x0 >= W - 1) x = double(x0 = x1 = W - 1);
    const double ly = y - double(y0), lx = x - double(x0), hy = 1 - ly, hx = 1 - lx;
    return hy * hx * bits[y0 * W + x0] + hy * lx * bits[y0 * W + x1] + ly * hx * bits[y1 * W + x0] +
           ly * lx * bits[y1 * W + x1];
  }
};

void mask_target(const Bilinear& bitmap, const Box& box, double* out) {
  const Box b = clip(box, double(bitmap.W), double(bitmap.H));
  const double bin_h = b.height() / kMaskSide, bin_w = b.width() / kMaskSide;
  const int64_t rows = int64_t(std::ceil(bin_h)), columns = int64_t(std::ceil(bin_w));
  for (int64_t p = 0; p < kMaskSide * kMaskSide; ++p) {
    const double top = b.y1 - .5 + double(p / kMaskSide) * bin_h,
                 left = b.x1 - .5 + double(p % kMaskSide) * bin_w;
    double sum = 0;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        sum += bitmap(top + (double(i) + .5) * bin_h / double(rows),
                      left + (double(j) + .5) * bin_w / double(columns));
    out[p] = sum / double(std::max<int64_t>(rows * columns, 1)) >= .5;
  }
}

}  // namespace

Rois rois_of(const std::vector<std::vector<Box>>& of_images) {
  Rois rois;
  for (size_t b = 0; b < of_images.size(); ++b)
    for (const Box& box : of_images[b]) rois.add(int64_t(b), box);
  return rois;
}

Tensor tiles(const Maps& levels, const Rois& rois, int64_t side) {
  std::vector<double> rows;  // (R, 5)
  for (size_t i = 0; i < rois.size(); ++i) {
    const Box& b = rois.boxes[i];
    rows.insert(rows.end(), {double(rois.images[i]), b.x1, b.y1, b.x2, b.y2});
  }
  const Maps four(levels.begin(), levels.begin() + 4);
  return ops::roi_align(four, {4, 8, 16, 32}, tensor_of(rows, {int64_t(rois.size()), 5}, levels[0]),
                        side);
}

Rois RoiSample::positive_rois() const {
  Rois positive;
  for (int64_t i : positives) positive.add(rois.images[size_t(i)], rois.boxes[size_t(i)]);
  return positive;
}

RoiSample sample_rois(const std::vector<std::vector<Box>>& proposals,
                      const std::vector<GroundTruth>& truth, int64_t classes, const MatchRule& rule,
                      int64_t count, const std::vector<Choose>& choose) {
  RoiSample all;
  for (size_t b = 0; b < truth.size(); ++b) {
    const GroundTruth& t = truth[b];
    std::vector<Box> boxes = t.boxes;
    boxes.insert(boxes.end(), proposals[b].begin(), proposals[b].end());
    // Each object's own box is the object's, whatever else overlaps it.
    std::vector<int64_t> matched;
    for (size_t i = 0; i < t.boxes.size(); ++i) matched.push_back(int64_t(i));
    const auto of_proposals = match(proposals[b], {}, t.boxes, rule);
    matched.insert(matched.end(), of_proposals.begin(), of_proposals.end());
    const Sample s = sample(matched, count, kObjects, choose[b]);
    for (const auto* part : {&s.positive, &s.negative})
      for (int64_t j : *part) {
        const int64_t object = matched[size_t(j)];
        if (object >= 0) all.positives.push_back(int64_t(all.rois.size()));
        all.rois.add(int64_t(b), boxes[size_t(j)]);
        all.objects.push_back(object);
        all.labels.push_back(object >= 0 ? t.labels[size_t(object)] : classes);
        all.is_object.push_back(j < int64_t(t.boxes.size()));
      }
  }
  return all;
}

std::vector<double> mask_targets(const RoiSample& s, const std::vector<GroundTruth>& truth) {
  const size_t cells = size_t(kMaskSide * kMaskSide);
  std::vector<double> targets(s.positives.size() * cells);
  std::vector<Tensor> masks;
  for (const GroundTruth& t : truth)
    masks.push_back(t.masks.defined() ? t.masks.to(Device::cpu) : t.masks);
  parallel_for(int64_t(s.positives.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      const size_t i = size_t(s.positives[size_t(p)]);
      const Tensor& of_image = masks[size_t(s.rois.images[i])];  // (k, H, W)
      const int64_t H = of_image.dim(1), W = of_image.dim(2);
      const Bilinear bitmap{of_image.data<uint8_t>() + s.objects[i] * H * W, H, W};
      mask_target(bitmap, s.rois.boxes[i], &targets[size_t(p) * cells]);
    }
  });
  return targets;
}

}  // namespace rmt::nn

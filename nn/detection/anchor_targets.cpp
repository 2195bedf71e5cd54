#include "nn/detection/anchor_targets.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace rmt::nn {

LevelAnchors::LevelAnchors(const AnchorRule& r, const Maps& maps) : rule(r) {
  CHECK(maps.size() == rule.strides.size(), "anchors: ", maps.size(), " levels, expected ",
        rule.strides.size());
  for (size_t l = 0; l < maps.size(); ++l) {
    sizes.push_back({maps[l].dim(1), maps[l].dim(2)});
    of_level.push_back(anchors_of_level(rule, l, sizes[l][0], sizes[l][1]));
  }
}

std::vector<Box> LevelAnchors::all() const {
  std::vector<Box> boxes;
  for (const auto& level : of_level) boxes.insert(boxes.end(), level.begin(), level.end());
  return boxes;
}

std::vector<char> LevelAnchors::valid(const ImageSize& size) const {
  std::vector<char> flags;
  for (size_t l = 0; l < sizes.size(); ++l) {
    const auto level = valid_anchors(rule, l, sizes[l][0], sizes[l][1], size.height, size.width);
    flags.insert(flags.end(), level.begin(), level.end());
  }
  return flags;
}

std::vector<LevelTargets> anchor_targets(const LevelAnchors& anchors,
                                         const std::vector<std::vector<int64_t>>& matched,
                                         const std::vector<GroundTruth>& truth, int64_t K,
                                         const Tensor& like) {
  std::vector<LevelTargets> levels;
  size_t first = 0;  // the level's first anchor among all
  for (const std::vector<Box>& boxes : anchors.of_level) {
    const size_t n = boxes.size(), rows = n * truth.size();
    std::vector<int64_t> labels(rows, -1);
    std::vector<double> present(rows, 0), used(rows, 0), deltas(rows * 4, 0);
    for (size_t b = 0, row = 0; b < truth.size(); ++b)
      for (size_t j = 0; j < n; ++j, ++row) {
        const int64_t object = matched[b][first + j];
        if (object == kUnsure) continue;
        used[row] = 1;
        labels[row] = object >= 0 ? truth[b].labels[size_t(object)] : K;
        if (object < 0) continue;
        present[row] = 1;
        const Delta d = encode(boxes[j], truth[b].boxes[size_t(object)], {1, 1, 1, 1});
        std::copy(d.begin(), d.end(), deltas.begin() + int64_t(row) * 4);
      }
    const int64_t R = int64_t(rows);
    levels.push_back({Tensor::from(labels, {R}).to(like.device()), tensor_of(present, {R}, like),
                      tensor_of(used, {R}, like), tensor_of(deltas, {R, 4}, like)});
    first += n;
  }
  return levels;
}

std::vector<int64_t> best_rows(const double* scores, int64_t n, int64_t K, int64_t most) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  if (n <= most) return order;
  std::vector<double> largest(static_cast<size_t>(n), -std::numeric_limits<double>::infinity());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < K; ++k)
      if (scores[i * K + k] > largest[size_t(i)]) largest[size_t(i)] = scores[i * K + k];
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t i, int64_t j) { return largest[size_t(i)] > largest[size_t(j)]; });
  order.resize(size_t(most));
  return order;
}

std::vector<double> numbers(const Tensor& x) {
  return x.detach().to(Device::cpu).to(DType::f64).to_vector<double>();
}

Delta delta_at(const double* deltas, int64_t i) {
  const double* d = deltas + i * 4;
  return {d[0], d[1], d[2], d[3]};
}

Tensor tensor_of(const std::vector<double>& values, const Shape& shape, const Tensor& like) {
  return Tensor::from(values, shape).to(like.dtype()).to(like.device());
}

}  // namespace rmt::nn

#include "train/segmentation/evaluation.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/parallel.h"

namespace rmt::train {
namespace {

// Between which two rows (or columns) of a map a row of its resized map lies, as in
// ops/resize_bilinear.h, but in double: a photograph may have more pixels than the whole numbers of
// that op's kernels can count.
struct Between {
  int64_t first, second;
  float share;  // of the second
};

std::vector<Between> between(int64_t in, int64_t out) {
  std::vector<Between> places;
  for (int64_t d = 0; d < out; ++d) {
    const double at = std::max(0., (double(d) + 0.5) * double(in) / double(out) - 0.5);
    const int64_t first = std::min(int64_t(at), in - 1);
    places.push_back({first, std::min(first + 1, in - 1), float(at - double(first))});
  }
  return places;
}

void mix(const float* a, const float* b, float share, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = a[i] + share * (b[i] - a[i]);
}

// Rows of logits (h, w, K) resized to (height, width), one at a time. The last two that were
// asked for are kept.
class ResizedRows {
 public:
  ResizedRows(const float* logits, const std::vector<Between>& rows,
              const std::vector<Between>& columns, int64_t w, int64_t K)
      : logits_(logits), rows_(rows), columns_(columns), w_(w), K_(K), narrow_(size_t(w * K)) {
    for (auto& row : kept_) row.resize(columns.size() * size_t(K));
  }
  const float* row(int64_t y) {  // (width, K)
    for (size_t k : {0, 1})
      if (which_[k] == y) return kept_[last_ = k].data();
    last_ ^= 1;  // the row that was asked for last stays
    which_[last_] = y;
    float* out = kept_[last_].data();
    const Between& v = rows_[size_t(y)];
    mix(logits_ + v.first * w_ * K_, logits_ + v.second * w_ * K_, v.share, w_ * K_,
        narrow_.data());
    for (const Between& u : columns_) {
      mix(narrow_.data() + u.first * K_, narrow_.data() + u.second * K_, u.share, K_, out);
      out += K_;
    }
    return kept_[last_].data();
  }

 private:
  const float* logits_;
  const std::vector<Between>&rows_, &columns_;
  int64_t w_, K_;
  std::vector<float> narrow_, kept_[2];
  int64_t which_[2] = {-1, -1};
  size_t last_ = 0;
};

uint8_t largest(const float* x, int64_t K) {
  int64_t best = 0;
  for (int64_t k = 1; k < K; ++k)
    if (x[k] > x[best]) best = k;
  return uint8_t(best);
}

// The sums over all processes, or nothing where one of them has not seen all of its part.
std::optional<PixelCounts> summed(const PixelCounts& mine, bool complete, Processes& processes) {
  std::vector<int64_t> numbers = mine.counts();
  numbers.push_back(complete);
  const int64_t n = int64_t(numbers.size());
  const Tensor all = processes.all_gather(Tensor::from<int64_t>(numbers, {n}));  // (R, n)
  PixelCounts sum(mine.classes());
  for (int64_t r = 0; r < processes.size(); ++r) {
    const int64_t* row = all.data<int64_t>() + r * n;
    PixelCounts theirs(mine.classes());
    std::copy_n(row, n - 1, theirs.counts().begin());
    sum.add(theirs);
    if (row[n - 1] == 0) return std::nullopt;
  }
  return sum;
}

}  // namespace

// Both resizes at once, row by row: the logits at full size would be 600 MB for 150 classes.
data::LabelImage predicted_labels(const Tensor& logits, const data::Place& p) {
  const Tensor x = logits.to(Device::cpu).to(DType::f32);  // (1, h, w, K)
  CHECK(x.rank() == 4 && x.dim(0) == 1, "predicted labels: logits of one image, got ", x.shape());
  const int64_t w = x.dim(2), K = x.dim(3), W = p.original_width, H = p.original_height;
  const auto rows = between(x.dim(1), p.height), columns = between(w, p.width);
  const auto up = between(p.height, H), across = between(p.width, W);
  data::LabelImage out{W, H, std::vector<uint8_t>(size_t(W * H))};
  parallel_for(H, 16, [&](int64_t begin, int64_t end) {
    ResizedRows resized(x.data<float>(), rows, columns, w, K);
    std::vector<float> row(size_t(p.width * K)), pixel(size_t(K), 0.f);
    for (int64_t y = begin; y < end; ++y) {
      const Between& v = up[size_t(y)];
      const float* first = resized.row(v.first);
      mix(first, resized.row(v.second), v.share, p.width * K, row.data());
      for (int64_t c = 0; c < W; ++c) {
        const Between& u = across[size_t(c)];
        mix(row.data() + u.first * K, row.data() + u.second * K, u.share, K, pixel.data());
        out.labels[size_t(y * W + c)] = largest(pixel.data(), K);
      }
    }
  });
  return out;
}

std::optional<PixelCounts> evaluate_segmentation(
    nn::Segmenter& model, data::Batches& loader, const Compute& compute,
    const data::TransformOptions& transform,
    const std::function<bool(const data::Batch&, const data::LabelImage&)>& seen) {
  TestedWeights own;
  const auto counts = evaluate_segmentation(own, model, loader, compute, transform, seen);
  if (!counts) return std::nullopt;
  return (*counts)[0];
}

std::optional<std::vector<PixelCounts>> evaluate_segmentation(
    TestedWeights& weights, nn::Segmenter& model, data::Batches& loader, const Compute& compute,
    const data::TransformOptions& transform,
    const std::function<bool(const data::Batch&, const data::LabelImage&)>& seen) {
  NoGrad off;
  model.mode().training = false;
  std::vector<PixelCounts> mine(weights.count(), PixelCounts(model.num_classes));
  const bool complete = weights.for_each(loader, [&](size_t k, const data::Batch& batch) {
    const Tensor images = compute.images(batch, transform);
    const data::LabelImage predicted =
        predicted_labels(model.forward(images).main, batch.places[0]);
    const Tensor& truth = batch.pixel_labels;  // (1, H, W)
    mine[k].add(predicted, {truth.dim(2), truth.dim(1), truth.to_vector<uint8_t>()});
    return seen(batch, predicted);
  });
  std::vector<PixelCounts> all;
  for (const PixelCounts& counts : mine) {
    const auto sum = summed(counts, complete, *compute.processes);
    if (!sum) return std::nullopt;
    all.push_back(*sum);
  }
  return all;
}

std::string segmentation_json(const Agreement& a, const std::vector<std::string>& classes,
                              int64_t images, double seconds) {
  auto number = [](double x) { return std::isfinite(x) ? nlohmann::json(x) : nlohmann::json(); };
  nlohmann::ordered_json j{{"mIoU", number(a.mean_iou)},
                           {"mAcc", number(a.mean_accuracy)},
                           {"aAcc", number(a.accuracy)},
                           {"images", images},
                           {"seconds", seconds}};
  for (size_t k = 0; k < a.classes.size(); ++k)
    j["per_class"].push_back({{"class", classes[k]},
                              {"IoU", number(a.classes[k].iou)},
                              {"accuracy", number(a.classes[k].accuracy)},
                              {"pixels", a.classes[k].pixels}});
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace rmt::train

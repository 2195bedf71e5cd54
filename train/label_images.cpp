#include "train/label_images.h"

#include <algorithm>
#include <numeric>

#include "core/parallel.h"
#include "ops/mean_pool.h"

namespace rmt::train {

data::LabelMap largest_logits(const float* scores, int64_t h, int64_t w, int64_t K, int64_t T) {
  CHECK(T >= 1 && T <= K, "label map: ", T, " logits of ", K, " classes; give from 1 to ", K);
  data::LabelMap map{h, w, T, std::vector<float>(size_t(h * w * T)),
                     std::vector<int32_t>(size_t(h * w * T))};
  std::vector<int32_t> order(static_cast<size_t>(K));
  for (int64_t cell = 0; cell < h * w; ++cell) {
    const float* z = scores + cell * K;
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + T, order.end(),
                      [z](int32_t a, int32_t b) { return z[a] > z[b] || (z[a] == z[b] && a < b); });
    for (int64_t t = 0; t < T; ++t) {
      map.classes[size_t(cell * T + t)] = order[size_t(t)];
      map.values[size_t(cell * T + t)] = z[order[size_t(t)]];
    }
  }
  return map;
}

LabelReport label_images(nn::Rmt& teacher, const data::Dataset& images, const LabelOptions& options,
                         const Compute& compute, data::LabelFileWriter& file,
                         const std::function<bool(int64_t, const Metrics&)>& progress) {
  NoGrad off;
  teacher.mode().training = false;
  data::TransformOptions transform = options.transform;
  transform.whole = true;
  data::Loader loader(images, {.batch_size = options.batch_size,
                               .workers = options.workers,
                               .train = false,
                               .max_bad = options.max_bad_images,
                               .cache_bytes = 0,
                               .transform = transform});
  LabelReport report;
  int64_t place = file.done() / options.batch_size * options.batch_size;
  loader.start(0, place / options.batch_size);
  while (auto batch = loader.next()) {
    const Tensor scores = teacher.token_scores(compute.images(*batch, transform))
                              .to(Device::cpu)
                              .to(DType::f32);  // (B, h, w, K)
    const int64_t B = scores.dim(0), h = scores.dim(1), w = scores.dim(2), K = scores.dim(3);
    report.teacher.add(ops::mean_pool(scores), batch->labels);
    std::vector<data::LabelMap> maps(static_cast<size_t>(B));
    parallel_for(B, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b)
        maps[size_t(b)] =
            largest_logits(scores.data<float>() + b * h * w * K, h, w, K, options.top);
    });
    for (int64_t b = 0; b < B; ++b, ++place) {
      if (place < file.done()) continue;  // from before
      const std::string name = short_name(images, place);
      if (batch->indices[size_t(b)] == place)
        file.add(name, maps[size_t(b)]);
      else  // could not be read, and is replaced by another image
        file.add_none(name);
    }
    if (!progress(place, report.teacher)) break;
  }
  report.bad = loader.bad();
  return report;
}

}  // namespace rmt::train

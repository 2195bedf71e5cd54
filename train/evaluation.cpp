#include "train/evaluation.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "train/memory.h"

namespace rmt::train {

Metrics evaluate(nn::Module& model, const Forward& forward, data::Loader& loader,
                 const Compute& compute, const data::TransformOptions& transform, const char* flag,
                 const std::function<bool(const data::Batch&, const Tensor&)>& seen) {
  NoGrad off;
  model.mode().training = false;
  Metrics metrics;
  auto logits_of = [&](const data::Batch& batch) {
    return forward(compute.images(batch, transform)).to(Device::cpu).to(DType::f32);
  };
  loader.start(0);
  while (auto batch = loader.next()) try {
      const Tensor logits = logits_of(*batch);  // (B, K)
      metrics.add(logits, batch->labels);
      if (seen && !seen(*batch, logits)) break;
    } catch (const OutOfMemory& e) {
      const Tensor& x = batch->images;
      throw_with_batch_that_fits(
          e, str("evaluation of ", x.dim(0), " images of ", x.dim(1), " x ", x.dim(2)), flag,
          x.dim(0), [&](int64_t n) { logits_of(first_images(*batch, n)); });
    }
  return metrics;
}

std::string evaluation_json(const Metrics& m, const ModelFile& file, int64_t bad_images,
                            double seconds, const std::string& split,
                            const std::vector<ClassResult>& classes) {
  const TrainOptions& o = file.options;
  auto rounded = [](double x, double digits) { return std::round(x * digits) / digits; };
  nlohmann::ordered_json j{
      {"model", o.model},
      {"top1", rounded(m.acc1(), 1e4)},
      {"top1_err", rounded(100 - m.acc1(), 1e4)},
      {"top5", rounded(m.acc5(), 1e4)},
      {"top5_err", rounded(100 - m.acc5(), 1e4)},
      {"param_count", rounded(double(file.model->parameter_count()) * 1e-6, 1e2)},
      {"img_size", o.img_size},
      {"crop_pct", o.crop_pct},
      {"interpolation", "bicubic"},
      {"loss", m.loss()},
      {"images", m.samples},
      {"bad_images", bad_images},
      {"data_dir", o.data_dir},
      {"split", split},
      {"seconds", rounded(seconds, 1e2)}};
  for (const ClassResult& r : classes)
    j["per_class"].push_back({{"class", file.class_name(r.index)},
                              {"images", r.images},
                              {"top1", rounded(r.top1(), 1e4)}});
  return j.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace rmt::train

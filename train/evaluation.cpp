#include "train/evaluation.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "train/memory.h"

namespace rmt::train {
namespace {

// The sum over all batches of all processes, in the order of ranks. Numbers of images are exact in
// f64, so that a batch travels as one row.
Metrics sum_over(Processes& processes, const std::vector<Metrics>& batches, bool complete) {
  const Tensor counts = processes.all_gather(
      Tensor::from<int64_t>({int64_t(batches.size()), int64_t(complete)}, {2}));  // (R, 2)
  const int64_t* count = counts.data<int64_t>();
  int64_t most = 0;
  for (int64_t r = 0; r < processes.size(); ++r) most = std::max(most, count[2 * r]);
  const Tensor rows = Tensor::zeros({most, 4}, DType::f64);
  double* row = rows.data<double>();
  for (const Metrics& m : batches)
    for (double x : {double(m.samples), double(m.top1), double(m.top5), m.loss_sum}) *row++ = x;
  const Tensor all = processes.all_gather(rows);  // (R, most, 4)
  Metrics sum;
  for (int64_t r = 0; r < processes.size(); ++r)
    for (int64_t b = 0; b < count[2 * r]; ++b) {
      const double* x = all.data<double>() + (r * most + b) * 4;
      sum.add(Metrics{int64_t(x[0]), int64_t(x[1]), int64_t(x[2]), x[3]});
    }
  for (int64_t r = 0; r < processes.size(); ++r) sum.complete &= count[2 * r + 1] == 1;
  return sum;
}

}  // namespace

Metrics evaluate(nn::Module& model, const Forward& forward, data::Loader& loader,
                 const Compute& compute, const data::TransformOptions& transform, const char* flag,
                 const std::function<bool(const data::Batch&, const Tensor&)>& seen,
                 Processes& processes) {
  TestedWeights own;
  return evaluate_each(own, model, forward, loader, compute, transform, flag, seen, processes)[0];
}

std::vector<Metrics> evaluate_each(
    TestedWeights& weights, nn::Module& model, const Forward& forward, data::Batches& loader,
    const Compute& compute, const data::TransformOptions& transform, const char* flag,
    const std::function<bool(const data::Batch&, const Tensor&)>& seen, Processes& processes) {
  NoGrad off;
  model.mode().training = false;
  std::vector<std::vector<Metrics>> batches(weights.count());
  auto logits_of = [&](const data::Batch& batch) {
    return forward(compute.images(batch, transform)).to(Device::cpu).to(DType::f32);
  };
  const bool complete = weights.for_each(loader, [&](size_t k, const data::Batch& batch) {
    try {
      const Tensor logits = logits_of(batch);  // (B, K)
      batches[k].emplace_back().add(logits, batch.labels);
      return !seen || seen(batch, logits);
    } catch (const OutOfMemory& e) {
      const Tensor& x = batch.images;
      throw_with_batch_that_fits(
          e, str("evaluation of ", x.dim(0), " images of ", x.dim(1), " x ", x.dim(2)), flag,
          x.dim(0), [&](int64_t n) { logits_of(first_images(batch, n)); });
    }
  });
  std::vector<Metrics> sums;
  for (const std::vector<Metrics>& of_weights : batches)
    sums.push_back(sum_over(processes, of_weights, complete));
  return sums;
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

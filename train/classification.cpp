#include "train/classification.h"

#include "train/token_labels.h"
#include "train/weights/model_file.h"

namespace rmt::train {
namespace {

// With label maps the loss of a model with a token head, else of its logits.
Objective objective_of(nn::Module& model, const Forward& forward, const TrainOptions& o,
                       const Loss& loss, const data::LabelMaps* labels) {
  if (!labels) return classification(forward, loss ? loss : loss_named(o.loss), o.smoothing);
  auto* rmt = dynamic_cast<nn::Rmt*>(&model);
  CHECK(rmt, "token labels train an RMT with a token head, and ", o.model, " is none");
  return token_labels(*rmt, o);
}

// Batches that train on a GPU lie in pinned memory.
data::LoaderOptions training_loader(const TrainOptions& o, const data::LabelMaps* labels,
                                    const Compute& compute) {
  data::LoaderOptions l = loader_options(o, true, labels, *compute.processes);
  l.pinned = compute.device == Device::cuda;
  return l;
}

}  // namespace

Classification::Classification(nn::Module& model, const Forward& forward,
                               const data::Dataset& train, const data::Dataset& test,
                               const TrainOptions& options, const Compute& compute,
                               const Loss& loss, const data::LabelMaps* labels)
    : model_(model),
      forward_(forward),
      compute_(compute),
      transform_(transform_options(options)),
      train_loader_(train, training_loader(options, labels, compute)),
      test_loader_(test, loader_options(options, false, nullptr, *compute.processes)),
      classes_(train.classes()),
      counts_{int64_t(classes_.size()), train.size(), test.size(), data::checksum(train),
              data::checksum(test)},
      place_(train.place()),
      objective_(objective_of(model, forward, options, loss, labels)) {}

std::optional<std::vector<TestResult>> Classification::test(TestedWeights& weights,
                                                            const GoOn& go_on) {
  std::vector<TestResult> results;
  for (const Metrics& m : evaluate_each(
           weights, model_, forward_, test_loader_, compute_, transform_, "--validation-batch-size",
           [&](const data::Batch&, const Tensor&) { return go_on(); }, *compute_.processes)) {
    if (!m.complete) return std::nullopt;
    results.push_back({m.loss(), {{"acc1", m.acc1()}, {"acc5", m.acc5()}}});
  }
  return results;
}

// Each image under its class, after crop, mirror and the rest; mixing comes later, on the device.
std::vector<data::Tile> Classification::pictures(const data::Batch& batch, int64_t most) const {
  std::vector<data::Tile> tiles;
  for (data::Image& image : data::batch_pictures(batch, transform_, most)) {
    const int64_t label = batch.labels.data<int64_t>()[tiles.size()];
    tiles.push_back({std::move(image), classes_[size_t(label)]});
  }
  return tiles;
}

}  // namespace rmt::train

#include "train/weights/backbone.h"

#include <algorithm>

namespace rmt::train {
namespace {

const std::string kBackbone = "backbone.";

bool is_of(const std::string& name, const std::vector<std::string>& layers) {
  return std::any_of(layers.begin(), layers.end(),
                     [&](const std::string& layer) { return name.starts_with(layer + "."); });
}

}  // namespace

std::vector<std::string> start_from_backbone(nn::Module& model,
                                             const std::vector<std::string>& class_layers,
                                             const Archive& archive) {
  const bool whole = std::any_of(archive.tensors.begin(), archive.tensors.end(),
                                 [](const auto& t) { return t.first.starts_with(kBackbone); });
  std::vector<std::pair<Tensor*, Tensor>> copies;
  int64_t made_anew = 0;
  for (const nn::Entry& e : model.state()) {
    const bool of_backbone = e.name.starts_with(kBackbone);
    const std::string theirs = whole ? e.name : e.name.substr(of_backbone ? kBackbone.size() : 0);
    const auto at = archive.tensors.find(theirs);
    const bool may_differ = whole ? is_of(e.name, class_layers)
                                  : !of_backbone || e.name.starts_with(kBackbone + "extra_norms.");
    if (at != archive.tensors.end() && at->second.shape() == e.tensor->shape() &&
        (whole || of_backbone)) {
      copies.push_back({e.tensor, at->second});
      continue;
    }
    CHECK(
        may_differ, archive.path, ": ", e.name, " is ", e.tensor->shape(), " in the model and ",
        at == archive.tensors.end() ? "missing in the file"
                                    : str(at->second.shape(), " in the file"),
        "; --initial-checkpoint takes a classifier with the same --model, or a model with the same "
        "--model and --head");
    made_anew += e.parameter;
  }
  for (auto& [to, from] : copies) to->copy_from(from.to(to->dtype()));
  return {str("weights of ", archive.path, ": ", whole ? "the whole model" : "the backbone", ", ",
              copies.size(), " tensors; ", made_anew, " parameters begin anew")};
}

}  // namespace rmt::train

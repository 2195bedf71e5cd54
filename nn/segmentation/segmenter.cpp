#include "nn/segmentation/segmenter.h"

#include "nn/segmentation/semantic_fpn.h"
#include "nn/segmentation/upernet.h"

namespace rmt::nn {

std::vector<std::string> segmentation_heads() { return {"semantic_fpn", "upernet"}; }

std::unique_ptr<Segmenter> make_segmenter(const std::string& head, const RmtConfig& backbone,
                                          int64_t classes, const SegmenterOptions& options) {
  CHECK(options.channels >= 2 && options.channels % 2 == 0, "segmenter: ", options.channels,
        " channels; give an even number");
  if (head == "semantic_fpn") return std::make_unique<SemanticFpn>(backbone, classes, options);
  if (head == "upernet") return std::make_unique<UperNet>(backbone, classes, options);
  throw Error(str("unknown segmentation head \"", head, "\"; known: semantic_fpn, upernet"));
}

}  // namespace rmt::nn

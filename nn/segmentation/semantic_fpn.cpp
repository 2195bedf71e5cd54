#include "nn/segmentation/semantic_fpn.h"

#include "ops/add.h"
#include "ops/resize_bilinear.h"

namespace rmt::nn {

Ladder::Ladder(int64_t I, int64_t O, int64_t doublings_) : doublings(doublings_) {
  for (int64_t i = 0; i < std::max<int64_t>(doublings, 1); ++i)
    convs.push_back(&add<ConvModule>(str(2 * i), i == 0 ? I : O, O, 3, true));
}

Tensor Ladder::forward(Tensor x) {
  for (ConvModule* conv : convs) {
    x = conv->forward(x);
    if (doublings > 0) x = ops::resize_bilinear(x, 2 * x.dim(1), 2 * x.dim(2));
  }
  return x;
}

SemanticFpnHead::SemanticFpnHead(int64_t levels, int64_t I, int64_t O, int64_t classes, double rate)
    : conv_seg(add<Conv2d>("conv_seg", O, classes, 1, 1, 0, ConvOptions{.fill = fill_of_last})),
      dropout(add<DropoutOfChannels>("dropout", rate, 0)) {
  for (int64_t i = 0; i < levels; ++i)
    ladders.push_back(&add<Ladder>(str("scale_heads.", i), I, O, i));
}

// The doublings of a map whose size was rounded up overshoot by some pixels; the sum is of the
// finest map's size.
Tensor SemanticFpnHead::features(const Maps& levels) {
  CHECK(levels.size() == ladders.size(), "Semantic FPN: got ", levels.size(), " levels, expected ",
        ladders.size());
  Tensor y = ladders[0]->forward(levels[0]);
  for (size_t i = 1; i < levels.size(); ++i) {
    const Tensor x = ladders[i]->forward(levels[i]);
    const bool fits = x.dim(1) == y.dim(1) && x.dim(2) == y.dim(2);
    y = ops::add(y, fits ? x : ops::resize_bilinear(x, y.dim(1), y.dim(2)));
  }
  return y;
}

SemanticFpn::SemanticFpn(const RmtConfig& c, int64_t classes, const SegmenterOptions& o)
    : Segmenter(c, classes),
      neck(add<Fpn>("neck", backbone.channels(),
                    FpnOptions{.channels = o.channels, .fill = fill_he_normal})),
      decode_head(
          add<SemanticFpnHead>("decode_head", 4, o.channels, o.channels / 2, classes, o.dropout)) {}

}  // namespace rmt::nn

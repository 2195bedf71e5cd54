// Semantic FPN (Kirillov et al., 2019): a feature pyramid, whose levels are brought to a quarter of
// the image by 3x3 convolutions and bilinear doubling, added up, and classified pixel by pixel.
//
//   1/32  p_3 -- conv -- x2 -- conv -- x2 -- conv -- x2 --+
//   1/16  p_2 -------------- conv -- x2 -- conv -- x2 ----+
//   1/8   p_1 ---------------------------- conv -- x2 ----+
//   1/4   p_0 ---------------------------------- conv ----+-- dropout -- 1x1 --> logits
#pragma once
#include "nn/dropout.h"
#include "nn/pyramid/conv_module.h"
#include "nn/pyramid/fpn.h"
#include "nn/segmentation/segmenter.h"

namespace rmt::nn {

// From a level at 1/4, 1/8, ... of the image to 1/4: (B, h, w, I) -> (B, 2^d h, 2^d w, O), with d
// doublings, each behind a convolution; at d = 0 there is one convolution alone. Names: 0, 2, 4,
// the places of the convolutions in a list that has the doublings between them.
struct Ladder : Module {
  int64_t doublings;
  std::vector<ConvModule*> convs;
  Ladder(int64_t I, int64_t O, int64_t doublings_);
  Tensor forward(Tensor x);
};

// Names: scale_heads.i, conv_seg.
struct SemanticFpnHead : Module {
  Conv2d& conv_seg;
  std::vector<Ladder*> ladders;
  DropoutOfChannels& dropout;

  // I channels of a level, O of the head.
  SemanticFpnHead(int64_t levels, int64_t I, int64_t O, int64_t classes, double rate);
  // Levels, the finest first -> (B, h_0, w_0, O), the sum of the ladders
  Tensor features(const Maps& levels);
  // -> logits (B, h_0, w_0, K)
  Tensor forward(const Maps& levels) { return conv_seg.forward(dropout.forward(features(levels))); }
};

struct SemanticFpn : Segmenter {
  Fpn& neck;
  SemanticFpnHead& decode_head;
  SemanticFpn(const RmtConfig& c, int64_t classes, const SegmenterOptions& o);
  SegmentationLogits forward(const Tensor& images) override {
    return {decode_head.forward(neck.forward(backbone.forward(images))), {}};
  }
};

}  // namespace rmt::nn

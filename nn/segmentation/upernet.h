// UperNet (Xiao et al., 2018): the coarsest map sees the whole image by pools of several sizes, and
// its knowledge goes down a pyramid whose maps are then classified together.
//
//   c_3 -- pools 1, 2, 3, 6 -- concat -- 3x3 --> l_3 ------------------+
//                                                 |  bilinear          |
//   c_2 -- 1x1 --------------------------------> l_2 -- 3x3 -----------+
//                                                 |                    |
//   c_1 -- 1x1 --------------------------------> l_1 -- 3x3 -----------+
//                                                 |                    |
//   c_0 -- 1x1 --------------------------------> l_0 -- 3x3 -- concat at l_0's size -- 3x3 -- 1x1
//
// In training an auxiliary head classifies c_2 by itself.
#pragma once
#include "nn/dropout.h"
#include "nn/pyramid/conv_module.h"
#include "nn/segmentation/segmenter.h"

namespace rmt::nn {

// Names: conv_seg, psp_modules.j.1, bottleneck, lateral_convs.i, fpn_convs.i, fpn_bottleneck.
struct UperNetHead : Module {
  Conv2d& conv_seg;
  std::vector<ConvModule*> psp_modules;  // of the pools of 1, 2, 3 and 6
  ConvModule* bottleneck;
  std::vector<ConvModule*> lateral_convs, fpn_convs;
  ConvModule* fpn_bottleneck;
  DropoutOfChannels* dropout;

  // O channels of the head.
  UperNetHead(const std::vector<int64_t>& channels_of_maps, int64_t O, int64_t classes,
              double rate);
  // The backbone's maps -> (B, h_0, w_0, O). In training B > 1: the pool of 1 leaves one number per
  // image and channel, and batch norm needs two.
  Tensor features(const Maps& maps);
  // -> logits (B, h_0, w_0, K)
  Tensor forward(const Maps& maps) { return conv_seg.forward(dropout->forward(features(maps))); }
  // x (B, h, w, C) -> (B, h, w, O): the map beside its means over 1, 4, 9 and 36 parts of itself
  Tensor with_pools(const Tensor& x);
};

// A 3x3 convolution and a layer of classes. Names: conv_seg, convs.0.
struct AuxiliaryHead : Module {
  Conv2d& conv_seg;
  ConvModule& conv;
  DropoutOfChannels& dropout;
  AuxiliaryHead(int64_t I, int64_t O, int64_t classes, double rate);
  // (B, h, w, I) -> (B, h, w, K)
  Tensor forward(const Tensor& x) { return conv_seg.forward(dropout.forward(conv.forward(x))); }
};

struct UperNet : Segmenter {
  UperNetHead& decode_head;
  AuxiliaryHead& auxiliary_head;
  UperNet(const RmtConfig& c, int64_t classes, const SegmenterOptions& o);
  SegmentationLogits forward(const Tensor& images) override;
  std::vector<std::string> class_layers() const override {
    return {"decode_head.conv_seg", "auxiliary_head.conv_seg"};
  }
};

}  // namespace rmt::nn

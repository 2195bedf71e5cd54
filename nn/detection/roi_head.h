// What a second stage says of the tiles that RoIAlign cuts out of the pyramid: which class, where
// exactly, and which pixels.
#pragma once
#include "nn/detection/fills.h"
#include "nn/detection/roi.h"

namespace rmt::nn {

constexpr int64_t kBoxTile = 7, kMaskTile = 14;  // sides of the tiles

// Of R boxes with K classes.
struct BoxOutputs {
  Tensor scores;  // (R, K + 1) logits, the background last
  Tensor deltas;  // (R, 4 K): four for each class
};

struct BoxHeadOptions {
  int64_t channels = 256, fc_channels = 1024;
  int64_t convs = 0, fcs = 2;  // 3x3 with batch norm; fully connected; each with ReLU
};

// The columns of shared_fcs.0.weight have the official order (C, 7, 7): channel by channel. The
// tiles are channels last, so each is transposed once, which costs little beside the matrix
// product, and checkpoints load as they are.
struct BoxHead : Module {
  int64_t classes;
  Linear &fc_cls, &fc_reg;
  std::vector<ConvModule*> shared_convs;
  std::vector<Linear*> shared_fcs;
  BoxHead(int64_t K, const BoxHeadOptions& o);

  BoxOutputs forward(const Tensor& tiles);  // (R, 7, 7, C)
};

// A convolution backwards: every pixel becomes 2 x 2, y(2r + i, 2s + j) = W_ij^T x(r, s) + bias.
//   (B, H, W, I) -> (B, 2 H, 2 W, O)
struct UpsampleConv : Module {
  Tensor& weight;  // (I, O, 2, 2)
  Tensor& bias;    // (O)
  UpsampleConv(int64_t I, int64_t O);
  Tensor forward(const Tensor& x);

 protected:
  void init_own(const std::function<Random()>& random) override;
};

// (R, 14, 14, C) -> a mask for each class, as logits (R, 28, 28, K)
struct MaskHead : Module {
  int64_t classes;
  std::vector<ConvModule*> convs;
  UpsampleConv& upsample;
  Conv2d& conv_logits;
  MaskHead(int64_t K, int64_t C);

  Tensor forward(const Tensor& tiles);

 private:
  std::vector<ConvModule*> add_convs(int64_t C);
};

// What a stage is trained for.
struct StageRule {
  MatchRule match;
  Delta stds;         // of the deltas (box.h)
  bool overlap;       // the loss of boxes is 10 (1 - GIoU); else the absolute difference of deltas
  double weight = 1;  // of its losses
};

// loss_cls, acc (the percentage of boxes that are given their label) and loss_bbox, all over the
// number of sampled boxes.
std::vector<std::pair<std::string, Tensor>> box_losses(const BoxOutputs& out, const RoiSample& s,
                                                       const std::vector<GroundTruth>& truth,
                                                       int64_t K, const StageRule& rule);

// The mean binary cross entropy of the masks of the boxes with an object, each of the channel of
// its class. Where there is none it is 0, with gradients of 0 for the head.
Tensor mask_loss(MaskHead& head, const Maps& levels, const RoiSample& s,
                 const std::vector<GroundTruth>& truth, double weight);

}  // namespace rmt::nn

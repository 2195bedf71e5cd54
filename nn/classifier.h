// What the programs train, evaluate and convert: any network from images to logits. It is the one
// module whose forward() is virtual, because a program learns only from a flag or a file which
// network it has (nn/models/registry.h).
//
//   struct Perceptron : Classifier {
//     Linear& head;
//     Perceptron(int64_t S, int64_t K) : head(add<Linear>("head", S * S * 3, K)) {}
//     Tensor forward(const Tensor& x) override {
//       return head.forward(ops::view(x, {x.dim(0), -1}));
//     }
//   };
#pragma once
#include "nn/module.h"

namespace rmt::nn {

struct Classifier : Module {
  // images (B, H, W, 3), normalised -> logits (B, K)
  virtual Tensor forward(const Tensor& images) = 0;

  // The name of the linear layer that has a row for each class. Fine-tuning makes it anew where the
  // classes are others, and `--freeze body` keeps all but this layer.
  virtual std::string classifier() const { return "head"; }
};

}  // namespace rmt::nn

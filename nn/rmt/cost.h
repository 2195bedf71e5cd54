// What a model costs, counted from its shapes: nothing is run. nn/rmt/cost.cpp is the chapter's
// formulas once more, as code.
#pragma once
#include "nn/rmt/config.h"

namespace rmt::nn {

// Of one image. A multiply-add is one product added to a sum, what the paper calls a FLOP; norms,
// activations, softmax and biases are not counted.
struct Cost {
  std::string name;  // "stem", "stage 1", "downsample 1", ..., "head"
  int64_t parameters = 0;
  int64_t multiply_adds = 0;            // those of attention included
  int64_t attention_multiply_adds = 0;  // of Q K^T and A V
  // Numbers of the forward pass that a training step keeps for the backward pass; 4 bytes each in
  // f32.
  int64_t kept_values = 0;
  Cost& operator+=(const Cost& c);
};

// The parts in the order in which an H x W image passes through them.
std::vector<Cost> cost(const RmtConfig& c, int64_t H, int64_t W);
Cost total(const std::vector<Cost>& parts);

}  // namespace rmt::nn

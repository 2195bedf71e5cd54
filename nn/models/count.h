// What a network costs. For RMT that is known in closed form (nn/rmt/cost.h); of any other network
// one image of zeros is sent through, and its ops count (ops/kernels/multiply_adds.h).
#pragma once
#include "nn/classifier.h"

namespace rmt::nn {

// Multiply-adds of one S x S image's forward pass. The model is on the CPU, or is an RMT.
int64_t multiply_adds(Classifier& model, int64_t S);

// The same by sending an image through, whatever the network.
int64_t counted_multiply_adds(Classifier& model, int64_t S);

}  // namespace rmt::nn

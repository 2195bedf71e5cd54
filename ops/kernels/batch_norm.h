// The halves of batch_norm, for ops that contain it and go through x in another way than it does.
// Defined in batch_norm.cpp. Internal to ops/.
#pragma once
#include "autograd/tape.h"

namespace rmt {
class Processes;
namespace ops {
struct BatchNormInputs;  // batch_norm.h
}

// What a batch is normalised with: y = (x - mean) rstd w + bias. x (M, C).
struct BatchStatistics {
  Tensor mean, rstd;     // (C), of w's dtype
  Tensor rows;           // (1) f64: of the batch, in all processes; undefined in evaluation
  Processes* processes;  // that have the batch
};

// Checks x and what is given with it, takes the statistics, and moves the running ones.
BatchStatistics batch_statistics(const char* op, const Tensor& x, const ops::BatchNormInputs& in);

// sums (2, C) f64, of dy (x - mean) and of dy over this process's rows -> the gradients by x, w and
// bias. dx may be dy itself; undefined, it is not computed.
Grads batch_norm_gradients(const Tensor& x, const Tensor& w, const BatchStatistics& s,
                           const Tensor& dy, const Tensor& sums, const Tensor& dx);

}  // namespace rmt

// What stands between the gradients and the parameters: is this step fit to be taken, and how far?
//
//   loss  = sum of the parts' losses / parts         parts: the batches whose gradients were added
//   |g|   = sqrt(sum of all gradients' squares) / parts
//   scale = (clip / (|g| + 1e-6)  where |g| > clip,  else 1) / parts      times every gradient
//
// A step whose loss or |g| is not finite does not count: no parameter moves, and the statistics
// that its forward pass has already spoilt (running means and variances of the batch norms) are
// taken back. One batch that overflows then costs one step and not the run.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "nn/module.h"

namespace rmt::train {

struct GuardOptions {
  double clip = 0;    // the norm above which gradients are scaled down to it; 0: never
  int64_t parts = 1;  // gradients and losses come as sums over so many batches
};

// What was found in a step. It counts if all of this is finite.
struct Verdict {
  float loss = 0;              // mean over the parts
  float norm = 0;              // |g|, before clipping
  int32_t bad_parameter = -1;  // the first whose gradient is not finite; -1: none
  HD bool finite() const { return std::isfinite(loss) && std::isfinite(norm); }
};

struct Judgement {
  Verdict verdict;
  double gradient_scale;
};

HD inline double gradient_scale(const GuardOptions& o, double norm) {
  return (o.clip > 0 && norm > o.clip ? o.clip / (norm + 1e-6) : 1) / double(o.parts);
}

// On the CPU. gradients: one a parameter, f32 or f64, undefined where it has none. loss: a scalar,
// the sum over the parts; undefined counts as 0.
Judgement judge(const std::vector<Tensor>& gradients, const Tensor& loss,
                const GuardOptions& options);

// The buffers that forward passes in training move, and how they were after the last step that
// counted.
class Statistics {
 public:
  struct Entry {
    std::string name;
    Tensor* buffer;
    Tensor kept;
  };

  // The floating-point buffers among the entries of a model's state.
  explicit Statistics(const std::vector<nn::Entry>& state);
  const std::vector<Entry>& entries() const { return entries_; }
  // Each process has moved its own: all take those of the first, as PyTorch's distributed training
  // does. Between the forward pass and keep(). Not needed where batch norm is synchronised.
  void share(Processes& processes) const;
  void keep();       // the step counts: they stay as its forward pass left them
  void take_back();  // it does not: as they were before

 private:
  std::vector<Entry> entries_;
};

}  // namespace rmt::train

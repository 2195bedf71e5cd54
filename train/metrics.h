// Sums over an evaluation: mean loss, top-1 and top-5.
#pragma once
#include <algorithm>

#include "ops/cross_entropy.h"

namespace rmt::train {

// Of five classes or fewer each answer is among the first five: people are not shown that number.
// Logs and JSON keep it, for their fields do not depend on the data.
inline bool has_top5(int64_t classes) { return classes > 5; }

struct Metrics {
  int64_t samples = 0;
  int64_t top1 = 0;      // of them, those whose label has the highest logit
  int64_t top5 = 0;      // one of the five highest
  double loss_sum = 0;   // of plain cross entropy, over samples
  bool complete = true;  // else an evaluation was ended early, and this is of a part

  double loss() const { return samples ? loss_sum / double(samples) : 0; }
  double acc1() const { return samples ? 100.0 * double(top1) / double(samples) : 0; }  // per cent
  double acc5() const { return samples ? 100.0 * double(top5) / double(samples) : 0; }

  void add(const Metrics& more) {
    samples += more.samples;
    top1 += more.top1;
    top5 += more.top5;
    loss_sum += more.loss_sum;
  }
  // logits (B, K) f32, labels (B) i64.
  void add(const Tensor& logits, const Tensor& labels) {
    const int64_t B = logits.dim(0);
    const int64_t K = logits.dim(1);
    if (B == 0) return;
    loss_sum += double(B) *
                double(ops::cross_entropy(logits, ops::smooth_one_hot(labels, K, 0)).item<float>());
    samples += B;
    for (int64_t b = 0; b < B; ++b) {
      const float* z = logits.data<float>() + b * K;
      const int64_t label = labels.data<int64_t>()[b];
      int64_t rank = 0;  // classes before the label
      // Ties go to the lower class. Written with "not less", so that a NaN beats the label and
      // never counts as right.
      for (int64_t k = 0; k < K; ++k)
        rank += k < label ? !(z[k] < z[label]) : k > label && !(z[k] <= z[label]);
      bool number = z[label] == z[label];
      top1 += number && rank < 1;
      top5 += number && rank < 5;
    }
  }
};

}  // namespace rmt::train

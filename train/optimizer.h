// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019), step for step
// as torch.optim.AdamW computes it.
//   g = s (the gradients of a step's parts, added);   s = 1 / parts, times clip / (|g| + 1e-6)
//   where |g|, the norm of all gradients together, is above clip p -= lr wd p;   m += (1 - b1) (g -
//   m);   v = b2 v + (1 - b2) g^2;   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
// and in the same pass the averages of weights and statistics, e += (1 - d) (p - e), and the
// weights' copy in another dtype (autograd/tape.h, in_dtype). A step whose loss or gradient is not
// finite moves nothing, and takes back what its forward pass did to the statistics.
#pragma once
#include <cmath>
#include <memory>
#include <vector>

#include "core/dtype.h"
#include "nn/module.h"
#include "train/groups.h"

namespace rmt::train {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.05;  // of the parameters that decays() says, where no rules are given
  double ema_decay = 0;        // d; 0: no averages
  double clip = 0;             // 0: never
  int64_t parts = 1;           // gradients and losses are sums over so many batches
};

// What a step found. It moved the parameters if all of this is finite.
struct Verdict {
  float loss = 0;  // mean over the parts
  float norm = 0;  // of all gradients together, before clipping
  float bad = -1;  // the place in slots() of the first parameter whose gradient is not finite
  HD bool finite() const { return std::isfinite(loss) && std::isfinite(norm); }
};

// The formula's scalars, worked out in double, used in the parameter's own type.
struct AdamWFactors {
  double gradient;      // s
  double decay;         // 1 - lr wd
  double take1;         // 1 - b1
  double keep2, take2;  // b2, 1 - b2
  double step;          // lr / (1 - b1^t)
  double correction2;   // sqrt(1 - b2^t)
  double eps;
  double take_ema;  // 1 - d
};

HD inline AdamWFactors adamw_factors(const AdamWOptions& o, double norm, double lr,
                                     double weight_decay, int64_t t) {
  return {.gradient = (o.clip > 0 && norm > o.clip ? o.clip / (norm + 1e-6) : 1) / double(o.parts),
          .decay = 1 - lr * weight_decay,
          .take1 = 1 - o.beta1,
          .keep2 = o.beta2,
          .take2 = 1 - o.beta2,
          .step = lr / (1 - std::pow(o.beta1, double(t))),
          .correction2 = std::sqrt(1 - std::pow(o.beta2, double(t))),
          .eps = o.eps,
          .take_ema = 1 - o.ema_decay};
}

// What one pass works on: n numbers each of parameter, m, v, gradient, average (or null) and bf16
// copy (or null). Of a statistic, which has no gradient: p, its average, and as m what it was after
// the last step that counted; v is null.
template <class T>
struct AdamWArrays {
  T *p, *m, *v;
  const T* g;
  T* ema;
  bf16* shadow;
  int64_t n;
};

class AdamW {
 public:
  // One parameter and its state. t counts the steps in which it had a gradient.
  struct Slot {
    std::string name;
    Tensor* parameter;
    double weight_decay, lr_scale;
    Tensor exp_avg, exp_avg_sq, ema;  // m, v, e
    int64_t t = 0;
  };
  // A buffer that forward passes in training move: batch norm's mean and variance.
  struct Statistic {
    std::string name;
    Tensor* buffer;
    Tensor kept, ema;  // as it was after the last step that counted; average
  };

  // The parameters, all of one dtype and on one device, must stay where they are. `rules`, one a
  // parameter, replace the groups that decays() makes; a frozen parameter gets no slot.
  // `statistics`: entries of the same model's state; those that are no floating-point buffers are
  // passed over.
  AdamW(const std::vector<nn::Entry>& parameters, const AdamWOptions& options,
        const std::vector<ParameterRule>& rules = {},
        const std::vector<nn::Entry>& statistics = {});
  ~AdamW();
  // Moves every parameter that has a gradient, in place. Gradients stay as they are. `loss`: a
  // scalar, f32, on the device of the parameters, the sum over the parts; undefined counts as 0.
  void step(double lr, const Tensor& loss = {});
  const Tensor& verdict() const {
    return verdict_;
  }  // of the last step: (3) f32, a Verdict's bytes, on the device of the parameters

  std::vector<Slot>& slots();  // with their counts up to date, which a GPU keeps
  std::vector<Statistic>& statistics() { return statistics_; }
  void set_counts();          // after someone has written into the slots' t
  void restore_statistics();  // takes back what forward passes did to them since the last step that
                              // counted
  void restart_averages();  // after someone has written into parameters or statistics: the averages
                            // begin again from these
  void swap_averages();  // parameters and statistics change places with their averages; again: back
  const AdamWOptions& options() const { return options_; }

  // step() in its parts, for a GPU: collect() sees where the gradients are, advance() sends the
  // rate to the GPU, launch() starts the kernels. A recorded graph holds launch() alone: before
  // each repetition comes advance().
  void collect();
  void advance(double lr);
  void launch(const Tensor& loss);

 private:
  struct Table;  // of all slots and statistics, in the memory of a GPU

  AdamWOptions options_;
  std::vector<Slot> slots_;
  std::vector<Statistic> statistics_;
  Tensor verdict_;
  std::unique_ptr<Table> table_;
};

namespace gpu {
// A block of threads takes one chunk of an array's numbers.
constexpr int64_t kAdamWChunk = 4096;
struct AdamWChunk {
  int32_t array, number;
};
// In the memory of a GPU; arrays, rates and decays stand in the order slots, then statistics.
struct AdamWTable {
  const AdamWArrays<float>* arrays;
  const AdamWChunk* chunks;
  const double *lr, *lr_scale, *weight_decay;
  int64_t* t;             // of the slots
  AdamWFactors* factors;  // likewise
  double* squares;        // of the gradients in each chunk, added
  Verdict* verdict;
  int64_t slots, chunk_count;
};
}  // namespace gpu

}  // namespace rmt::train

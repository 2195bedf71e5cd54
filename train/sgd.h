// Stochastic gradient descent with momentum, step for step as torch.optim.SGD computes it (without
// dampening). In a step a parameter p with the gradient g does
//
//   g <- g + wd p
//   m <- mu m + g              the sum of all gradients, each mu times weaker a step later
//   p <- p - lr m              or, with `nesterov`,  p <- p - lr (g + mu m)
//
// m begins at 0, so that the first step is m = g. Gradients that agree add up to g / (1 - mu),
// those that alternate cancel; Nesterov's form already takes the part mu m of the next step.
//
// The decay is coupled: it enters g, as the gradient of wd |p|^2 / 2 in the loss would, and passes
// through m. AdamW's (adamw.h) acts on p itself. Unlike AdamW's, the length of a step grows with
// that of the gradient: the rate must fit the loss, and lr and wd are other numbers here.
#pragma once
#include "core/dtype.h"
#include "train/optimizer_slot.h"

namespace rmt::train {

struct SgdOptions {
  double momentum = 0.9;  // mu
  bool nesterov = false;
  double weight_decay = 0;  // of the parameters that decays() says, where no rules are given
};

// The formula's scalars, of one parameter in one step.
template <class T>
struct SgdFactors {
  T gradient;  // what g is multiplied with first: guard.h, gradient_scale
  T decay;     // wd
  T momentum;  // mu
  T rate;      // lr
  bool nesterov;
};

template <class T>
HD inline SgdFactors<T> sgd_factors(const SgdOptions& o, double gradient_scale, double lr,
                                    double weight_decay) {
  return {T(gradient_scale), T(weight_decay), T(o.momentum), T(lr), o.nesterov};
}

// The formula for one number. The CPU's loop and the CUDA kernel call it.
template <class T>
HD inline void sgd(T& p, T& m, T gradient, const SgdFactors<T>& f) {
  const T g = f.gradient * gradient + f.decay * p;
  m = f.momentum * m + g;
  p = p - f.rate * (f.nesterov ? g + f.momentum * m : m);
}

// One step of one parameter on the CPU, in f32 or f64. gradient: of p's shape and dtype.
void sgd(OptimizerSlot& slot, const Tensor& gradient, double gradient_scale, double lr,
         const SgdOptions& options);

}  // namespace rmt::train

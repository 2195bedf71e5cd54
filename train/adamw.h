// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019), step for step
// as torch.optim.AdamW computes it. In its step t = 1, 2, ... a parameter p with the gradient g
// does
//
//   m <- m + (1 - b1) (g - m)             the running mean of its gradients
//   v <- b2 v + (1 - b2) g^2              the running mean of their squares
//   p <- p - lr wd p - lr m' / (sqrt(v') + eps)
//
//   where  m' = m / (1 - b1^t)  and  v' = v / (1 - b2^t):
//
// both means begin at 0 and are too small at first, which the divisions undo. m' / sqrt(v') lies
// near -1 or 1 where the gradients agree, near 0 where they do not: each number moves by at most
// about lr, however large its gradient. The decay wd pulls on p itself and does not pass through
// m and v, which is what sets AdamW apart from Adam.
//
// This file is the update of one parameter. Which steps count is guard.h, the average of the
// weights is average.h, and optimizer.h makes a training step of all three.
#pragma once
#include <cmath>

#include "core/dtype.h"
#include "train/optimizer_slot.h"

namespace rmt::train {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.05;  // of the parameters that decays() says, where no rules are given
};

// The formula's scalars, of one parameter in one step.
template <class T>
struct AdamWFactors {
  T gradient;     // what g is multiplied with first: guard.h, gradient_scale
  T decay;        // 1 - lr wd
  T take1;        // 1 - b1
  T keep2;        // b2
  T take2;        // 1 - b2
  T rate;         // lr / (1 - b1^t)
  T correction2;  // sqrt(1 - b2^t)
  T eps;
};

// They are worked out in double and used in the parameter's own type.
template <class T>
HD inline AdamWFactors<T> adamw_factors(const AdamWOptions& o, double gradient_scale, double lr,
                                        double weight_decay, int64_t t) {
  return {.gradient = T(gradient_scale),
          .decay = T(1 - lr * weight_decay),
          .take1 = T(1 - o.beta1),
          .keep2 = T(o.beta2),
          .take2 = T(1 - o.beta2),
          .rate = T(lr / (1 - std::pow(o.beta1, double(t)))),
          .correction2 = T(std::sqrt(1 - std::pow(o.beta2, double(t)))),
          .eps = T(o.eps)};
}

// The formula for one number. The CPU's loop and the CUDA kernel call it.
template <class T>
HD inline void adamw(T& p, T& m, T& v, T gradient, const AdamWFactors<T>& f) {
  const T g = f.gradient * gradient;
  m = m + f.take1 * (g - m);
  v = f.keep2 * v + f.take2 * (g * g);
  p = p * f.decay - f.rate * (m / (std::sqrt(v) / f.correction2 + f.eps));
}

// One step of one parameter on the CPU, in f32 or f64. gradient: of p's shape and dtype.
void adamw(OptimizerSlot& slot, const Tensor& gradient, double gradient_scale, double lr,
           const AdamWOptions& options);

}  // namespace rmt::train

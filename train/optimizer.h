// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019), step for step as torch.optim.AdamW computes it.
//   p -= lr wd p;   m += (1 - b1) (g - m);   v = b2 v + (1 - b2) g^2;   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
#pragma once
#include <vector>

#include "nn/module.h"

namespace rmt {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.05;  // of the parameters that decays() says
};

// The official groups (RMT.md 4.1): vectors, scalars and everything called bias are spared. gamma_1 and gamma_2, of shape (1, 1, 1, C), do decay.
bool decays(const std::string& name, const Shape& shape);

class AdamW {
 public:
  // One parameter and its state. t counts the steps in which it had a gradient.
  struct Slot {
    std::string name;
    Tensor* parameter;
    double weight_decay;
    Tensor exp_avg, exp_avg_sq;  // m, v
    int64_t t = 0;
  };

  AdamW(const std::vector<nn::Entry>& parameters, const AdamWOptions& options);
  // Moves every parameter that has a gradient, in place. Gradients stay as they are.
  void step(double lr);
  std::vector<Slot>& slots() { return slots_; }

 private:
  AdamWOptions options_;
  std::vector<Slot> slots_;
};

}  // namespace rmt

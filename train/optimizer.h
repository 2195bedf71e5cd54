// AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019), step for step as torch.optim.AdamW computes it.
//   p -= lr wd p;   m += (1 - b1) (g - m);   v = b2 v + (1 - b2) g^2;   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
// and in the same pass the average of the weights, e += (1 - d) (p - e), and their copy in another dtype (autograd/tape.h, in_dtype), where there are such.
#pragma once
#include <memory>
#include <vector>

#include "nn/module.h"

namespace rmt {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  double weight_decay = 0.05;  // of the parameters that decays() says
  double ema_decay = 0;        // d; 0: no average
};

// The official groups (RMT.md 4.1): vectors, scalars and everything called bias are spared. gamma_1 and gamma_2, of shape (1, 1, 1, C), do decay.
bool decays(const std::string& name, const Shape& shape);

// The formula's scalars, worked out in double, used in the parameter's own type.
struct AdamWFactors {
  double decay;         // 1 - lr wd
  double take1;         // 1 - b1
  double keep2, take2;  // b2, 1 - b2
  double step;          // lr / (1 - b1^t)
  double correction2;   // sqrt(1 - b2^t)
  double eps;
  double take_ema;  // 1 - d
};

// What one pass works on: n numbers each of parameter, m, v, gradient, average (or null) and bf16 copy (or null).
template <class T>
struct AdamWArrays {
  T *p, *m, *v;
  const T* g;
  T* ema;
  bf16* shadow;
  int64_t n;
};

namespace gpu {
// A block of threads takes one chunk of a parameter's numbers.
constexpr int64_t kAdamWChunk = 4096;
struct AdamWChunk {
  int32_t parameter, number;
};
}  // namespace gpu

class AdamW {
 public:
  // One parameter and its state. t counts the steps in which it had a gradient.
  struct Slot {
    std::string name;
    Tensor* parameter;
    double weight_decay;
    Tensor exp_avg, exp_avg_sq, ema;  // m, v, e
    int64_t t = 0;
  };

  // The parameters, all of one dtype and on one device, must stay where they are.
  AdamW(const std::vector<nn::Entry>& parameters, const AdamWOptions& options);
  ~AdamW();
  // Moves every parameter that has a gradient, in place. Gradients stay as they are. `gate`: a scalar, f32, on the device of the parameters, or undefined;
  // on a GPU nothing moves while it is not finite.
  void step(double lr, const Tensor& gate = {});
  std::vector<Slot>& slots() { return slots_; }

  // step() in its parts, for a GPU: collect() sees where the gradients are, advance() counts the step and sends all that the kernel reads to the GPU,
  // launch() starts that one kernel. A recorded graph holds launch() alone: before each repetition comes advance().
  void collect();
  void advance(double lr);
  void launch(const Tensor& gate);

 private:
  struct Table;  // of all parameters, in the memory of a GPU
  AdamWFactors factors(const Slot& s, double lr) const;

  AdamWOptions options_;
  std::vector<Slot> slots_;
  std::unique_ptr<Table> table_;
};

}  // namespace rmt

// A parameter and what the optimizer keeps of it from step to step.
#pragma once
#include <string>

#include "core/tensor.h"

namespace rmt::train {

struct OptimizerSlot {
  std::string name;
  Tensor* parameter;  // p
  double weight_decay;
  double lr_scale;    // the parameter's rate is lr times this
  Tensor exp_avg;     // m, of p's shape and dtype
  Tensor exp_avg_sq;  // v of AdamW, likewise; undefined for SGD
  int64_t t = 0;      // steps in which p had a gradient
};

}  // namespace rmt::train

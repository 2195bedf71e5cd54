#include "nn/models/count.h"

#include <utility>

#include "nn/rmt/cost.h"
#include "nn/rmt/model.h"
#include "ops/kernels/multiply_adds.h"

namespace rmt::nn {

int64_t multiply_adds(Classifier& model, int64_t S) {
  if (const auto* rmt = dynamic_cast<const Rmt*>(&model))
    return total(cost(rmt->config, S, S)).multiply_adds;
  return counted_multiply_adds(model, S);
}

int64_t counted_multiply_adds(Classifier& model, int64_t S) {
  const NoGrad off;
  const bool training = std::exchange(model.mode().training, false);
  multiply_adds_counted = 0;
  model.forward(Tensor::zeros({1, S, S, 3}));
  model.mode().training = training;
  return std::exchange(multiply_adds_counted, 0);
}

}  // namespace rmt::nn

#include "train/loss.h"

#include "core/error.h"
#include "ops/bce_with_logits.h"
#include "ops/cross_entropy.h"
#include "ops/mse.h"

namespace rmt::train {

Loss loss_named(const std::string& name) {
  if (name == "cross_entropy") return ops::cross_entropy;
  if (name == "bce")
    return [](const Tensor& x, const Tensor& target) { return ops::bce_with_logits(x, target); };
  CHECK(name == "mse", "--loss ", name, " is none of cross_entropy, bce and mse");
  return ops::mse;
}

}  // namespace rmt::train

#include "train/loss.h"

#include "core/error.h"
#include "ops/cross_entropy.h"

namespace rmt::train {

Loss loss_named(const std::string& name) {
  CHECK(name == "cross_entropy", "--loss ", name, " is not cross_entropy");
  return ops::cross_entropy;
}

}  // namespace rmt::train

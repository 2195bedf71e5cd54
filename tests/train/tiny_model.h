// A very small RMT with everything that has a state: batch norms, drop path, layer scale.
#pragma once
#include "tests/nn/small_model.h"

namespace rmt::test {

inline nn::RmtConfig tiny() {
  nn::RmtConfig c = small_model({8, 8, 16, 16}, {1, 1, 2, 1}, {1, 1, 2, 2});
  c.num_classes = 2;
  c.projection = 16;
  c.drop_path = 0.3;
  c.stages[2].layer_scale = true;
  c.stages[3].layer_scale = true;
  return c;
}

}  // namespace rmt::test

// A very small RMT with everything that has a state: batch norms, drop path, layer scale.
#pragma once
#include "nn/rmt/model.h"

namespace rmt::test {

inline nn::RmtConfig tiny() {
  nn::RmtConfig c = nn::rmt_config("rmt_n");
  c.num_classes = 2, c.dims = {8, 8, 16, 16}, c.depths = {1, 1, 2, 1}, c.heads = {1, 1, 2, 2};
  c.projection = 16, c.drop_path = 0.3, c.layer_scale = {false, false, true, true};
  return c;
}

}  // namespace rmt::test

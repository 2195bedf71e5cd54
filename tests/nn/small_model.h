// Models that are small enough for a test.
#pragma once
#include "nn/rmt/model.h"

namespace rmt::test {

// rmt_n with other sizes in its four stages.
inline nn::RmtConfig small_model(const std::array<int64_t, 4>& channels,
                                 const std::array<int64_t, 4>& blocks,
                                 const std::array<int64_t, 4>& heads) {
  nn::RmtConfig c = nn::rmt_config("rmt_n");
  for (size_t i = 0; i < c.stages.size(); ++i) {
    c.stages[i].channels = channels[i];
    c.stages[i].blocks = blocks[i];
    c.stages[i].heads = heads[i];
  }
  return c;
}

inline void set_stages(nn::RmtConfig& c, bool nn::StageConfig::*field, bool value) {
  for (nn::StageConfig& s : c.stages) s.*field = value;
}

}  // namespace rmt::test

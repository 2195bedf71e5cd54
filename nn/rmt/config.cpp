#include "nn/rmt/config.h"

namespace rmt::nn {
namespace {

// clang-format off
const std::vector<RmtConfig> kModels = {
    {.name = "rmt_n", .dims = {32, 64, 128, 256}, .depths = {1, 1, 4, 1}, .heads = {2, 2, 4, 8}, .mlp_ratio = {3, 3, 3, 3},
     .decay_range = {4, 4, 6, 6}, .decomposed = {true, true, false, false}, .drop_path = 0},
    {.name = "rmt_t", .dims = {64, 128, 256, 512}, .depths = {2, 2, 8, 2}, .heads = {4, 4, 8, 16}, .mlp_ratio = {3, 3, 3, 3},
     .decay_range = {4, 4, 6, 6}, .decomposed = {true, true, false, false}, .drop_path = 0.1},
    {.name = "rmt_s", .dims = {64, 128, 256, 512}, .depths = {3, 4, 18, 4}, .heads = {4, 4, 8, 16}, .mlp_ratio = {4, 4, 3, 3},
     .decay_range = {4, 4, 6, 6}, .decomposed = {true, true, true, false}, .drop_path = 0.15},
    {.name = "rmt_b", .dims = {80, 160, 320, 512}, .depths = {4, 8, 25, 8}, .heads = {5, 5, 10, 16}, .mlp_ratio = {4, 4, 3, 3},
     .decay_range = {5, 5, 6, 6}, .decomposed = {true, true, true, false}, .layer_scale = {false, false, true, true}, .drop_path = 0.4},
    {.name = "rmt_l", .dims = {112, 224, 448, 640}, .depths = {4, 8, 25, 8}, .heads = {7, 7, 14, 20}, .mlp_ratio = {4, 4, 3, 3},
     .decay_range = {6, 6, 6, 6}, .decomposed = {true, true, true, false}, .layer_scale = {false, false, true, true}, .drop_path = 0.5},
};
// clang-format on

}  // namespace

RmtConfig rmt_config(const std::string& name) {
  std::string known;
  for (const RmtConfig& c : kModels) {
    if (c.name == name) return c;
    known += (known.empty() ? "" : ", ") + c.name;
  }
  throw Error(str("unknown model \"", name, "\"; known: ", known));
}

std::vector<std::string> rmt_names() {
  std::vector<std::string> names;
  for (const RmtConfig& c : kModels) names.push_back(c.name);
  return names;
}

}  // namespace rmt::nn

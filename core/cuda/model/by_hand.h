// What a launch's arguments and machine code do not show: the one table to keep up to date by hand.
#pragma once
#include <string_view>

namespace rmt::gpu_model {

// A kernel that finds its tensors through a table in device memory: how many bytes it moves for
// each number of the model's parameters.
struct ByParameter {
  std::string_view launch;  // the launch's name
  double bytes;
};
inline constexpr ByParameter kByParameter[] = {
    {"adamw", 4 * 4 + 3 * 4 + 2},  // reads g, p, m, v; writes p, m, v and p in bf16
    {"guard_squares", 4},          // reads g
};

}  // namespace rmt::gpu_model

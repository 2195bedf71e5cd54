#include "nn/rmt/config.h"

#include "core/error.h"

namespace rmt::nn {
namespace {

// What a query attends to.
constexpr bool kAxes = true;  // its row, then its column
constexpr bool kMap = false;  // the whole map
// Whether a stage has LayerScale.
constexpr bool kScaled = true;

// clang-format off
// One row a stage: channels, blocks, heads, mlp_ratio, decay_range, decomposed, layer_scale.
const std::vector<RmtConfig> kModels = {
    {.name = "rmt_n", .stages = {{{ 32, 1,  2, 3, 4, kAxes},
                                  { 64, 1,  2, 3, 4, kAxes},
                                  {128, 4,  4, 3, 6, kMap},
                                  {256, 1,  8, 3, 6, kMap}}}, .drop_path = 0},

    {.name = "rmt_t", .stages = {{{ 64, 2,  4, 3, 4, kAxes},
                                  {128, 2,  4, 3, 4, kAxes},
                                  {256, 8,  8, 3, 6, kMap},
                                  {512, 2, 16, 3, 6, kMap}}}, .drop_path = 0.1},

    {.name = "rmt_s", .stages = {{{ 64,  3,  4, 4, 4, kAxes},
                                  {128,  4,  4, 4, 4, kAxes},
                                  {256, 18,  8, 3, 6, kAxes},
                                  {512,  4, 16, 3, 6, kMap}}}, .drop_path = 0.15},

    {.name = "rmt_b", .stages = {{{ 80,  4,  5, 4, 5, kAxes},
                                  {160,  8,  5, 4, 5, kAxes},
                                  {320, 25, 10, 3, 6, kAxes, kScaled},
                                  {512,  8, 16, 3, 6, kMap,  kScaled}}}, .drop_path = 0.4},

    {.name = "rmt_l", .stages = {{{112,  4,  7, 4, 6, kAxes},
                                  {224,  8,  7, 4, 6, kAxes},
                                  {448, 25, 14, 3, 6, kAxes, kScaled},
                                  {640,  8, 20, 3, 6, kMap,  kScaled}}}, .drop_path = 0.5},
};
// clang-format on

}  // namespace

int64_t RmtConfig::blocks() const {
  int64_t n = 0;
  for (const StageConfig& s : stages) n += s.blocks;
  return n;
}

double RmtConfig::drop_path_of(int64_t block) const {
  return blocks() > 1 ? drop_path * double(block) / double(blocks() - 1) : 0;
}

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

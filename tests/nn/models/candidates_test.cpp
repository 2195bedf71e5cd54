// The table of nn/models/README.md: what the skeletons cost with each reading of the paper.
#include <gtest/gtest.h>

#include "nn/models/count.h"
#include "nn/models/registry.h"

namespace rmt::test {
namespace {

struct Candidate {
  const char* about;
  const char* model;
  bool local_context;
  const char* decomposed;  // a digit for each stage; "": the model's own
  int64_t parameters;
  double multiply_adds;  // in 1e9, to three digits
};

// In the order of the table.
const Candidate kCandidates[] = {
    {"DeiT-S", "deit_s", true, "", 22'050'664, 4.599},
    {"RMT-DeiT-S", "rmt_deit_s", true, "", 22'094'440, 4.597},
    {"RMT-DeiT-S without LCE", "rmt_deit_s", false, "", 21'974'632, 4.574},
    {"Swin-T", "swin_t", true, "", 28'288'354, 4.491},
    {"RMT-Swin-T without LCE", "rmt_swin_t", false, "", 28'265'032, 4.552},
    {"RMT-Swin-T", "rmt_swin_t", true, "", 28'379'848, 4.587},
    {"RMT-Swin-T, full in stages 3 and 4", "rmt_swin_t", true, "1100", 28'379'848, 4.739},
    {"Swin-S", "swin_s", true, "", 49'606'258, 8.741},
    {"RMT-Swin-S", "rmt_swin_s", true, "", 49'793'224, 8.822},
    {"RMT-Swin-S, full in stages 3 and 4", "rmt_swin_s", true, "1100", 49'793'224, 9.278},
};

nn::ModelSettings settings_of(const Candidate& c) {
  nn::ModelSettings s;
  if (std::string(c.model).starts_with("rmt_"))
    s.ablate = [c](nn::RmtConfig& config) {
      config.local_context = c.local_context;
      for (size_t i = 0; i < std::string(c.decomposed).size(); ++i)
        config.stages[i].decomposed = c.decomposed[i] == '1';
    };
  return s;
}

}  // namespace

TEST(Candidates, ParametersAndMultiplyAddsAreThoseOfTheTable) {
  for (const Candidate& c : kCandidates) {
    const auto model = nn::make_model(c.model, settings_of(c));
    EXPECT_EQ(model->parameter_count(), c.parameters) << c.about;
    EXPECT_NEAR(double(nn::counted_multiply_adds(*model, 224)) / 1e9, c.multiply_adds, 0.0005)
        << c.about;
  }
}

// Of RMT the ops count what nn/rmt/cost.h knows in closed form.
TEST(Candidates, OpsCountWhatTheClosedFormSays) {
  const auto rmt = nn::make_model("rmt_n", {.num_classes = 10});
  EXPECT_EQ(nn::counted_multiply_adds(*rmt, 64), nn::multiply_adds(*rmt, 64));
}

}  // namespace rmt::test

#include "train/recipe.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "train/nearest.h"

namespace rmt::train {
namespace {

using json = nlohmann::json;

constexpr const char* kNames[] = {"official", "paper", "small-data", "finetune"};

struct Row {
  const char* field;      // of TrainOptions
  const char* values[4];  // JSON, in the order of kNames; null: not set
};

// The official column is the official code's (RMT.md 4.1 to 4.5), the paper's differs from it by
// RMT.md 1.5, rows 10 and 12: it states 1e-3 at 1024 images a step, which is the code's 5e-4 *
// images / 512 (lr 0), and nothing of a rate that is constant within the epoch and one epoch late.
// Its "mixup 0.8, cutmix 1" are called probabilities; in the code they are the alphas, and so here.
// Images a step are batches of 128 times 16 (the logs' peak is 2e-3) or 8.
//
// small-data is made for some thousands of steps: an average over 500 of them; two mild operations
// of RandAugment; half of the batches mixed, mildly, and none in the last sixth of the run, where
// the model sees whole images at low rates; noise on one image in ten; a rate at the upper end of
// what AdamW takes with 128 images. Stronger settings of each pay off in runs of hundreds of epochs
// only.
//
// finetune: few steps from good weights. The new head needs a rate that would harm the rest, so
// that the rate falls from it down (timm's layer decay); little weight decay, which pulls to zero
// and not to where the weights came from; crops that keep the object.
// clang-format off
constexpr Row kRows[] = {
    // field              official                      paper                         small-data                    finetune
    {"epochs",            {"300",                       "300",                        "30",                         "30"}},
    {"batch_size",        {"128",                       "128",                        "128",                        "64"}},
    {"grad_accum_steps",  {"16",                        "8",                          "1",                          "1"}},
    {"lr",                {"0",                         "0",                          "1.5e-3",                     "3e-4"}},    // 4.2
    {"min_lr",            {"1e-5",                      "1e-5",                       "1e-5",                       "1e-6"}},
    {"warmup_lr",         {"1e-6",                      "1e-6",                       "1e-6",                       "1e-6"}},
    {"warmup_epochs",     {"5",                         "5",                          "2",                          "1"}},
    {"sched_on_updates",  {"false",                     "true",                       "true",                       "true"}},
    {"weight_decay",      {"0.05",                      "0.05",                       "0.05",                       "0.01"}},    // 4.1
    {"opt_betas",         {"[0.9, 0.999]",              "[0.9, 0.999]",               "[0.9, 0.999]",               "[0.9, 0.999]"}},
    {"opt_eps",           {"1e-8",                      "1e-8",                       "1e-8",                       "1e-8"}},
    {"clip_grad",         {"0",                         "0",                          "0",                          "0"}},
    {"model_ema",         {"true",                      "true",                       "true",                       "true"}},    // 4.5
    {"model_ema_decay",   {"0",                         "0",                          "0.998",                      "0.99"}},
    {"drop_path",         {"-1",                        "-1",                         "0.05",                       "-1"}},      // 1.5, row 11
    {"smoothing",         {"0.1",                       "0.1",                        "0.1",                        "0.1"}},     // 4.3
    {"img_size",          {"224",                       "224",                        nullptr,                      nullptr}},
    {"scale",             {"[0.08, 1]",                 "[0.08, 1]",                  "[0.35, 1]",                  "[0.5, 1]"}},
    {"ratio",             {"[0.75, 1.3333333333333333]", "[0.75, 1.3333333333333333]", "[0.75, 1.3333333333333333]", "[0.75, 1.3333333333333333]"}},
    {"hflip",             {"0.5",                       "0.5",                        "0.5",                        "0.5"}},
    {"aa",                {"\"rand-m9-mstd0.5-inc1\"",  "\"rand-m9-mstd0.5-inc1\"",   "\"rand-m5-mstd0.5-inc1\"",   "\"rand-m4-mstd0.5-inc1\""}},
    {"color_jitter",      {"0",                         "0",                          "0",                          "0"}},
    {"reprob",            {"0.25",                      "0.25",                       "0.1",                        "0"}},
    {"aug_repeats",       {"3",                         "3",                          "1",                          "1"}},
    {"mixup",             {"0.8",                       "0.8",                        "0.2",                        "0"}},
    {"cutmix",            {"1.0",                       "1.0",                        "1.0",                        "0"}},
    {"mixup_prob",        {"1.0",                       "1.0",                        "0.5",                        "1.0"}},
    {"mixup_switch_prob", {"0.5",                       "0.5",                        "0.5",                        "0.5"}},
    {"mixup_off_epoch",   {"0",                         "0",                          "-5",                         "0"}},
    {"crop_pct",          {"0.875",                     "0.875",                      nullptr,                      nullptr}},   // 4.4
    {"layer_decay",       {"1",                         "1",                          "1",                          "0.9"}},
};
// clang-format on

size_t column(const std::string& name) {
  const auto* at = std::find(std::begin(kNames), std::end(kNames), name);
  CHECK(at != std::end(kNames), "--recipe ", name,
        " is not known: official, paper, small-data, finetune", did_you_mean(name, recipe_names()));
  return size_t(at - std::begin(kNames));
}

json as_json(const TrainOptions& options) { return json::parse(to_json(options)); }

// "--lr 0.0015"; switches as people write them.
std::string as_flag(const std::string& field, const json& value) {
  if (field == "sched_on_updates")
    return value.get<bool>() ? "--sched-on-updates" : "--sched-on-epochs";
  std::string flag = field;
  std::replace(flag.begin(), flag.end(), '_', '-');
  if (value.is_boolean()) return str(value.get<bool>() ? "--" : "--no-", flag);
  std::string text = str("--", flag);
  for (const json& part : value.is_array() ? value : json::array({value}))
    text += str(" ", part.is_string() ? part.get<std::string>() : part.dump());
  return text;
}

}  // namespace

std::vector<std::string> recipe_names() { return {std::begin(kNames), std::end(kNames)}; }

TrainOptions with_recipe(const std::string& name, const TrainOptions& options) {
  const size_t c = column(name);
  json all = as_json(options);
  for (const Row& row : kRows)
    if (row.values[c]) all.at(row.field) = json::parse(row.values[c]);
  return options_from_json(all.dump(), "recipe " + name);
}

std::string describe_recipe(const std::string& name, const TrainOptions& options) {
  const size_t c = column(name);
  const json set = as_json(with_recipe(name, options)), now = as_json(options);
  std::string text = str("recipe ", name, ":"), otherwise;
  for (const Row& row : kRows) {
    if (!row.values[c]) continue;
    text += str(" ", as_flag(row.field, set.at(row.field)));
    if (set.at(row.field) != now.at(row.field))
      otherwise += str(otherwise.empty() ? "" : ", ", as_flag(row.field, now.at(row.field)),
                       " (recipe: ", as_flag(row.field, set.at(row.field)), ")");
  }
  return text + (otherwise.empty() ? "" : "\ngiven otherwise: " + otherwise);
}

}  // namespace rmt::train

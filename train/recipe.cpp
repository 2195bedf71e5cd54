#include "train/recipe.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "train/nearest.h"
#include "train/settings.h"

namespace rmt::train {
namespace {

using nlohmann::json;

constexpr const char* kNames[] = {"official", "paper", "small-data", "finetune", "token-labels"};

// Which of a row's values are this recipe's.
size_t column(const std::string& name) {
  const auto* at = std::find(std::begin(kNames), std::end(kNames), name);
  CHECK(at != std::end(kNames), "--recipe ", name,
        " is not known: official, paper, small-data, finetune, token-labels",
        did_you_mean(name, recipe_names()));
  return size_t(at - std::begin(kNames));
}

// "--lr 0.0015", "--scale 0.08 1.0".
template <class T>
std::string as_flag(const Setting<T>& s, const T& value) {
  const json written = value;
  std::string text = flag_of(s.name);
  for (const json& part : written.is_array() ? written : json::array({written}))
    text += str(" ", part.is_string() ? part.get<std::string>() : part.dump());
  return text;
}

// Of the flags "--on,!--off" the one that says so.
std::string as_flag(const Setting<bool>& s, bool value) {
  const std::string flags = s.flags;
  const size_t off = flags.find(",!");
  return value ? flags.substr(0, off) : flags.substr(off + 2);
}

}  // namespace

std::vector<std::string> recipe_names() { return {std::begin(kNames), std::end(kNames)}; }

TrainOptions with_recipe(const std::string& name, const TrainOptions& options) {
  const size_t c = column(name);
  TrainOptions out = options;
  for_each_setting([&](const auto& s) { out.*s.field = s.recipes[c].value_or(out.*s.field); });
  return out;
}

std::string describe_recipe(const std::string& name, const TrainOptions& options) {
  const size_t c = column(name);
  std::string text = str("recipe ", name, ":");
  std::string otherwise;
  for_each_setting([&](const auto& s) {
    if (!s.recipes[c]) return;
    const auto &set = *s.recipes[c], &now = options.*s.field;
    text += ' ';
    text += as_flag(s, set);
    if (set != now)
      otherwise +=
          str(otherwise.empty() ? "" : ", ", as_flag(s, now), " (recipe: ", as_flag(s, set), ")");
  });
  return text + (otherwise.empty() ? "" : "\ngiven otherwise: " + otherwise);
}

}  // namespace rmt::train

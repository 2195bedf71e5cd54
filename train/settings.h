// The settings of a run as a table that code can walk: each row of train/settings.def becomes a
// Setting, which knows its field by a pointer to the member. JSON, checks, flags and recipes are
// each one walk:
//
//   for_each_setting([&](const auto& s) { json[s.name] = options.*s.field; });
#pragma once
#include <array>
#include <optional>
#include <string>

#include "nn/rmt/config.h"
#include "train/options.h"

namespace rmt::train {

enum class Group {
#define GROUP(name, title) name,
#define SETTING(...)
#define SWITCH(...)
#include "train/settings.def"
#undef GROUP
#undef SETTING
#undef SWITCH
};

struct Range {
  double least = 0, most = -1;  // least > most: there is none
  const char* unit = "";        // the end of the message about a value outside
};

constexpr auto kept = std::nullopt;  // in the table: what a recipe does not set

template <class T>
struct Setting {
  Group group;
  const char* title;  // of the group
  T TrainOptions::*field;
  const char *name, *flags, *help;
  Range range = {};
  std::array<std::optional<T>, 5> recipes = {};  // in the order of recipe_names() (train/recipe.h)
};

// Calls f(Setting<T>) for each, in the table's order.
template <class F>
void for_each_setting(const F& f) {
  Group group{};
  const char* group_title = "";
#define GROUP(id, title) \
  group = Group::id;     \
  group_title = title;
#define SETTING(type, field, value, ...) \
  f(Setting<type>{group, group_title, &TrainOptions::field, #field, __VA_ARGS__});
#define SWITCH(field, ...) SETTING(bool, field, true, __VA_ARGS__)
#include "train/settings.def"
#undef GROUP
#undef SETTING
#undef SWITCH
}

// Calls f(name, field of TrainOptions, field of nn::RmtConfig) for each switch of the model.
template <class F>
void for_each_switch(const F& f) {
#define GROUP(...)
#define SETTING(...)
#define SWITCH(field, ...) f(#field, &TrainOptions::field, &nn::RmtConfig::field);
#include "train/settings.def"
#undef GROUP
#undef SETTING
#undef SWITCH
}

// "batch_size" -> "--batch-size"
inline std::string flag_of(std::string name) {
  for (char& c : name)
    if (c == '_') c = '-';
  return "--" + name;
}

}  // namespace rmt::train

// Flags by CLI11: how they are read, and those that several programs share. The flags of a training
// run are made from the table of its settings (train/settings.def).
#pragma once
#include <CLI/CLI.hpp>
#include <iostream>
#include <set>
#include <string_view>

#include "examples/process.h"
#include "train/nearest.h"
#include "train/settings.h"

namespace rmt {

// "did you mean --epochs?" for the flag that is nearest to one that the program does not know, or
// nothing.
inline std::string suggestion(const CLI::App& app) {
  std::vector<const CLI::App*> apps = {&app};
  for (const CLI::App* chosen : app.get_subcommands()) apps.push_back(chosen);
  for (std::string unknown : app.remaining(true)) {
    if (!unknown.starts_with("-")) continue;
    unknown = unknown.substr(0, unknown.find('='));
    std::vector<std::string> known;
    for (const CLI::App* a : apps)
      for (const CLI::Option* option : a->get_options())
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    if (const std::string text = train::did_you_mean(unknown, known); !text.empty()) return text;
  }
  return "";
}

// The first call of every program: prepares the process (process.h) and parses the flags into what
// the app's options are bound to. Returns -1 to go on, else the exit status (after --help: 0).
inline int parse_flags(CLI::App& app, int argc, char** argv) {
  begin_process();
  try {
    app.parse(argc, argv);
    return -1;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return end_process(app.get_name(), app.exit(e));
    std::cerr << app.get_name() << ": " << e.what() << suggestion(app) << " (" << app.get_name()
              << " --help lists the flags)" << std::endl;
    return 2;
  }
}

// The flags of those groups of settings (train/settings.def), bound to the fields of `o`.
inline void add_settings(CLI::App& app, train::TrainOptions& o,
                         const std::set<train::Group>& groups) {
  train::for_each_setting([&]<class T>(const train::Setting<T>& s) {
    if (!groups.contains(s.group)) return;
    T& value = o.*s.field;
    CLI::Option* flag = nullptr;
    if constexpr (!std::is_same_v<T, bool>)
      flag = app.add_option(s.flags, value, s.help);
    else if (std::string_view(s.flags).starts_with("--no-"))
      flag = app.add_flag_callback(
          s.flags, [&value] { value = false; }, s.help);
    else
      flag = app.add_flag(s.flags, value, s.help);
    flag->group(s.title);
  });
}

// The flags that choose where to compute, the same in every program that does.
inline void add_compute_flags(CLI::App& app, train::TrainOptions& o) {
  add_settings(app, o, {train::Group::device});
}

// The flags that choose and change a model, the same in every program that builds one.
inline void add_model_flags(CLI::App& app, train::TrainOptions& o) {
  add_settings(app, o, {train::Group::model, train::Group::ablations});
}

}  // namespace rmt

// Flags by CLI11: how they are read, and those that several programs share. The flags of a training
// run are made from the table of its settings (train/settings.def).
#pragma once
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <limits>
#include <set>
#include <string_view>

#include "core/error.h"
#include "examples/process.h"
#include "train/nearest.h"
#include "train/settings.h"

namespace rmt {

// A word of the command line for a message: printable, in quotes, a long one cut.
inline std::string quoted_word(const std::string& word) {
  return '"' + printable(word.size() <= 40 ? word : word.substr(0, 37) + "...") + '"';
}

// Makes the word of a whole number the one that CLI11 takes for it, or says what is wrong with it.
// CLI11 alone would read "" as 0, "010" as eight, and -1 as the largest of the unsigned numbers.
template <class Whole>
std::string read_whole_number(std::string& word) {
  const char* const end = word.data() + word.size();
  Whole value = 0;
  const auto [stop, error] = std::from_chars(word.data(), end, value);
  if (error != std::errc() || stop != end)
    return quoted_word(word) + " is not a whole number" +
           (std::is_signed_v<Whole> ? ", as 12 is" : " from 0 to 18446744073709551615");
  word = std::to_string(value);
  return "";
}

// The same for any number; those without an end, inf and nan, have no use in any flag.
inline std::string read_number(std::string& word) {
  const char* const end = word.data() + word.size();
  double value = 0;
  const auto [stop, error] = std::from_chars(word.data(), end, value);
  const bool read = error == std::errc() && stop == end && std::isfinite(value);
  return read ? "" : quoted_word(word) + " is not a number, as 12, 0.05 and 5e-4 are";
}

// "rmt 1.0 (GCC 12.2.0, AVX-512, GPU emulated)"
inline std::string version_text() {
#ifdef RMT_CUDA
  const char* gpu = "with CUDA";
#else
  const char* gpu = "GPU emulated";
#endif
#if defined(__AVX512F__)
  const char* vectors = "AVX-512";
#elif defined(__AVX2__)
  const char* vectors = "AVX2";
#elif defined(__ARM_NEON)
  const char* vectors = "NEON";
#else
  const char* vectors = "generic";
#endif
  return str("rmt 1.0 (compiler ", __VERSION__, ", ", vectors, ", ", gpu, ")");
}

// What holds for all flags of a program, told to CLI11 once all of them are there: numbers are read
// by the functions above, of a flag that is given twice the last counts, and there is --version.
inline void prepare_flags(CLI::App& app) {
  constexpr int kEndless = 1000;  // values: of a list of files all count
  app.set_version_flag("--version", version_text());
  std::vector<CLI::App*> apps = app.get_subcommands({});
  apps.push_back(&app);
  for (CLI::App* a : apps)
    for (CLI::Option* option : a->get_options()) {
      const std::string type =
          option->get_type_name();  // INT, UINT, FLOAT; [FLOAT,FLOAT] of a pair
      if (type.starts_with("UINT"))
        option->transform(CLI::Validator(read_whole_number<uint64_t>, ""));
      else if (type.starts_with("INT"))
        option->transform(CLI::Validator(read_whole_number<int64_t>, ""));
      else if (type.find("FLOAT") != std::string::npos)
        option->transform(CLI::Validator(read_number, ""));
      if (option->get_items_expected_max() < kEndless) option->take_last();
    }
}

// The words of the command line behind the program's name as its flags are called here. In timm's
// habit a flag's name may have '_' for '-', and --amp may stand alone.
inline std::vector<std::string> flag_words(int argc, const char* const* argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  for (std::string& word : words) {
    if (word == "--") break;  // behind it are no flags
    if (word.starts_with("--"))
      std::replace(word.begin(), std::find(word.begin(), word.end(), '='), '_', '-');
  }
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i)
    if (words[i] == "--amp" && (i + 1 == words.size() || words[i + 1].starts_with('-')))
      words[i] = "--amp=bf16";
  return words;
}

// Parses the words into what the app's options are bound to; throws CLI11's errors.
inline void parse_words(CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> words = flag_words(argc, argv);
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  app.parse(std::move(words));
}

// "there is no --epoch; did you mean --epochs?" for each flag that the program does not know, in
// the order in which they were given.
inline std::string unknown_flags(const CLI::App& app) {
  std::vector<const CLI::App*> apps = {&app};
  for (const CLI::App* chosen : app.get_subcommands()) apps.push_back(chosen);
  std::vector<std::string> known;
  for (const CLI::App* a : apps)
    for (const CLI::Option* option : a->get_options())
      if (!option->get_group().empty())  // those without a group are not shown by --help either
        for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  std::string text;
  for (std::string word : app.remaining(true)) {
    if (!word.starts_with("-") || word == "--") continue;
    word = word.substr(0, word.find('='));
    text += str(text.empty() ? "" : " ", "there is no ", printable(word),
                train::did_you_mean(word, known));
  }
  return text;
}

// The first call of every program: prepares the process (process.h) and parses the flags into what
// the app's options are bound to. Returns -1 to go on, else the exit status (after --help: 0). What
// is no flag at all is told before what is wrong with the values of others.
inline int parse_flags(CLI::App& app, int argc, char** argv) {
  begin_process();
  prepare_flags(app);
  try {
    parse_words(app, argc, argv);
    return -1;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return end_process(app.get_name(), app.exit(e));
    const std::string unknown = unknown_flags(app);
    std::cerr << app.get_name() << ": " << (unknown.empty() ? printable(e.what(), true) : unknown)
              << " (" << app.get_name() << " --help lists the flags)" << std::endl;
    return 2;
  }
}

// The flags of those groups of settings (train/settings.def), but for those called `without`, bound
// to the fields of `o`.
inline void add_settings(CLI::App& app, train::TrainOptions& o,
                         const std::set<train::Group>& groups,
                         const std::set<std::string>& without = {}) {
  train::for_each_setting([&]<class T>(const train::Setting<T>& s) {
    if (!groups.contains(s.group) || without.contains(s.name)) return;
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

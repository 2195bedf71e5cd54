// The flags of timm's train.py and of the official code that have no setting here: what rmt does
// instead. Those that ask for what is done in any case are taken, the others are errors that say
// what to give.
#pragma once
#include "examples/flags.h"

namespace rmt {

// A flag of theirs. `taken` is the value that changes nothing; empty: none does; null: the flag has
// no value and changes nothing itself.
struct TimmFlag {
  const char *name, *taken, *answer;
};

constexpr TimmFlag kTimmFlags[] = {
    {"--opt", "adamw", "rmt-train alone lets one choose; leave it out"},
    {"--sched", "cosine", "rmt's rate warms up and falls along a cosine; leave it out"},
    {"--interpolation", "bicubic", "rmt resizes bicubically; leave it out"},
    {"--remode", "pixel", "--reprob erases with noise by the pixel; leave it out"},
    {"--recount", "1", "--reprob erases one rectangle; leave it out"},
    {"--mixup-mode", "batch", "rmt mixes a whole batch in one way; leave it out"},
    {"--amp-dtype", "bfloat16", "--amp computes in bf16; leave it out"},
    {"--cooldown-epochs", "0", "a run has --epochs epochs and none behind them; leave it out"},
    {"--input-size", "", "images are square: give --img-size and the pixels of a side"},
    {"--decay-epochs", "", "the rate falls along a cosine, without steps; leave it out"},
    {"--decay-rate", "", "the rate falls along a cosine, without steps; leave it out"},
    {"--channels-last", nullptr, ""},
    {"--pin-mem", nullptr, ""},
};

// Adds those that the program has no flag of its own for. --help does not show them.
inline void add_timm_flags(CLI::App& app) {
  for (const TimmFlag& flag : kTimmFlags) {
    if (app.get_option_no_throw(flag.name)) continue;
    if (!flag.taken) {
      app.add_flag_callback(flag.name, [] {})->group("");
      continue;
    }
    auto answer = [flag](const std::string& value) {
      const bool taken = !value.empty() && CLI::detail::to_lower(value) == flag.taken;
      if (!taken) throw CLI::ValidationError(flag.name, quoted_word(value) + ": " + flag.answer);
    };
    app.add_option_function<std::string>(flag.name, answer)->group("");
  }
  if (!app.get_option_no_throw("--pretrained"))
    app.add_flag_callback("--pretrained",
                          [] {
                            throw CLI::ValidationError(
                                "--pretrained",
                                "rmt downloads no weights: give a file of them, to rmt-train by "
                                "--initial-checkpoint FILE, to other programs as their first word");
                          })
        ->group("");
}

}  // namespace rmt

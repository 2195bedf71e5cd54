// The frame of the programs: flags by CLI11, errors as one line on stderr, exit status 0 done, 1
// failed, 2 wrong usage.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>

#include "core/error.h"
#include "train/nearest.h"
#include "train/options.h"

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

// Parses the flags into what the app's options are bound to: -1 to go on, else the exit status
// (after --help: 0).
inline int parse_flags(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
    return -1;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    std::cerr << app.get_name() << ": " << e.what() << suggestion(app) << " (" << app.get_name()
              << " --help lists the flags)" << std::endl;
    return 2;
  }
}

inline int run_program(const CLI::App& app, const std::function<int()>& body) {
  try {
    return body();
  } catch (const std::exception& e) {
    std::cerr << app.get_name() << ": " << e.what() << std::endl;
    return 1;
  }
}

// The flags that choose where to compute, the same in every program that does.
inline void add_compute_flags(CLI::App& app, train::TrainOptions& o) {
  app.add_option("--device", o.device,
                 "cpu, cuda or cuda:N; auto: a GPU where there is one; emulated: the GPU's "
                 "kernels, slowly, without a GPU")
      ->group("Device");
  app.add_option("--amp", o.amp, "bf16: activations in bf16, on a GPU; none: f32")->group("Device");
  app.add_flag("--tf32", o.tf32, "let a GPU round the inputs of f32 matrix products to TF32")
      ->group("Device");
}

// The flags that choose and change a model, the same in every program that builds one.
inline void add_model_flags(CLI::App& app, train::TrainOptions& o) {
  app.add_option("--model", o.model,
                 "rmt_t, rmt_s, rmt_b, rmt_l of the paper, or rmt_n for small images and CPUs")
      ->group("Model");
  app.add_option("--img-size,--size", o.img_size,
                 "side of the square that the model sees, pixels, at least 32")
      ->group("Model");
  app.add_option("--drop-path", o.drop_path,
                 "stochastic depth of the last block, 0 to 1; below 0: the model's own")
      ->group("Model");
  app.add_flag("--grad-checkpointing", o.grad_checkpointing,
               "recompute each block in backward: less memory, a second forward")
      ->group("Model");
  const std::string ablations = "Ablations (of the model; none set: as published)";
  app.add_option("--decay-mode", o.decay_mode,
                 "log_additive, post_multiply or post_multiply_normalised")
      ->group(ablations);
  app.add_option(
         "--decomposed", o.decomposed,
         "attention along rows, then columns, per stage, as in 1110; empty: the model's own")
      ->group(ablations);
  app.add_option("--layer-scale", o.layer_scale,
                 "scaled branches per stage, as in 0011; empty: the model's own")
      ->group(ablations);
  auto off = [&](const std::string& flag, bool& value, const std::string& what) {
    app.add_flag_callback(
           flag, [&value] { value = false; }, what)
        ->group(ablations);
  };
  off("--no-decay", o.decay, "vanilla attention");
  off("--no-rotary", o.rotary, "no rotation of queries and keys");
  off("--no-local-context", o.local_context, "no depthwise 5x5 beside the attention (LCE)");
  off("--no-position-conv", o.position_conv, "no depthwise 3x3 before each block (CPE)");
  off("--no-ffn-conv", o.ffn_conv, "no depthwise 3x3 inside the FFN");
  off("--no-conv-stem", o.conv_stem, "one 4x4 convolution of stride 4 as the stem");
}

}  // namespace rmt

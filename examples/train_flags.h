// The flags of rmt-train: every setting (train/settings.def), and what only the program knows, how
// a run begins and where it goes.
#pragma once
#include "examples/timm_flags.h"

namespace rmt {

struct TrainFlags {
  train::TrainOptions options;
  std::string output = "output", experiment, resume, recipe;
  bool print_schedule = false;
  bool force_resume = false;
  int64_t num_classes = 0;
};

// The flags of the run itself, and of these settings but for those called `without`.
inline void add_run_flags(CLI::App& app, TrainFlags& f, const std::set<train::Group>& groups,
                          const std::set<std::string>& without = {}) {
  add_settings(app, f.options, groups, without);
  auto option = [&app](const char* name, std::string& value, const char* help) {
    app.add_option(name, value, help)->group("Run");
  };
  app.add_flag("--print-schedule", f.print_schedule,
               "print \"epoch rate\" for every epoch of the run that the flags describe and exit; "
               "where the rate moves every step, that of the epoch's first; needs no data")
      ->group("Run");
  option("--output,--output-dir", f.output, "folder of the run folders");
  option("--experiment", f.experiment, "name of the run folder; empty: <timestamp>-<model>-<size>");
  option("--resume", f.resume,
         "run folder (or its last.safetensors) to go on with, in the same folder and with its "
         "options but for those given here; auto: the run of --experiment, begun where there is "
         "none yet");
  app.add_flag("--force-resume", f.force_resume,
               "resume although the images or options are others now")
      ->group("Run");
  app.add_option("--num-classes", f.num_classes,
                 "classes that the images must have, else the run does not start; 0: any")
      ->group("Data")
      ->check(CLI::Range(0, 1 << 20));
  // From --data-dir "$DATA" with DATA unset a run on drawn images would follow.
  auto not_empty = [](const std::string& word) -> std::string {
    return word.empty() ? "is empty; leave it out to train on images that are drawn" : "";
  };
  app.get_option("--data-dir")->check(CLI::Validator(not_empty, ""));
}

// Those of rmt-train.
inline void add_train_flags(CLI::App& app, TrainFlags& f) {
  using train::Group;
  add_run_flags(app, f,
                {Group::data, Group::model, Group::ablations, Group::device, Group::recording,
                 Group::optimization, Group::augmentation, Group::token_labels, Group::fine_tuning,
                 Group::run});
  app.add_option("--recipe", f.recipe,
                 "what the flags that are not given are set to: paper, official, small-data, "
                 "finetune or token-labels (it is printed)")
      ->group("Run");
  add_timm_flags(app);
}

}  // namespace rmt

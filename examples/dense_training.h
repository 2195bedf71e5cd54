// How rmt-seg and rmt-det train: as rmt-train does, with another model and another task.
#pragma once
#include "core/parallel.h"
#include "data/annotated.h"
#include "examples/checkpoint_word.h"
#include "examples/processes.h"
#include "examples/training.h"
#include "train/compute.h"
#include "train/dense_defaults.h"
#include "train/nearest.h"
#include "train/schedule.h"
#include "train/trainer.h"
#include "train/weights/backbone.h"
#include "train/weights/finetune.h"
#include "train/weights/pth.h"

namespace rmt {

struct AnnotatedSets {
  std::unique_ptr<data::AnnotatedSet> train, test;
};

inline void print_bad_images(const std::vector<data::BadImage>& all) {
  for (const data::BadImage& bad : all)
    std::cerr << "bad image, replaced by the next: " << printable(bad.path + ": " + bad.reason)
              << "\n";
}

// Error where none of the first images can be read, so many that a run would end there.
inline void check_readable(const data::AnnotatedSet& set, int64_t most_bad) {
  for (int64_t i = 0;; ++i) try {
      set.example(i);
      return;
    } catch (const SystemError&) {
      throw;
    } catch (const Error& e) {
      if (i < most_bad && i + 1 < set.size()) continue;
      throw Error(str(set.place(), ": none of the first ", i + 1,
                      " images can be read, the last one: ", e.what()));
    }
}

inline void check_readable(const AnnotatedSets& sets, int64_t most_bad) {
  for (const auto* set : {sets.train.get(), sets.test.get()}) check_readable(*set, most_bad);
}

// What the programs differ in.
struct DenseProgram {
  std::string name, about;         // "rmt-seg train"
  std::set<train::Group> groups;   // of the settings that are its own
  std::vector<std::string> heads;  // that --head may name
  std::string other;               // the program of the other heads
  std::string usual_head;
  std::string drawn;  // the folder of the scenes that are drawn without --data-dir
  std::function<void(const std::string& folder)> draw;
  // Small enough for two cores and some minutes.
  std::function<train::TrainOptions()> drawn_defaults;
  std::function<AnnotatedSets(const train::TrainOptions&)> open;
  std::function<std::unique_ptr<nn::Module>(const train::TrainOptions&, int64_t classes)> make;
  std::function<std::vector<std::string>(nn::Module&)> class_layers;
  std::function<std::unique_ptr<train::Task>(nn::Module&, const AnnotatedSets&,
                                             const train::TrainOptions&, const train::Compute&)>
      task;
  // What to do with the run now: lines that begin with this program's path.
  std::function<std::vector<std::string>(const std::string& folder)> next;
};

inline bool trains(const DenseProgram& p, const std::string& head) {
  return std::find(p.heads.begin(), p.heads.end(), head) != p.heads.end();
}

// What an earlier run, or weights to start from, say of the model: its name and its switches.
inline void take_model(const train::Archive& from, train::TrainOptions& o) {
  const train::Description d = description_of(from);
  if (d.options.empty()) return;
  const auto theirs = train::options_from_json(d.options, from.path);
  train::for_each_setting([&](const auto& s) {
    if (s.group == train::Group::ablations) o.*s.field = theirs.*s.field;
  });
  o.model = theirs.model;
  if (!theirs.head.empty()) {
    o.head = theirs.head;
    o.fpn_channels = theirs.fpn_channels;
    o.fc_channels = theirs.fc_channels;
  }
}

// The options over which the given flags are laid: a resumed run's own; else those of the drawn
// scenes, or the published ones of the head, with the model of the weights to start from.
inline train::TrainOptions dense_base(const DenseProgram& p, const TrainFlags& f,
                                      const train::Archive& resumed,
                                      const train::Archive& pretrained) {
  const train::TrainOptions& given = f.options;
  if (!resumed.path.empty()) {
    const auto options = train::options_from_json(description_of(resumed).options, resumed.path);
    CHECK(trains(p, options.head), resumed.path, ": is not a run of ", p.name, " but of ",
          options.head.empty() ? "rmt-train" : p.other, ", which goes on with it");
    CHECK(f.resume == "auto" || given.initial_checkpoint.empty(),
          "--initial-checkpoint with --resume: that run goes on with its own weights; leave one of "
          "them out");
    if (given.data_dir.empty() && options.data_dir != p.drawn)
      check_recorded_folder(resumed.path, options.data_dir, p.name);
    return options;
  }
  train::TrainOptions named = given;  // the recipe is that of the model which is to be trained
  if (!pretrained.path.empty()) take_model(pretrained, named);
  train::TrainOptions o =
      given.data_dir.empty() ? p.drawn_defaults() : train::dense_defaults(named.head, named.model);
  if (given.data_dir.empty()) o.data_dir = p.drawn;
  if (!pretrained.path.empty()) take_model(pretrained, o);
  return o;
}

inline void say_what_is_trained(const train::TrainOptions& o, nn::Module& model,
                                const AnnotatedSets& sets, const train::Compute& compute,
                                const std::string& folder) {
  std::cout << name_of(o) << ", " << model.parameter_count() << " parameters; " << o.data_dir
            << ": " << sets.train->classes().size() << " classes, " << sets.train->size() << " + "
            << sets.test->size() << " images; "
            << (o.processes > 1 ? str(o.processes, " processes, each with ") : "")
            << device_text(compute) << "; run folder " << folder << std::endl;
}

inline void draw(const DenseProgram& p, Processes& processes) {
  if (processes.is_first()) {
    std::cout << "no --data-dir: training on scenes drawn into " << p.drawn << std::endl;
    p.draw(p.drawn);
  }
  processes.barrier();
}

inline int print_schedule(const train::TrainOptions& o) {
  std::cout << train::schedule_table(o);
  return 0;
}

inline int train_dense(const DenseProgram& p, TrainFlags& f,
                       const std::function<void()>& parse_again, Processes& processes) {
  const std::string resume = resumed_file(f);
  const fs::file_time_type written = time_of(resume);
  train::Archive resumed, pretrained;
  train::TrainOptions& o = f.options;
  if (!resume.empty()) resumed = train::read_safetensors(resume);
  if (resume.empty() && !o.initial_checkpoint.empty())
    pretrained = train::read_weights(train::weights_path(o.initial_checkpoint));
  o = dense_base(p, f, resumed, pretrained);
  if (!resume.empty()) divide(o, processes);
  parse_again();
  o.processes = processes.size();
  processes.set_timeout(o.process_timeout);
  check(o);
  CHECK(trains(p, o.head), pretrained.path.empty() ? "" : pretrained.path + ": ", "--head ", o.head,
        " is for ", p.other, "; ", p.name, " takes ", train::listed(p.heads));
  if (f.print_schedule) return print_schedule(o);
  o = train::resolved(o);
  if (o.threads > 0) set_threads(int(o.threads));
  train::Compute compute = train::choose_compute(o, processes);
  const std::unique_ptr<Processes> gpus =
      compute.device == Device::cuda ? connect_gpus(processes) : nullptr;
  if (gpus) compute.processes = gpus.get();

  if (o.data_dir == p.drawn) draw(p, processes);
  const AnnotatedSets sets = p.open(o);
  const int64_t classes = int64_t(sets.train->classes().size());
  CHECK(f.num_classes == 0 || f.num_classes == classes, "--num-classes ", f.num_classes, ": ",
        sets.train->place(), " has ", classes);
  check_readable(sets, o.max_bad_images);
  const std::unique_ptr<nn::Module> model = p.make(o, classes);
  model->init(o.seed);
  if (!pretrained.path.empty())
    for (const std::string& line :
         train::start_from_backbone(*model, p.class_layers(*model), pretrained))
      std::cout << line << "\n";
  compute.prepare(*model);
  const std::vector<nn::Entry> parameters = model->parameters();
  const std::vector<train::ParameterRule> rules =
      train::parameter_rules(parameters, o, "decode_head", train::batch_norms(model->state()));
  freeze(parameters, rules);
  train::Trainer trainer(*model, p.task(*model, sets, o, compute), o, std::cout, compute);
  if (!resume.empty()) trainer.resume(resumed, f.force_resume);
  trainer.check_processes();

  // Everything that can be wrong has been looked at: only now something is written.
  train::RunFolder folder = open_folder(f, resume, written, processes);
  say_what_is_trained(o, *model, sets, compute, folder.path());
  std::cout << train::describe_groups(parameters, rules) << std::flush;
  const bool saved = trainer.run(folder);
  if (saved && !trainer.stopped())
    for (const std::string& line : p.next(trainer.folder().path())) std::cout << line << std::endl;
  if (o.processes > 1 && o.log_interval > 0) print_traffic(processes.traffic());
  return saved ? 0 : 1;
}

// The settings of a classifier that these tasks have no use for.
inline const std::set<std::string>& settings_of_classifiers() {
  static const std::set<std::string> names = {"val_split",
                                              "img_size",
                                              "token_head",
                                              "validation_batch_size",
                                              "loss",
                                              "smoothing",
                                              "scale",
                                              "ratio",
                                              "aa",
                                              "color_jitter",
                                              "crop_padding",
                                              "aug_repeats",
                                              "mixup",
                                              "cutmix",
                                              "mixup_prob",
                                              "mixup_switch_prob",
                                              "mixup_off_epoch",
                                              "reprob",
                                              "crop_pct",
                                              "train_interpolation",
                                              "augment_first",
                                              "sched_on_updates",
                                              "layer_decay"};
  return names;
}

// The verb "train" of a program: flags, then all of the above, alone or as one of several.
inline int train_main(const DenseProgram& p, int argc, char** argv) {
  return run_as_one(p.name, [&](Processes& processes) {
    TrainFlags f;
    f.options.head = p.usual_head;
    f.options.model = "rmt_t";
    CLI::App app(p.about, p.name);
    app.option_defaults()->always_capture_default();
    using train::Group;
    std::set<Group> groups{Group::data,         Group::model,       Group::ablations,
                           Group::head,         Group::device,      Group::recording,
                           Group::optimization, Group::schedule,    Group::augmentation,
                           Group::scenes,       Group::fine_tuning, Group::run};
    groups.insert(p.groups.begin(), p.groups.end());
    add_run_flags(app, f, groups, settings_of_classifiers());
    if (int status = parse_flags(app, argc, argv); status >= 0) return status;
    const int status = train_dense(
        p, f, [&] { parse_words(app, argc, argv); }, processes);
    return end_process(app.get_name(), status);
  });
}

}  // namespace rmt

// Trains RMT on a folder of images, or on images that it draws itself, and leaves a run folder.
#include "core/parallel.h"
#include "data/sets/drawings.h"
#include "data/sets/remarks.h"
#include "data/sharing.h"
#include "examples/checkpoint_word.h"
#include "examples/processes.h"
#include "examples/training.h"
#include "nn/models/count.h"
#include "train/peak.h"
#include "train/recipe.h"
#include "train/schedule.h"
#include "train/trainer.h"
#include "train/weights/finetune.h"
#include "train/weights/label_folder.h"

using namespace rmt;

// Where the drawn images go, and what they are trained with: small enough for two cores and three
// minutes.
static const char* const kDrawings = "build/drawings";
static train::TrainOptions drawn_defaults() {
  train::TrainOptions o;
  o.model = "rmt_n";
  o.data_dir = kDrawings;
  o.img_size = 64;
  o.epochs = 12;
  o.batch_size = 64;
  o.lr = 1e-3;
  o.warmup_epochs = 0.5;
  o.scale = {0.35, 1};
  return o;
}

static void draw() {
  std::cout << "no --data-dir: training on images drawn into " << kDrawings << std::endl;
  data::draw_dataset(kDrawings, {});
}

// The options over which the given flags are laid. Of a run that is resumed they are the recorded
// ones. Else they are those for the drawn images or those that --help shows; over them comes what
// the weights to start from say of themselves; over that, the recipe.
static train::TrainOptions base_options(const TrainFlags& given, const train::Archive& resumed,
                                        const train::Pretrained& pretrained) {
  if (!resumed.path.empty()) {
    // With auto the same command begins the run and goes on with it, so its flags may be these.
    const bool always = given.resume == "auto";
    CHECK(always || given.recipe.empty(), "--recipe ", given.recipe,
          " with --resume: that run goes on with its own options; leave out --recipe, or begin "
          "another run");
    CHECK(always || given.options.initial_checkpoint.empty(),
          "--initial-checkpoint with --resume: that run goes on with its own weights; leave one of "
          "them out");
    const auto options = train::options_from_json(description_of(resumed).options, resumed.path);
    if (given.options.data_dir.empty() && options.data_dir != kDrawings)
      check_recorded_folder(resumed.path, options.data_dir);
    return options;
  }
  train::TrainOptions o = given.options.data_dir.empty() ? drawn_defaults() : train::TrainOptions{};
  if (!given.options.initial_checkpoint.empty()) o = train::with_model_of(pretrained, o);
  return given.recipe.empty() ? o : train::with_recipe(given.recipe, o);
}

// Trains to the end, where the last lines say what one does with the model now.
static int run(train::Trainer& trainer, const train::RunFolder& begun, const std::string& program) {
  const bool saved = trainer.run(begun);
  const std::string folder = trainer.folder().path(),
                    bin = program.substr(0, program.find_last_of('/') + 1);
  if (saved && !trainer.stopped())
    std::cout << "next: " << bin << "rmt-eval " << folder << "\n      " << bin << "rmt-classify "
              << folder << " photo.jpg" << std::endl;
  return saved ? 0 : 1;
}

static int64_t class_count(const TrainFlags& f, const data::Dataset& images) {
  const int64_t classes = int64_t(images.classes().size());
  CHECK(f.num_classes == 0 || f.num_classes == classes, "--num-classes ", f.num_classes, ": ",
        images.place(), " has ", classes,
        "; the model gets a class for each of these without the flag: leave it out, or name the "
        "right folder with --data-dir");
  return classes;
}

// Of --token-label-data, or null.
static std::unique_ptr<data::LabelMaps> label_maps(const train::TrainOptions& o,
                                                   const std::vector<std::string>& classes) {
  if (o.token_label_data.empty()) return nullptr;
  return train::open_label_maps(o.token_label_data, classes);
}

// The model of a flag, where it is no RMT: that one its weights tell.
static std::string other_network(const std::string& model) {
  const std::vector<std::string> names = nn::rmt_names();
  return std::find(names.begin(), names.end(), model) == names.end() ? model : "";
}

// What a run begins with.
struct Start {
  std::string resume;  // the checkpoint to go on with, or none
  fs::file_time_type written;
  train::Archive resumed;
  train::Pretrained pretrained;
};

// Reads what the run goes on with or begins from, and lays the flags over its options.
static Start start_of(TrainFlags& f, const std::function<void()>& parse_again,
                      Processes& processes) {
  Start s;
  s.resume = resumed_file(f);
  s.written = time_of(s.resume);
  if (!s.resume.empty()) s.resumed = train::read_safetensors(s.resume);
  if (s.resume.empty() && !f.options.initial_checkpoint.empty())
    s.pretrained =
        train::read_pretrained(f.options.initial_checkpoint, other_network(f.options.model));
  f.options = base_options(f, s.resumed, s.pretrained);
  if (!s.resume.empty() || !f.recipe.empty()) divide(f.options, processes);
  parse_again();
  f.options.processes = processes.size();
  processes.set_timeout(f.options.process_timeout);
  check(f.options);
  return s;
}

// What each option allows alone, but not the options together.
static void check_together(const TrainFlags& f) {
  train::check_fine_tuning(f.options);
  CHECK(f.recipe != "token-labels" || !f.options.token_label_data.empty(),
        "--recipe token-labels without --token-label-data would train without token labels; name "
        "the label maps (rmt-label makes them), or take --recipe official");
}

// "rmt_n, 2110042 parameters; images: 10 classes, 5000 + 1000 images; 2 threads"
static std::string what_trains_on_what(const train::TrainOptions& o, nn::Classifier& model,
                                       const data::Dataset& train_images,
                                       const data::Dataset& test_images,
                                       const train::Compute& compute) {
  return str(o.model, ", ", model.parameter_count(), " parameters; ", o.data_dir, ": ",
             train_images.classes().size(), " classes, ", train_images.size(), " + ",
             test_images.size(), " images; ",
             o.processes > 1 ? str(o.processes, " processes, each with ") : "",
             device_text(compute));
}

static int train_model(TrainFlags& f, const std::string& program,
                       const std::function<void()>& parse_again, Processes& processes) {
  const Start start = start_of(f, parse_again, processes);
  train::TrainOptions& o = f.options;
  if (f.print_schedule) {
    std::cout << train::schedule_table(o);
    return 0;
  }
  check_together(f);
  if (!f.recipe.empty()) std::cout << train::describe_recipe(f.recipe, o) << std::endl;
  o = train::resolved(o);
  data::check_transform_options(train::transform_options(o));
  if (o.threads > 0) set_threads(int(o.threads));
  train::Compute compute = train::choose_compute(o, processes);
  const std::unique_ptr<Processes> gpus =
      compute.device == Device::cuda ? connect_gpus(processes) : nullptr;
  if (gpus) compute.processes = gpus.get();

  if (o.data_dir == kDrawings && processes.is_first()) draw();
  processes.barrier();  // the others wait for the drawn images
  const auto [train_images, test_images] =
      data::open_train_and_val(o.data_dir, o.val_split, processes);
  const auto made = train::make_model(o, class_count(f, *train_images));
  nn::Classifier& model = *made;
  model.init(o.seed);
  if (!start.pretrained.weights.path.empty())
    for (const std::string& line :
         train::start_from(model, start.pretrained, train_images->classes(), o))
      std::cout << line << "\n";
  const int64_t multiply_adds = o.log_interval > 0 ? nn::multiply_adds(model, o.img_size) : 0;
  compute.prepare(model);
  const std::vector<nn::Entry> parameters = model.parameters();
  const std::vector<train::ParameterRule> rules =
      train::parameter_rules(parameters, o, model.classifier());
  freeze(parameters, rules);
  const auto labels = label_maps(o, train_images->classes());
  train::Trainer trainer(model, *train_images, *test_images, o, std::cout, compute, nullptr,
                         labels.get());
  if (!start.resume.empty()) trainer.resume(start.resumed, f.force_resume);
  if (o.log_interval > 0)
    trainer.show_utilization(multiply_adds, train::peak_flops(compute) * double(o.processes));
  trainer.check_processes();

  // Everything that can be wrong has been looked at: only now something is written.
  train::RunFolder folder = open_folder(f, start.resume, start.written, processes);
  std::cout << what_trains_on_what(o, model, *train_images, *test_images, compute)
            << "; run folder " << folder.path() << std::endl;
  std::cout << train::describe_groups(parameters, rules) << std::flush;
  for (const std::string& line : data::remarks_on_run(*train_images, *test_images, o.img_size))
    std::cerr << "note: " << printable(line) << "\n";
  const int status = run(trainer, folder, program);
  if (o.processes > 1 && o.log_interval > 0) print_traffic(processes.traffic());
  return status;
}

static int train_as_one(int argc, char** argv, Processes& processes) {
  TrainFlags f;
  CLI::App app(
      "Trains RMT, or another network, on a folder of images, or, without --data-dir, rmt_n on "
      "images that it draws itself.",
      "rmt-train");
  app.option_defaults()->always_capture_default();
  add_train_flags(app, f);
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  const int status = train_model(
      f, argv[0], [&] { parse_words(app, argc, argv); }, processes);
  return end_process(app.get_name(), status);
}

int main(int argc, char** argv) {
  return run_as_one("rmt-train",
                    [&](Processes& processes) { return train_as_one(argc, argv, processes); });
}

// Trains RMT on a folder of images, or on images that it draws itself, and leaves a run folder.
#include <filesystem>

#include "core/parallel.h"
#include "data/drawings.h"
#include "examples/train_flags.h"
#include "train/files.h"
#include "train/finetune.h"
#include "train/recipe.h"
#include "train/schedule.h"
#include "train/trainer.h"

using namespace rmt;

// Where the drawn images go, and what they are trained with: small enough for two cores and three minutes.
static const char* const kDrawings = "build/drawings";
static TrainOptions drawn_defaults() {
  TrainOptions o;
  o.model = "rmt_n", o.data_dir = kDrawings, o.img_size = 64;
  o.epochs = 12, o.batch_size = 64, o.lr = 1e-3, o.warmup_epochs = 0.5, o.scale = {0.35, 1};
  return o;
}

// What the given flags are laid over: the recorded options of the run that is resumed; or those for the drawn images or the ones that --help shows, under
// what the weights to start from say of themselves, under the recipe.
static TrainOptions base_options(const TrainFlags& given, const Archive& resumed, const Pretrained& pretrained) {
  if (!given.resume.empty()) {
    CHECK(given.recipe.empty(), "--recipe ", given.recipe, " with --resume: that run goes on with its own options; leave out --recipe, or begin another run");
    CHECK(given.options.initial_checkpoint.empty(), "--initial-checkpoint with --resume: that run goes on with its own weights; leave one of them out");
    return options_from_json(describe(resumed).options, resumed.path);
  }
  TrainOptions o = given.options.data_dir.empty() ? drawn_defaults() : TrainOptions{};
  if (!given.options.initial_checkpoint.empty()) o = with_model_of(pretrained, o);
  return given.recipe.empty() ? o : with_recipe(given.recipe, o);
}

static int train(TrainFlags& f, const std::function<void()>& parse_again) {
  namespace fs = std::filesystem;
  Archive resumed;
  Pretrained pretrained;
  if (fs::is_directory(f.resume)) f.resume += "/last.safetensors";
  if (!f.resume.empty()) resumed = read_safetensors(f.resume);
  if (f.resume.empty() && !f.options.initial_checkpoint.empty()) pretrained = read_pretrained(f.options.initial_checkpoint);
  std::string resume = f.resume;
  f.options = base_options(f, resumed, pretrained);
  parse_again();
  TrainOptions& o = f.options;
  check(o);
  if (f.print_schedule) {
    std::cout << schedule_table(o);
    return 0;
  }
  check_fine_tuning(o);
  if (!f.recipe.empty()) std::cout << describe_recipe(f.recipe, o) << std::endl;
  o = resolved(o);
  check(transform_options(o));
  if (o.threads > 0) set_threads(int(o.threads));
  const Compute compute = choose_compute(o);

  if (o.data_dir == kDrawings) {
    std::cout << "no --data-dir: training on images drawn into " << kDrawings << std::endl;
    draw_dataset(kDrawings, {});
  }
  const auto train_images = open_dataset(o.data_dir, "train"), test_images = open_dataset(o.data_dir, "val", train_images->classes());
  nn::Rmt model(model_config(o, int64_t(train_images->classes().size())));
  model.init(o.seed);
  if (!pretrained.weights.path.empty())
    for (const std::string& line : start_from(model, pretrained, train_images->classes(), o)) std::cout << line << "\n";
  compute.prepare(model);
  const std::vector<nn::Entry> parameters = model.parameters();
  const std::vector<ParameterRule> rules = parameter_rules(parameters, o);
  freeze(parameters, rules);
  Trainer trainer(
      model, [&](const Tensor& images) { return model.forward(images); }, *train_images, *test_images, o, std::cout, compute);
  if (!resume.empty()) trainer.resume(resumed);

  // Everything that can be wrong has been looked at: only now something is written.
  RunFolder folder = resume.empty() ? RunFolder::create(f.output, f.experiment, o.model, o.img_size) : RunFolder::open(fs::path(resume).parent_path().string());
  if (resume.empty()) write_file(folder / "args.json", to_json(o));
  std::cout << o.model << ", " << model.parameter_count() << " parameters; " << o.data_dir << ": " << train_images->classes().size() << " classes, "
            << train_images->size() << " + " << test_images->size() << " images; " << describe(compute) << "; run folder " << folder.path() << std::endl;
  std::cout << describe_groups(parameters, rules) << std::flush;
  return trainer.run(folder) ? 0 : 1;
}

int main(int argc, char** argv) {
  TrainFlags f;
  CLI::App app("Trains RMT on a folder of images, or, without --data-dir, rmt_n on images that it draws itself.", "rmt-train");
  app.option_defaults()->always_capture_default();
  add_train_flags(app, f);
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return train(f, [&] { app.parse(argc, argv); }); });
}

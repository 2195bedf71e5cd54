// Trains RMT on a folder of images, or on images that it draws itself, and leaves a run folder.
#include <filesystem>

#include "core/parallel.h"
#include "data/drawings.h"
#include "examples/train_flags.h"
#include "train/files.h"
#include "train/model_file.h"
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

// What the given flags are laid over: the recorded options of the run that is resumed, those for the drawn images, or the ones that --help shows.
static TrainOptions base_options(const TrainFlags& given, const Archive& resumed) {
  if (!given.resume.empty()) return options_from_json(describe(resumed).options, resumed.path);
  return given.options.data_dir.empty() ? drawn_defaults() : TrainOptions{};
}

static int train(TrainFlags& f, const std::function<void()>& parse_again) {
  namespace fs = std::filesystem;
  Archive resumed;
  if (fs::is_directory(f.resume)) f.resume += "/last.safetensors";
  if (!f.resume.empty()) resumed = read_safetensors(f.resume);
  std::string resume = f.resume;
  f.options = base_options(f, resumed);
  parse_again();
  TrainOptions& o = f.options;
  check(o);
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
  compute.prepare(model);
  Trainer trainer(
      model, [&](const Tensor& images) { return model.forward(images); }, *train_images, *test_images, o, std::cout, compute);
  if (!resume.empty()) trainer.resume(resumed);

  // Everything that can be wrong has been looked at: only now something is written.
  RunFolder folder = resume.empty() ? RunFolder::create(f.output, f.experiment, o.model, o.img_size) : RunFolder::open(fs::path(resume).parent_path().string());
  if (resume.empty()) write_file(folder / "args.json", to_json(o));
  std::cout << o.model << ", " << model.parameter_count() << " parameters; " << o.data_dir << ": " << train_images->classes().size() << " classes, "
            << train_images->size() << " + " << test_images->size() << " images; " << describe(compute) << "; run folder " << folder.path() << std::endl;
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

// Trains RMT on a folder of images, or on images that it draws itself, and leaves a run folder.
#include <filesystem>

#include "core/parallel.h"
#include "data/drawings.h"
#include "examples/program.h"
#include "train/files.h"
#include "train/model_file.h"
#include "train/trainer.h"

using namespace rmt;

struct Flags {
  TrainOptions options;
  std::string output = "output", experiment, resume;
};

// Where the drawn images go, and what they are trained with: small enough for two cores and three minutes.
static const char* const kDrawings = "build/drawings";
static TrainOptions drawn_defaults() {
  TrainOptions o;
  o.model = "rmt_n", o.data_dir = kDrawings, o.img_size = 64;
  o.epochs = 12, o.batch_size = 64, o.lr = 1e-3, o.warmup_epochs = 0.5, o.scale = {0.35, 1};
  return o;
}

static void add_flags(CLI::App& app, Flags& f) {
  TrainOptions& o = f.options;
  auto add = [&app](const char* group) {
    return [&app, group](const std::string& name, auto& value, const std::string& what) { return app.add_option(name, value, what)->group(group); };
  };
  auto data = add("Data"), run = add("Run"), optimization = add("Optimization"), augmentation = add("Augmentation and input");
  data("--data-dir,--data-path", o.data_dir,
       "folder with train/ and val/ (or validation/), one folder a class in each; not given: images drawn into build/drawings");
  data("-j,--workers,--num_workers", o.workers, "threads that read images; the result does not depend on it");
  data("--max-bad-images", o.max_bad_images, "unreadable images that an epoch may replace before the run stops");
  add_model_flags(app, o);
  add_compute_flags(app, o);
  app.add_flag("--cuda-graph,!--no-cuda-graph", o.cuda_graph, "record the training step once and repeat it (default)")->group("Device");
  optimization("--epochs", o.epochs, "passes over the training images");
  optimization("-b,--batch-size", o.batch_size, "images a step");
  optimization("--validation-batch-size", o.validation_batch_size, "images at once in evaluation; 0: as --batch-size");
  optimization("--lr", o.lr, "peak learning rate; 0: 5e-4 x batch size / 512");
  optimization("--min-lr", o.min_lr, "learning rate at the end");
  optimization("--warmup-lr", o.warmup_lr, "learning rate at the start");
  optimization("--warmup-epochs", o.warmup_epochs, "epochs of linear warm-up");
  app.add_flag("--sched-on-updates,!--sched-on-epochs", o.sched_on_updates, "move the rate every step (default), or every epoch as the official code does")
      ->group("Optimization");
  optimization("--weight-decay", o.weight_decay, "AdamW's, of matrices and filters");
  optimization("--smoothing", o.smoothing, "label smoothing, 0 to 1");
  augmentation("--scale", o.scale, "random crop's share of the area: least and most");
  augmentation("--ratio", o.ratio, "random crop's width / height: least and most");
  augmentation("--hflip", o.hflip, "probability of a mirror image");
  augmentation("--aa", o.aa, "RandAugment in timm's notation, as in rand-m9-mstd0.5-inc1 (the ImageNet recipe's); none");
  augmentation("--reprob", o.reprob, "probability of a rectangle of noise (RandomErasing; the ImageNet recipe's is 0.25); on the CPU alone so far");
  augmentation("--crop-pct", o.crop_pct, "evaluation: image size / shorter side after the resize");
  augmentation("--mean", o.mean, "of the three channels, values in [0, 1]");
  augmentation("--std", o.std, "of the three channels, values in [0, 1]");
  run("--seed", o.seed, "of weights, order, crops and drop path");
  run("--threads", o.threads, "threads that compute; 0: RMT_THREADS, else every processor; the result does not depend on it");
  run("--output,--output_dir", f.output, "folder of the run folders");
  run("--experiment", f.experiment, "name of the run folder; empty: <timestamp>-<model>-<size>");
  run("--resume", f.resume, "run folder (or its last.safetensors) to go on with, in the same folder and with its options but for those given here");
  run("--log-interval", o.log_interval, "steps between two lines of progress when stderr is no terminal; 0: no progress");
}

// What the given flags are laid over: the recorded options of the run that is resumed, those for the drawn images, or the ones that --help shows.
static TrainOptions base_options(const Flags& given, const Archive& resumed) {
  if (!given.resume.empty()) return options_from_json(describe(resumed).options, resumed.path);
  return given.options.data_dir.empty() ? drawn_defaults() : TrainOptions{};
}

static int train(Flags& f, const std::function<void()>& parse_again) {
  namespace fs = std::filesystem;
  Archive resumed;
  if (fs::is_directory(f.resume)) f.resume += "/last.safetensors";
  if (!f.resume.empty()) resumed = read_safetensors(f.resume);
  std::string resume = f.resume;
  f.options = base_options(f, resumed);
  parse_again();
  TrainOptions& o = f.options;
  if (o.lr == 0) o.lr = 5e-4 * double(o.batch_size) / 512;
  check(o);
  check(transform_options(o));
  if (o.threads > 0) set_threads(int(o.threads));
  const Compute compute = choose_compute(o);

  if (o.data_dir == kDrawings) {
    std::cout << "no --data-dir: training on images drawn into " << kDrawings << std::endl;
    draw_dataset(kDrawings, {});
  }
  ImageFolder train_images(o.data_dir, "train"), test_images(o.data_dir, "val", train_images.classes());
  nn::Rmt model(model_config(o, int64_t(train_images.classes().size())));
  model.init(o.seed);
  compute.prepare(model);
  Trainer trainer(
      model, [&](const Tensor& images) { return model.forward(images); }, train_images, test_images, o, std::cout, compute);
  if (!resume.empty()) trainer.resume(resumed);

  // Everything that can be wrong has been looked at: only now something is written.
  RunFolder folder = resume.empty() ? RunFolder::create(f.output, f.experiment, o.model, o.img_size) : RunFolder::open(fs::path(resume).parent_path().string());
  if (resume.empty()) write_file(folder / "args.json", to_json(o));
  std::cout << o.model << ", " << model.parameter_count() << " parameters; " << o.data_dir << ": " << train_images.classes().size() << " classes, "
            << train_images.size() << " + " << test_images.size() << " images; " << describe(compute) << "; run folder " << folder.path() << std::endl;
  return trainer.run(folder) ? 0 : 1;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Trains RMT on a folder of images, or, without --data-dir, rmt_n on images that it draws itself.", "rmt-train");
  app.option_defaults()->always_capture_default();
  add_flags(app, f);
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return train(f, [&] { app.parse(argc, argv); }); });
}

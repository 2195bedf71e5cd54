// Top-1, top-5 and loss of a checkpoint on a folder of images; class by class, as a table of which
// class is taken for which, and as a picture of its worst mistakes.
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "core/files/files.h"
#include "core/parallel.h"
#include "data/sets/splits.h"
#include "examples/checkpoint_word.h"
#include "examples/confusion_picture.h"
#include "examples/names_of_classes.h"
#include "examples/program.h"
#include "examples/timm_flags.h"
#include "train/evaluation.h"
#include "train/mistakes.h"
#include "train/trainer.h"
#include "train/weights/hub.h"

using namespace rmt;
namespace fs = std::filesystem;

struct Flags {
  std::string checkpoint;
  std::string data_dir;
  std::string split;
  std::string model;
  std::string out = "worst.png";
  std::string confusion, confusion_csv;
  int64_t worst = 0;
  int64_t num_classes = 0;
  bool per_class = false;
  bool json = false;
  bool force = false;
  int64_t batch_size = 64;
  int64_t img_size = 0;
  int64_t workers = 2;
  int threads = 0;
  double crop_pct = 0, val_split = -1;
  train::TrainOptions compute;  // its --device, --amp, --tf32

  bool counts_answers() const { return per_class || !confusion.empty() || !confusion_csv.empty(); }
};

// The model with its options, over which the flags are laid.
static train::ModelFile load(const Flags& f) {
  train::ModelFile file = train::load_model_file(f.checkpoint, f.model);
  std::cerr << printable(file.origin) << std::endl;
  train::TrainOptions& o = file.options;
  const std::string recorded = o.data_dir;
  CHECK(!f.data_dir.empty() || !recorded.empty(), f.checkpoint,
        ": does not say on which images it was trained; name a folder with --data-dir");
  if (f.data_dir.empty()) check_recorded_folder(f.checkpoint, recorded);
  if (!f.data_dir.empty()) o.data_dir = f.data_dir;
  std::error_code none;
  const bool other = o.data_dir != recorded && !fs::equivalent(o.data_dir, recorded, none);
  if (other && o.val_split > 0 && f.val_split < 0)
    std::cerr << "note: the run held images out of " << printable(recorded) << "; if "
              << printable(o.data_dir) << " is that folder, moved, --val-split " << o.val_split
              << " takes the same ones\n";
  if (other) o.val_split = 0;
  if (f.val_split >= 0) o.val_split = f.val_split;
  train::set_image_size(file, f.img_size);
  if (f.crop_pct > 0) o.crop_pct = f.crop_pct;
  o.validation_batch_size = f.batch_size;
  o.workers = f.workers;
  check(o);
  const int64_t K = file.num_classes;
  CHECK(f.num_classes == 0 || f.num_classes == K, "--num-classes ", f.num_classes,
        ": the model of ", f.checkpoint, " has ", K, "; leave the flag out");
  return file;
}

// The images of --split, and its name. Not given: those for validation, which of a run with
// --val-split are what it held out; all of class folders alone.
struct Images {
  std::string split;
  std::unique_ptr<data::Dataset> data;
};
static Images open_images(const Flags& f, const train::ModelFile& file) {
  const train::TrainOptions& o = file.options;
  const bool divided = f.val_split > 0 || data::split_folder(o.data_dir, "val").empty();
  const double held_out = divided ? o.val_split : 0;
  const bool alone =
      held_out == 0 && !data::has_split(o.data_dir, "val") && data::has_split(o.data_dir, "all");
  CHECK(!f.split.empty() || held_out > 0 || alone || data::has_split(o.data_dir, "val") ||
            !data::has_split(o.data_dir, "train"),
        "data folder ", o.data_dir,
        " has no validation images; --split train evaluates the training images, --data-dir names "
        "another folder");
  const std::string split = !f.split.empty() ? f.split : alone ? "all" : "val";
  auto images = data::open_dataset(o.data_dir, split, file.classes, held_out);
  const int64_t K = file.num_classes;
  CHECK(int64_t(images->classes().size()) <= K, o.data_dir, ": has ", images->classes().size(),
        " classes, the model knows ", K);
  return {split, std::move(images)};
}

struct Result {
  train::Metrics metrics;
  std::string split;
  std::vector<train::ClassResult> classes;
  int64_t bad;
  double seconds;
};

static void print(const Flags& f, const Result& r, const train::ModelFile& file) {
  const train::TrainOptions& o = file.options;
  const train::Metrics& m = r.metrics;
  CHECK(std::isfinite(m.loss()), f.checkpoint,
        ": its answers to these images are no numbers (loss ", m.loss(),
        "): it has diverged, or was not made for this; take an earlier checkpoint");
  if (f.json) {
    std::printf("%s\n",
                train::evaluation_json(m, file, r.bad, r.seconds, r.split, r.classes).c_str());
    return;
  }
  char top5[32] = "";
  if (train::has_top5(file.num_classes))
    std::snprintf(top5, sizeof top5, "  top-5 %.3f %%", m.acc5());
  std::printf(
      "%s at %lld px on %s%s: top-1 %.3f %%%s  loss %.4f  (%lld images, %lld bad, %.1f s)\n",
      o.model.c_str(), static_cast<long long>(o.img_size), printable(o.data_dir).c_str(),
      r.split == "val" ? "" : (" (" + r.split + ")").c_str(), m.acc1(), top5, m.loss(),
      static_cast<long long>(m.samples), static_cast<long long>(r.bad), r.seconds);
  if (!r.classes.empty())
    std::fputs(train::class_table(r.classes, names_of_classes("rmt-eval", file, "")).c_str(),
               stdout);
}

static void write_confusion(const Flags& f, const train::Confusion& confusion,
                            const train::ModelFile& file) {
  if (f.confusion.empty() && f.confusion_csv.empty()) return;
  const train::ClassNames names = names_of_classes("rmt-eval", file, "");
  if (!f.confusion.empty()) data::write_png(f.confusion, confusion_picture(confusion, names));
  if (!f.confusion_csv.empty()) write_file(f.confusion_csv, train::confusion_csv(confusion, names));
}

// The surest mistakes as a picture, and as lines on stderr that name the files.
static void show_worst(const Flags& f, const std::vector<train::Mistake>& worst,
                       const data::Dataset& images, const train::ModelFile& file) {
  if (worst.empty()) std::cerr << "no mistake, no picture" << std::endl;
  for (const train::Mistake& m : worst)
    std::cerr << printable(images.name(m.index) + ": " + train::caption(m, file)) << "\n";
  if (!worst.empty()) data::write_png(f.out, train::mistakes_picture(worst, images, file));
}

static int eval(const Flags& f) {
  if (f.threads > 0) set_threads(f.threads);
  if (f.worst > 0) train::check_unused(f.out, f.force);
  for (const std::string& name : {f.confusion, f.confusion_csv})
    if (!name.empty()) train::check_unused(name, f.force);
  const train::Compute compute = train::choose_compute(f.compute);
  train::ModelFile file = load(f);
  const auto [split, images] = open_images(f, file);
  compute.prepare(*file.model);
  data::Loader loader(*images, train::loader_options(file.options, false));
  train::WorstMistakes worst(f.worst);
  train::Confusion confusion(f.counts_answers() ? file.num_classes : 0);
  train::Metrics so_far;
  train::StatusLine line;
  train::Stopwatch clock;
  const int64_t all = images->size();
  auto forward = [&](const Tensor& x) { return file.model->forward(x); };
  auto seen = [&](const data::Batch& batch, const Tensor& logits) {
    worst.add(batch, logits);
    confusion.add(logits, batch.labels);
    so_far.add(logits, batch.labels);
    line.show(str(so_far.samples, "/", all, " images  top-1 ", so_far.acc1(), " %  ",
                  double(so_far.samples) / clock.seconds(), " img/s"));
    return true;
  };
  const train::Metrics m = evaluate(*file.model, forward, loader, compute,
                                    train::transform_options(file.options), "--batch-size", seen);
  line.clear();
  for (const data::BadImage& bad : loader.bad())
    std::cerr << "bad image, replaced by the next: " << printable(bad.path + ": " + bad.reason)
              << "\n";
  const auto classes =
      f.per_class ? results_by_class(confusion) : std::vector<train::ClassResult>();
  print(f, {m, split, classes, int64_t(loader.bad().size()), clock.seconds()}, file);
  write_confusion(f, confusion, file);
  if (f.worst > 0) show_worst(f, worst.sorted(), *images, file);
  return 0;
}

// "validation", as timm calls it, is "val".
static std::string read_split(std::string& word) {
  if (word == "validation" || word == "valid") word = "val";
  for (const char* known : {"train", "val", "test", "all"})
    if (word == known) return "";
  return quoted_word(word) + " is none of train, val, test, all";
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Evaluates a checkpoint on the validation images of a folder.", "rmt-eval");
  app.option_defaults()->always_capture_default();
  app.add_option("checkpoint,--checkpoint", f.checkpoint,
                 "safetensors or PyTorch .pth file, or a run folder (its best.safetensors)");
  app.add_option(
      "--data-dir,--data-path", f.data_dir,
      "folder with val/ or validation/, one folder a class in it, or class folders alone; "
      "empty: the one it was trained on");
  app.add_option(
         "--split", f.split,
         "train, val, test, or all (of class folders alone); empty: val, or all where there "
         "are class folders alone")
      ->transform(CLI::Validator(read_split, ""));
  app.add_option(
         "--val-split", f.val_split,
         "where there is no val/: the part of every class that rmt-train's --val-split held "
         "out; below 0: as in training, if these are its images")
      ->check(CLI::Range(-1., 0.9));
  app.add_option("--model", f.model,
                 "architecture; empty: as the checkpoint says, or by its shapes");
  app.add_option("-b,--batch-size", f.batch_size, "images at once")->check(CLI::Range(1, 65536));
  app.add_option("--img-size", f.img_size, "pixels; 0: as in training")
      ->check(CLI::Range(0, 16384));
  app.add_option("--crop-pct", f.crop_pct,
                 "image size / shorter side after the resize; 0: as in training")
      ->check(CLI::Range(0., 1.));
  app.add_option("--num-classes", f.num_classes, "classes that the model must have; 0: any")
      ->check(CLI::Range(0, 1 << 20));
  app.add_flag("--per-class", f.per_class,
               "also print top-1 class by class, the worst first (with --json: a list in it)");
  app.add_option("--confusion", f.confusion,
                 "draw which class is taken for which into this PNG file");
  app.add_option("--confusion-csv", f.confusion_csv,
                 "write these counts as a table into this file");
  app.add_option("--worst", f.worst,
                 "draw so many of the surest mistakes, the surest first; 0: none")
      ->check(CLI::Range(0, 1000));
  app.add_option("--out", f.out, "that picture, a PNG");
  app.add_flag("--json", f.json, "print one JSON object, under the names of timm's validate.py");
  app.add_flag("--force", f.force, "overwrite pictures and tables that are there");
  add_compute_flags(app, f.compute);
  app.add_option("-j,--workers", f.workers, "threads that read images");
  app.add_option("--threads", f.threads,
                 "threads that compute; 0: RMT_THREADS, else every processor")
      ->check(CLI::Range(0, 1024));
  add_timm_flags(app);
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  if (int status = check_checkpoint_word(app, f.checkpoint, "--data-dir images"); status >= 0)
    return status;
  return run_program(app, [&] { return eval(f); });
}

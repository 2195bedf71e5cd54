// Top-1, top-5 and loss of a checkpoint on a folder of images, and a picture of its worst mistakes.
#include <cstdio>

#include "core/parallel.h"
#include "examples/checkpoint_word.h"
#include "examples/program.h"
#include "examples/timm_flags.h"
#include "train/evaluation.h"
#include "train/mistakes.h"
#include "train/trainer.h"
#include "train/weights/hub.h"

using namespace rmt;

struct Flags {
  std::string checkpoint;
  std::string data_dir;
  std::string model;
  std::string out = "worst.png";
  int64_t worst = 0;
  bool json = false;
  bool force = false;
  int64_t batch_size = 64;
  int64_t img_size = 0;
  int64_t workers = 2;
  int threads = 0;
  double crop_pct = 0;
  train::TrainOptions compute;  // its --device, --amp, --tf32
};

static void print(const Flags& f, const train::Metrics& m, const train::ModelFile& file,
                  int64_t bad, double seconds) {
  const train::TrainOptions& o = file.options;
  if (f.json)
    std::printf("%s\n", train::evaluation_json(m, file, bad, seconds).c_str());
  else
    std::printf(
        "%s at %lld px on %s: top-1 %.3f %%  top-5 %.3f %%  loss %.4f  "
        "(%lld images, %lld bad, %.1f s)\n",
        o.model.c_str(), static_cast<long long>(o.img_size), o.data_dir.c_str(), m.acc1(), m.acc5(),
        m.loss(), static_cast<long long>(m.samples), static_cast<long long>(bad), seconds);
}

// The surest mistakes as a picture, and as lines on stderr that name the files.
static void show_worst(const Flags& f, const std::vector<train::Mistake>& worst,
                       const data::Dataset& images, const train::ModelFile& file) {
  if (worst.empty()) std::cerr << "no mistake, no picture" << std::endl;
  for (const train::Mistake& m : worst)
    std::cerr << images.name(m.index) << ": " << train::caption(m, file) << "\n";
  if (!worst.empty()) data::write_png(f.out, train::mistakes_picture(worst, images, file));
}

static int eval(const Flags& f) {
  if (f.threads > 0) set_threads(f.threads);
  if (f.worst > 0) train::check_unused(f.out, f.force);
  const train::Compute compute = train::choose_compute(f.compute);
  train::ModelFile file = train::load_model_file(f.checkpoint, f.model);
  std::cerr << file.origin << std::endl;
  train::TrainOptions& o = file.options;
  if (!f.data_dir.empty()) o.data_dir = f.data_dir;
  if (f.img_size > 0) o.img_size = f.img_size;
  if (f.crop_pct > 0) o.crop_pct = f.crop_pct;
  o.validation_batch_size = f.batch_size;
  o.workers = f.workers;
  CHECK(!o.data_dir.empty(), f.checkpoint,
        ": does not say on which images it was trained; name a folder with --data-dir");
  check(o);

  const auto images = data::open_dataset(o.data_dir, "val", file.classes);
  const int64_t K = file.model->config.num_classes;
  CHECK(int64_t(images->classes().size()) <= K, o.data_dir, ": has ", images->classes().size(),
        " classes, the model knows ", K);
  compute.prepare(*file.model);
  data::Loader loader(*images, train::loader_options(o, false));
  train::WorstMistakes worst(f.worst);
  train::Metrics so_far;
  train::StatusLine line;
  train::Stopwatch clock;
  auto forward = [&](const Tensor& x) { return file.model->forward(x); };
  auto seen = [&](const data::Batch& batch, const Tensor& logits) {
    worst.add(batch, logits);
    so_far.add(logits, batch.labels);
    line.show(str(so_far.samples, "/", images->size(), " images  top-1 ", so_far.acc1(), " %  ",
                  double(so_far.samples) / clock.seconds(), " img/s"));
    return true;
  };
  const train::Metrics m = evaluate(*file.model, forward, loader, compute,
                                    train::transform_options(o), "--batch-size", seen);
  line.clear();
  for (const data::BadImage& bad : loader.bad())
    std::cerr << "bad image, replaced by the next: " << bad.path << ": " << bad.reason << "\n";
  print(f, m, file, loader.bad().size(), clock.seconds());
  if (f.worst > 0) show_worst(f, worst.sorted(), *images, file);
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Evaluates a checkpoint on the validation images of a folder.", "rmt-eval");
  app.option_defaults()->always_capture_default();
  app.add_option("checkpoint,--checkpoint", f.checkpoint,
                 "safetensors or PyTorch .pth file, or a run folder (its best.safetensors)");
  app.add_option("--data-dir,--data-path", f.data_dir,
                 "folder with val/ or validation/, one folder a class in it; empty: the one it was "
                 "trained on");
  app.add_option("--model", f.model,
                 "architecture; empty: as the checkpoint says, or by its shapes");
  app.add_option("-b,--batch-size", f.batch_size, "images at once")->check(CLI::Range(1, 1 << 20));
  app.add_option("--img-size", f.img_size, "pixels; 0: as in training");
  app.add_option("--crop-pct", f.crop_pct,
                 "image size / shorter side after the resize; 0: as in training");
  app.add_option("--worst", f.worst,
                 "draw so many of the surest mistakes, the surest first; 0: none")
      ->check(CLI::Range(0, 1000));
  app.add_option("--out", f.out, "that picture, a PNG");
  app.add_flag("--json", f.json, "print one JSON object, under the names of timm's validate.py");
  app.add_flag("--force", f.force, "overwrite the picture if it is there");
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

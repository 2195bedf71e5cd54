// Top-1, top-5 and loss of a checkpoint on a folder of images.
#include <cstdio>

#include "core/parallel.h"
#include "examples/program.h"
#include "train/model_file.h"
#include "train/trainer.h"

using namespace rmt;

struct Flags {
  std::string checkpoint, data_dir, model;
  int64_t batch_size = 64, img_size = 0, workers = 2;
  int threads = 0;
  double crop_pct = 0;
  TrainOptions compute;  // its --device, --amp, --tf32
};

static int eval(const Flags& f) {
  if (f.threads > 0) set_threads(f.threads);
  const Compute compute = choose_compute(f.compute);
  ModelFile file = load_model_file(f.checkpoint, f.model);
  std::cerr << file.origin << std::endl;
  TrainOptions& o = file.options;
  if (!f.data_dir.empty()) o.data_dir = f.data_dir;
  if (f.img_size > 0) o.img_size = f.img_size;
  if (f.crop_pct > 0) o.crop_pct = f.crop_pct;
  o.validation_batch_size = f.batch_size, o.workers = f.workers;
  CHECK(!o.data_dir.empty(), f.checkpoint, ": does not say on which images it was trained; name a folder with --data-dir");
  check(o);

  const auto images = open_dataset(o.data_dir, "val", file.classes);
  int64_t K = file.model->config.num_classes;
  CHECK(int64_t(images->classes().size()) <= K, o.data_dir, ": has ", images->classes().size(), " classes, the model knows ", K);
  compute.prepare(*file.model);
  Loader loader(*images, loader_options(o, false, compute));
  Stopwatch clock;
  Metrics m = evaluate(
      *file.model, [&](const Tensor& x) { return file.model->forward(x); }, loader, compute, transform_options(o));
  for (const BadImage& bad : loader.bad()) std::cerr << "bad image, replaced by the next: " << bad.path << ": " << bad.reason << "\n";
  std::printf("%s at %lld px on %s: top-1 %.3f %%  top-5 %.3f %%  loss %.4f  (%lld images, %zu bad, %.1f s)\n", o.model.c_str(),
              static_cast<long long>(o.img_size), o.data_dir.c_str(), m.acc1(), m.acc5(), m.loss(), static_cast<long long>(m.samples), loader.bad().size(),
              clock.seconds());
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Evaluates a checkpoint on the validation images of a folder.", "rmt-eval");
  app.option_defaults()->always_capture_default();
  app.add_option("checkpoint,--checkpoint", f.checkpoint, "safetensors or PyTorch .pth file, or a run folder (its best.safetensors)")->required();
  app.add_option("--data-dir,--data-path", f.data_dir, "folder with val/ or validation/, one folder a class in it; empty: the one it was trained on");
  app.add_option("--model", f.model, "architecture; empty: as the checkpoint says, or by its shapes");
  app.add_option("-b,--batch-size", f.batch_size, "images at once")->check(CLI::Range(1, 1 << 20));
  app.add_option("--img-size", f.img_size, "pixels; 0: as in training");
  app.add_option("--crop-pct", f.crop_pct, "image size / shorter side after the resize; 0: as in training");
  add_compute_flags(app, f.compute);
  app.add_option("-j,--workers", f.workers, "threads that read images");
  app.add_option("--threads", f.threads, "threads that compute; 0: RMT_THREADS, else every processor")->check(CLI::Range(0, 1024));
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return eval(f); });
}

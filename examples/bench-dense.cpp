// Training steps and inferences a second of segmentation models and detectors on made-up images.
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/parallel.h"
#include "examples/program.h"
#include "train/dense_defaults.h"
#include "train/detection/detector_file.h"
#include "train/part_options.h"
#include "train/segmentation/evaluation.h"
#include "train/segmentation/segmenter_file.h"
#include "train/segmentation/task.h"
#include "train/step.h"

using namespace rmt;

struct Flags {
  std::string head = "semantic_fpn", model = "rmt_t", mode = "train";
  int64_t size = 512, batch = 2, classes = 150, iters = 5, warmup = 1, objects = 8;
  int threads = 0;
};

// The parts of the process's work that are measured.
struct Bench {
  std::unique_ptr<nn::Module> model;
  train::Objective objective;
  std::function<void(const Tensor& images)> infer;
};

// Objects of image b as tests/golden/torch_dense_bench.py has them: ellipses on a lattice.
static nn::GroundTruth objects_of(const Flags& f, int64_t b) {
  const int64_t S = f.size, n = f.objects;
  nn::GroundTruth truth;
  truth.masks = Tensor::zeros({n, S, S}, DType::u8);
  for (int64_t i = 0; i < n; ++i) {
    const double w = double(S) * (0.1 + 0.05 * double(i % 5)),
                 h = double(S) * (0.3 - 0.03 * double(i % 7));
    const double x = (double(S) - w) * double((i * 7 + b * 3) % 11) / 10;
    const double y = (double(S) - h) * double((i * 5 + b) % 9) / 8;
    truth.boxes.push_back({x, y, x + w, y + h});
    truth.labels.push_back((i * 13 + b) % f.classes);
    for (int64_t row = 0; row < S; ++row)
      for (int64_t column = 0; column < S; ++column) {
        const double u = (double(column) + .5 - x - w / 2) / (w / 2);
        const double v = (double(row) + .5 - y - h / 2) / (h / 2);
        truth.masks.data<uint8_t>()[(i * S + row) * S + column] = u * u + v * v < 1;
      }
  }
  return truth;
}

static Bench bench_of(const Flags& f, const train::TrainOptions& o) {
  Bench bench;
  const std::vector<std::string> heads = nn::segmentation_heads();
  const data::Place place{f.size, f.size, f.size, f.size};
  if (std::find(heads.begin(), heads.end(), f.head) != heads.end()) {
    auto made = train::make_segmenter(o, f.classes);
    nn::Segmenter* model = made.get();
    bench.objective = [model](const Tensor& images, const data::Batch& batch) {
      return train::segmentation_losses(model->forward(images), batch.pixel_labels);
    };
    bench.infer = [model, place](const Tensor& images) {
      train::predicted_labels(model->forward(images).main, place);
    };
    bench.model = std::move(made);
    return bench;
  }
  auto made = train::make_detector(o, f.classes);
  nn::Detector* model = made.get();
  const nn::ImageSize size{f.size, f.size};
  std::vector<nn::GroundTruth> truth;
  for (int64_t b = 0; b < f.batch; ++b) truth.push_back(objects_of(f, b));
  bench.objective = [=](const Tensor& images, const data::Batch&) -> train::Losses {
    const nn::Losses l =
        model->losses(images, std::vector<nn::ImageSize>(truth.size(), size), truth);
    return {l.total, l.parts};
  };
  bench.infer = [=](const Tensor& images) { model->detect(images, {size}, {{1., 1.}}); };
  bench.model = std::move(made);
  return bench;
}

// Labels are blocks of 16 x 16 pixels.
static data::Batch batch_of(const Flags& f, int64_t B) {
  const int64_t S = f.size;
  data::Batch batch{.images = Tensor::empty({B, S, S, 3}, DType::u8),
                    .mirror = Tensor::zeros({B}, DType::u8)};
  batch.pixel_labels = Tensor::empty({B, S, S}, DType::u8);
  Random random(0, Purpose::test);
  for (int64_t i = 0; i < batch.images.numel(); ++i)
    batch.images.data<uint8_t>()[i] = uint8_t(random.below(256));
  for (int64_t i = 0; i < batch.pixel_labels.numel(); ++i)
    batch.pixel_labels.data<uint8_t>()[i] =
        uint8_t((i / S / 16 * 31 + i % S / 16 * 7) % std::min<int64_t>(f.classes, 255));
  return batch;
}

static int run(const Flags& f) {
  if (f.threads > 0) set_threads(f.threads);
  train::TrainOptions o = train::dense_defaults(f.head, f.model);
  const Bench bench = bench_of(f, o);
  bench.model->init(0);
  const bool training = f.mode == "train";
  const int64_t B = training ? f.batch : 1;
  const data::Batch batch = batch_of(f, B);
  const train::Compute compute;
  train::Optimizer optimizer(training ? bench.model->parameters() : std::vector<nn::Entry>(), {});
  train::TrainStep step(*bench.model, nullptr, optimizer, compute, {.objective = bench.objective});
  std::vector<double> seconds;
  for (int64_t i = 0; i < f.warmup + f.iters; ++i) {
    const auto began = std::chrono::steady_clock::now();
    if (training) {
      step(batch, i, 1e-5);
    } else {
      NoGrad off;
      bench.model->mode().training = false;
      bench.infer(compute.images(batch, {}));
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    if (i >= f.warmup) seconds.push_back(took.count());
  }
  std::sort(seconds.begin(), seconds.end());
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  std::printf(
      "%s with %s %s, batch %lld, %lld px, %d threads: median %.3f s, peak memory %ld MiB\n",
      f.model.c_str(), f.head.c_str(), f.mode.c_str(), static_cast<long long>(B),
      static_cast<long long>(f.size), threads(), seconds[seconds.size() / 2], use.ru_maxrss / 1024);
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Measures training steps or inferences of segmentation models and detectors.",
               "bench-dense");
  app.option_defaults()->always_capture_default();
  app.add_option("--head", f.head,
                 "semantic_fpn, upernet, retinanet, faster_rcnn, mask_rcnn or cascade_mask_rcnn");
  app.add_option("--model", f.model, "backbone");
  app.add_option("--mode", f.mode, "train: forward, loss, backward, AdamW; infer: to the answer")
      ->check(CLI::IsMember({"train", "infer"}));
  app.add_option("--size", f.size, "pixels a side")->check(CLI::Range(32, 4096));
  app.add_option("-b,--batch", f.batch, "images a training step")->check(CLI::Range(1, 1024));
  app.add_option("--num-classes", f.classes, "classes")->check(CLI::Range(1, 255));
  app.add_option("--objects", f.objects, "objects an image, for detectors")
      ->check(CLI::Range(1, 1000));
  app.add_option("--iters", f.iters, "steps that are measured")->check(CLI::Range(1, 1 << 20));
  app.add_option("--warmup", f.warmup, "steps before these")->check(CLI::Range(0, 1 << 20));
  app.add_option("--threads", f.threads, "threads; 0: RMT_THREADS, else every processor")
      ->check(CLI::Range(0, 1024));
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return run(f); });
}

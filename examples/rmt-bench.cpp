// Throughput of a model on random images: training steps or inferences. With --json one line under
// the names that tools for other libraries print too.
#include <sys/resource.h>

#include <cstdio>
#include <memory>

#include "core/cuda/device.h"
#include "core/parallel.h"
#include "examples/program.h"
#include "examples/timm_flags.h"
#include "nn/models/count.h"
#include "train/memory.h"
#include "train/run/progress_line.h"
#include "train/trainer.h"
#include "train/weights/model_file.h"

using namespace rmt;

struct Flags {
  train::TrainOptions model{.model = "rmt_t"};
  std::string mode = "infer";
  int64_t batch = 8;
  int64_t iters = 5;
  int64_t warmup = 2;
  int64_t classes = 1000;
  int threads = 0;
  bool json = false;
};

struct Times {
  double median;  // seconds
  double spread;  // (p90 - p10) / median
  double warmup;  // seconds
};

static Times measure(const Flags& f, const std::function<void()>& step) {
  train::Stopwatch ready;
  for (int64_t i = 0; i < f.warmup; ++i) step();
  Times t{.median = 0, .spread = 0, .warmup = ready.seconds()};
  std::vector<double> all;
  for (int64_t i = 0; i < f.iters; ++i) {
    train::Stopwatch clock;
    step();
    all.push_back(clock.seconds());
  }
  std::sort(all.begin(), all.end());
  size_t n = all.size();
  t.median = (all[(n - 1) / 2] + all[n / 2]) / 2;
  t.spread = (all[size_t(0.9 * double(n - 1))] - all[size_t(0.1 * double(n - 1))]) / t.median;
  return t;
}

static data::Batch random_batch(const Flags& f, Device device) {
  const int64_t B = f.batch;
  const int64_t S = f.model.img_size;
  data::Batch batch{.images = Tensor::empty({B, S, S, 3}, DType::u8),
                    .mirror = Tensor::zeros({B}, DType::u8),
                    .labels = Tensor::empty({B}, DType::i64)};
  Random random(0, Purpose::test);
  for (int64_t i = 0; i < batch.images.numel(); ++i)
    batch.images.data<uint8_t>()[i] = uint8_t(random.below(256));
  for (int64_t i = 0; i < B; ++i) batch.labels.data<int64_t>()[i] = random.below(f.classes);
  for (Tensor* t : {&batch.images, &batch.mirror, &batch.labels}) *t = t->to(device);
  return batch;
}

// Forward alone; on a GPU recorded at the third time and then repeated.
static void infer(const train::Forward& forward, const Tensor& images, int64_t times,
                  std::unique_ptr<cuda::Graph>& graph) {
  if (images.device() == Device::cuda && times == 2 && !debugging()) {
    auto recording = std::make_unique<cuda::Graph>();
    recording->capture([&] { forward(images); });
    graph = std::move(recording);
  }
  if (graph)
    graph->launch();
  else
    forward(images);
}

// The peak of this process's memory in MiB, on the GPU where it computes there.
static long peak_memory(bool gpu) {
  if (gpu) return long(memory_use(Device::cuda).peak >> 20);
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  return use.ru_maxrss / 1024;  // Linux counts in KiB
}

static void print(const Flags& f, const train::Compute& compute, int64_t multiply_adds,
                  const Times& t) {
  const bool gpu = compute.device == Device::cuda;
  const int64_t B = f.batch;
  const int64_t S = f.model.img_size;
  const int passes = f.mode == "train" ? 3 : 1;  // backward: twice the forward
  const double flops = passes * 2 * double(multiply_adds) * double(B) / t.median;
  auto n = [](int64_t x) { return static_cast<long long>(x); };
  if (f.json)
    std::printf(
        "{\"model\": \"%s\", \"mode\": \"%s\", \"device\": \"%s\", \"amp\": \"%s\", \"threads\": "
        "%d, \"batch\": %lld, \"size\": %lld, \"median_s\": %.6f, "
        "\"images_per_s\": %.2f, \"spread\": %.3f, \"peak_MiB\": %ld, \"warmup_s\": %.1f, "
        "\"iters\": %lld, \"gflops\": %.1f}\n",
        f.model.model.c_str(), f.mode.c_str(), gpu ? cuda::info().name.c_str() : "cpu",
        f.model.amp.c_str(), threads(), n(B), n(S), t.median, double(B) / t.median, t.spread,
        peak_memory(gpu), t.warmup, n(f.iters), flops * 1e-9);
  else
    std::printf(
        "%s %s, batch %lld, %lld px, %s: %.1f images/s, median %.4f s of %lld (spread %.1f %%), "
        "peak memory %ld MiB, %.2f TFLOP/s of the model\n",
        f.model.model.c_str(), f.mode.c_str(), n(B), n(S), device_text(compute).c_str(),
        double(B) / t.median, t.median, n(f.iters), 100 * t.spread, peak_memory(gpu),
        flops * 1e-12);
}

static int bench(const Flags& f) {
  if (f.threads > 0) set_threads(f.threads);
  check(f.model);
  const train::Compute compute = train::choose_compute(f.model);
  const int64_t B = f.batch;
  const int64_t S = f.model.img_size;
  const auto made = train::make_model(f.model, f.classes);
  nn::Classifier& model = *made;
  model.init(0);
  const int64_t multiply_adds = nn::multiply_adds(model, S);
  compute.prepare(model);
  const data::Batch batch = random_batch(f, compute.device);

  train::Optimizer optimizer(f.mode == "train" ? model.parameters() : std::vector<nn::Entry>(), {});
  auto forward = [&](const Tensor& x) { return model.forward(x); };
  train::TrainStep step(model, forward, optimizer, compute,
                        {.smoothing = 0, .graph = f.model.cuda_graph});
  int64_t steps = 0;
  Tensor images;
  std::unique_ptr<cuda::Graph> graph;
  Times t = measure(f, [&] {
    if (f.mode == "train") {
      step(batch, steps++, 1e-3);
    } else {
      NoGrad off;
      try {
        if (!images.defined()) images = compute.images(batch, {});
        infer(forward, images, f.model.cuda_graph ? steps++ : 0, graph);
      } catch (const OutOfMemory& e) {
        images = Tensor();
        train::throw_with_batch_that_fits(
            e, str("inference of ", B, " images of ", S, " x ", S), "--batch", B,
            [&](int64_t n) { forward(compute.images(train::first_images(batch, n), {})); });
      }
    }
    if (compute.device == Device::cuda) cuda::synchronize();
  });

  print(f, compute, multiply_adds, t);
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Measures training steps or inferences a second on random images.", "rmt-bench");
  app.option_defaults()->always_capture_default();
  add_model_flags(app, f.model);
  add_compute_flags(app, f.model);
  app.add_flag("--cuda-graph,!--no-cuda-graph", f.model.cuda_graph,
               "on a GPU, record a step once and repeat it (default)")
      ->group("Device");
  app.add_option("--mode", f.mode, "train: forward, loss, backward, AdamW; infer: forward alone")
      ->check(CLI::IsMember({"train", "infer"}));
  app.add_option("-b,--batch,--batch-size", f.batch, "images a step")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--num-classes", f.classes, "outputs of the model")->check(CLI::Range(1, 1 << 20));
  app.add_option("--iters", f.iters, "steps that are measured")->check(CLI::Range(1, 1 << 20));
  app.add_option("--warmup", f.warmup, "steps before these")->check(CLI::Range(0, 1 << 20));
  app.add_option("--threads", f.threads, "threads; 0: RMT_THREADS, else every processor")
      ->check(CLI::Range(0, 1024));
  app.add_flag("--json", f.json, "print one JSON line");
  add_timm_flags(app);
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return bench(f); });
}

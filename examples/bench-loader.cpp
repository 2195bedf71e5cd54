// How many training images a second the loader makes, and that its memory stays flat; beside
// tests/golden/torch_loader.py, which is torchvision's and timm's. With --dump it writes what
// evaluation sees instead, for tests/golden/pil_eval.py to compare.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "core/files/files.h"
#include "data/loader.h"
#include "examples/program.h"
#include "train/run/progress_line.h"

using namespace rmt;

namespace {

struct Flags {
  std::string data_dir, split = "train", aa = "rand-m9-mstd0.5-inc1", dump;
  int64_t batches = 50, every = 0, repeats = 1, cache = 0;
  double reprob = 0.25;
  bool eval = false, json = false;
  data::LoaderOptions loader{.batch_size = 64};
};

// MiB of memory that the process has in use.
double resident() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmRSS:") {
      double kib = 0;
      status >> kib;
      return kib / 1024;
    }
  return 0;
}

int measure(const data::Dataset& data, const Flags& f) {
  data::Loader loader(data, f.loader);
  int64_t epoch = 0, images = 0;
  std::string memory;  // pairs of batches and MiB
  loader.start(epoch);
  auto take = [&] {
    std::optional<data::Batch> batch = loader.next();
    while (!batch) loader.start(++epoch), batch = loader.next();
    return batch->labels.numel();
  };
  take();  // the first batch waits for the threads to start
  train::Stopwatch clock;
  for (int64_t done = 1; done <= f.batches; ++done) {
    images += take();
    if (f.every > 0 && done % f.every == 0) {
      memory += str(memory.empty() ? "" : ", ", "[", done, ", ", resident(), "]");
      if (!f.json) std::cout << done << " batches: " << resident() << " MiB resident" << std::endl;
    }
  }
  const double seconds = clock.seconds(), rate = double(images) / seconds;
  std::printf(f.json ? "{\"images\": %ld, \"seconds\": %.3f, \"images_per_second\": %.1f, "
                       "\"resident_mib\": %.1f, \"memory\": [%s]}\n"
                     : "%ld images in %.3f s: %.1f img/s, %.1f MiB resident\n",
              long(images), seconds, rate, resident(), memory.c_str());
  return 0;
}

void write_ppm(const std::string& path, int64_t width, int64_t height, const uint8_t* rgb) {
  const std::string header = str("P6\n", width, " ", height, "\n255\n");
  write_unsynced(path, {{header.data(), header.size()}, {rgb, size_t(width * height * 3)}});
}

// Image i as it was decoded, i.decoded.ppm, and as evaluation sees it, i.eval.ppm.
int dump(const data::Dataset& data, const Flags& f) {
  CHECK(std::filesystem::create_directories(f.dump), f.dump,
        ": is there already; name a folder that is not");
  const int64_t side = f.loader.transform.image_size;
  std::vector<uint8_t> seen(size_t(side * side * 3));
  for (int64_t i = 0; i < data.size(); ++i) {
    const data::Image image = data.image(i);
    data::eval_pixels(image, f.loader.transform, seen.data());
    const std::string stem = str(f.dump, "/", i);
    write_ppm(stem + ".decoded.ppm", image.width, image.height, image.rgb.data());
    write_ppm(stem + ".eval.ppm", side, side, seen.data());
  }
  std::cout << f.dump << ": " << data.size() << " images" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Flags f;
  data::LoaderOptions& o = f.loader;
  CLI::App app("Measures the loader: images a second, and memory.", "bench-loader");
  app.option_defaults()->always_capture_default();
  app.add_option("--data-dir", f.data_dir, "folder of a dataset")->required();
  app.add_option("--split", f.split, "train or val: whose images");
  app.add_option("--workers,-j", o.workers, "threads that make them");
  app.add_option("--batch-size,-b", o.batch_size, "images a batch");
  app.add_option("--batches", f.batches,
                 "how many batches, after a first one; from the first epoch again at the set's end")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--img-size", o.transform.image_size, "side of the square, pixels");
  app.add_option("--aa", f.aa, "RandAugment as in rmt-train, or none");
  app.add_option("--color-jitter", o.transform.color_jitter, "colour jitter as in rmt-train");
  app.add_option("--reprob", f.reprob, "probability of RandomErasing");
  app.add_option("--aug-repeats", f.repeats, "repeated augmentation as in rmt-train");
  app.add_option("--crop-pct", o.transform.crop_pct, "of evaluation");
  app.add_option("--cache-mib", f.cache, "decoded images kept, MiB")->check(CLI::Range(0, 1 << 20));
  app.add_flag("--eval", f.eval, "the transform of evaluation");
  app.add_option("--memory-every", f.every,
                 "show the resident memory after so many batches; 0: at the end");
  app.add_flag("--json", f.json, "one line of JSON");
  app.add_option("--dump", f.dump,
                 "measure nothing; write every image, decoded and as evaluation sees it, as .ppm "
                 "into this new folder");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] {
    o.train = !f.eval;
    o.repeats = f.eval ? 1 : f.repeats;
    o.cache_bytes = f.cache << 20;
    if (o.train) o.transform.augment = data::parse_augment(f.aa);
    if (o.train) o.transform.erasing.probability = f.reprob;
    const std::unique_ptr<data::Dataset> data = data::open_dataset(f.data_dir, f.split);
    return f.dump.empty() ? measure(*data, f) : dump(*data, f);
  });
}

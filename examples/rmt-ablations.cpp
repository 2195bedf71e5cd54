// The paper's ablations as an experiment that anyone can repeat: variants of one model, each with
// the same epochs, the same images and several seeds, then a table and a picture of them.
//
// Every run has a folder of its own, OUTPUT/<variant>-seed<n>. So the experiment may be stopped at
// any moment: the same command finds what is finished, goes on with what was begun, and a further
// seed or variant costs its own runs alone.
#include <cstdio>
#include <filesystem>

#include "core/files/files.h"
#include "core/parallel.h"
#include "examples/ablation_table.h"
#include "examples/program.h"
#include "nn/models/count.h"
#include "train/run/progress_line.h"
#include "train/settings.h"
#include "train/trainer.h"
#include "train/weights/model_file.h"

using namespace rmt;
namespace fs = std::filesystem;

// What is taken out of the model, and what the paper lost by it: its Table 6, points of top-1 of
// RMT-T on ImageNet.
struct Variant {
  const char *name, *what;
  std::optional<double> paper;
  void (*change)(train::TrainOptions&);
};

using Options = train::TrainOptions;
// clang-format off
static const std::vector<Variant> kVariants = {
    {"as-published", "as it is", 0., [](Options&) {}},
    {"vanilla-attention", "vanilla attention (no decay)", 0.8, [](Options& o) { o.decay = false; }},
    {"post-multiply", "decay after the softmax", {},
     [](Options& o) { o.decay_mode = "post_multiply"; }},
    {"post-multiply-normalised", "the same, weights of sum 1", {},
     [](Options& o) { o.decay_mode = "post_multiply_normalised"; }},
    {"no-local-context", "without LCE", 0.3, [](Options& o) { o.local_context = false; }},
    {"no-position-conv", "without CPE", 0.2, [](Options& o) { o.position_conv = false; }},
    {"no-conv-stem", "without the convolutional stem", 0.2,
     [](Options& o) { o.conv_stem = false; }},
    {"no-rotary", "without rotation", {}, [](Options& o) { o.rotary = false; }},
    {"no-ffn-conv", "without the FFN's convolution", {}, [](Options& o) { o.ffn_conv = false; }},
    {"full-attention", "the whole map in every stage", {},
     [](Options& o) { o.decomposed = "0000"; }},
};
// clang-format on

struct Flags {
  train::TrainOptions options;
  std::string output = "output/ablations";
  std::vector<std::string> only;
  int64_t seeds = 2, rounds = 5;
};

static std::vector<Variant> chosen(const Flags& f) {
  if (f.only.empty()) return kVariants;
  std::vector<std::string> names;
  for (const Variant& v : kVariants) names.push_back(v.name);
  std::vector<Variant> out{kVariants[0]};  // the others are compared with it
  for (const std::string& name : f.only) {
    const auto at = std::find(names.begin(), names.end(), name);
    CHECK(at != names.end(), "--only ", name, ": there is no such variant",
          train::did_you_mean(name, names));
    if (at != names.begin()) out.push_back(kVariants[size_t(at - names.begin())]);
  }
  return out;
}

static train::TrainOptions options_of(const Flags& f, const Variant& variant, int64_t seed) {
  train::TrainOptions o = f.options;
  o.seed = uint64_t(seed);
  variant.change(o);
  check(o);
  return train::resolved(o);
}

// Error where a run that lies there was trained otherwise than this experiment asks for.
static void check_same(const train::TrainOptions& now, const std::string& args) {
  using train::Group;
  const train::TrainOptions then = train::options_from_json(read_file(args, 1 << 20), args);
  train::for_each_setting([&](const auto& s) {
    const bool counts = s.group == Group::model || s.group == Group::ablations ||
                        s.group == Group::optimization || s.group == Group::augmentation;
    CHECK(!counts || now.*s.field == then.*s.field, args, ": that run has another ",
          train::flag_of(s.name), " than this experiment; give another --output");
  });
}

// Trains to the end, or as far as a signal lets it: false then. A run that was begun goes on.
static bool train_one(const train::TrainOptions& o, const std::string& output,
                      const std::string& name, const data::TrainAndVal& images,
                      const train::Compute& compute) {
  const std::string path = output + "/" + name, last = path + "/last.safetensors";
  const auto model = train::make_model(o, int64_t(images.train->classes().size()));
  model->init(o.seed);
  compute.prepare(*model);
  train::Trainer trainer(*model, *images.train, *images.val, o, std::cout, compute);
  train::RunFolder folder;
  if (fs::exists(last)) {
    folder = train::RunFolder::open(path);
    folder.lock();
    trainer.resume(train::read_safetensors(last));
  } else {
    folder = fs::exists(path) ? train::RunFolder::begin_again(path)
                              : train::RunFolder::create(output, name, o.model, o.img_size);
    folder.lock();
    write_file(folder / "args.json", train::to_json(o));
  }
  std::cout << name << std::endl;
  CHECK(trainer.run(folder), path, ": not all of it could be saved; the reason stands above");
  return !trainer.stopped();
}

// The epochs that a run has behind it; its last top-1 goes to `top1`.
static int64_t epochs_done(const std::string& path, double& top1) {
  if (!fs::exists(path + "/log.jsonl")) return 0;
  const std::vector<train::EpochLog> log = train::read_log(path + "/log.jsonl", true);
  if (log.empty()) return 0;
  top1 = log.back().test.score();
  return log.back().epoch + 1;
}

// Seconds of one training step of each model, measured in turn so that all of them see the same
// machine: the median of the rounds.
static void measure_speed(const Flags& f, const std::vector<Variant>& variants, int64_t classes,
                          const train::Compute& compute, std::vector<VariantResult>& results) {
  const int64_t B = 32, S = f.options.img_size;
  data::Batch batch{Tensor::zeros({B, S, S, 3}, DType::u8),
                    Tensor::zeros({B}, DType::u8),
                    Tensor::zeros({B}, DType::i64),
                    {}};
  for (Tensor* t : {&batch.images, &batch.mirror, &batch.labels}) *t = t->to(compute.device);
  std::vector<std::vector<double>> seconds(variants.size());
  std::vector<std::unique_ptr<nn::Classifier>> models;
  std::vector<std::unique_ptr<train::Optimizer>> optimizers;
  std::vector<std::unique_ptr<train::TrainStep>> steps;
  for (const Variant& v : variants) {
    models.push_back(train::make_model(options_of(f, v, 0), classes));
    nn::Classifier& model = *models.back();
    model.init(0);
    compute.prepare(model);
    optimizers.push_back(
        std::make_unique<train::Optimizer>(model.parameters(), train::OptimizerOptions()));
    steps.push_back(std::make_unique<train::TrainStep>(
        model, [&model](const Tensor& x) { return model.forward(x); }, *optimizers.back(), compute,
        train::StepOptions{.graph = false}));
  }
  for (int64_t round = 0; round <= f.rounds; ++round)  // the first warms up
    for (size_t i = 0; i < variants.size(); ++i) {
      train::Stopwatch clock;
      (*steps[i])(batch, round, 1e-4);
      if (compute.device == Device::cuda) cuda::synchronize();
      if (round > 0) seconds[i].push_back(clock.seconds());
    }
  for (size_t i = 0; i < variants.size(); ++i) {
    std::sort(seconds[i].begin(), seconds[i].end());
    results[i].images_per_s = double(B) / seconds[i][seconds[i].size() / 2];
  }
}

static int ablate(const Flags& f) {
  CHECK(!f.options.data_dir.empty(),
        "which images? --data-dir FOLDER (make ablations DATA=FOLDER), one folder a class in its "
        "train/ and val/");
  if (f.options.threads > 0) set_threads(int(f.options.threads));
  const std::vector<Variant> variants = chosen(f);
  const train::Compute compute = train::choose_compute(f.options);
  const data::TrainAndVal images =
      data::open_train_and_val(f.options.data_dir, f.options.val_split);
  const int64_t classes = int64_t(images.train->classes().size());
  std::vector<VariantResult> results;
  for (const Variant& v : variants) {
    const auto model = train::make_model(options_of(f, v, 0), classes);
    results.push_back({v.name,
                       v.what,
                       v.paper,
                       {},
                       model->parameter_count(),
                       double(nn::multiply_adds(*model, f.options.img_size))});
  }
  // All variants of the first seed come first: a table of them is there soonest.
  for (int64_t seed = 0; seed < f.seeds; ++seed)
    for (size_t i = 0; i < variants.size(); ++i) {
      const std::string name = str(variants[i].name, "-seed", seed);
      const std::string path = f.output + "/" + name;
      const train::TrainOptions o = options_of(f, variants[i], seed);
      if (fs::exists(path + "/args.json")) check_same(o, path + "/args.json");
      double top1 = 0;
      if (epochs_done(path, top1) < o.epochs && !train_one(o, f.output, name, images, compute)) {
        std::cerr << "stopped; the same command goes on from there" << std::endl;
        return 1;
      }
      CHECK(epochs_done(path, top1) >= o.epochs, path, ": its log ends before epoch ", o.epochs);
      results[i].top1.push_back(top1);
    }
  if (f.rounds > 0) measure_speed(f, variants, classes, compute, results);
  const std::string table = ablation_table(results);
  write_file(f.output + "/ablations.md", table);
  write_file(f.output + "/ablations.svg", ablation_picture(results));
  std::printf("\n%s\n%s/ablations.md and ablations.svg hold this\n", table.c_str(),
              printable(f.output).c_str());
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  // The plain recipe of ten epochs, for small photographs.
  train::TrainOptions& o = f.options;
  o.model = "rmt_n";
  o.img_size = 64;
  o.epochs = 10;
  o.lr = 1e-3;
  o.warmup_epochs = 1;
  o.scale = {0.35, 1};
  o.log_interval = 0;
  CLI::App app(
      "Trains the variants of an RMT that the paper's ablations name, several seeds each, and "
      "writes "
      "a table and a picture. The same command goes on where it was stopped.",
      "rmt-ablations");
  app.option_defaults()->always_capture_default();
  using train::Group;
  add_settings(
      app, o, {Group::data, Group::model, Group::device, Group::optimization, Group::augmentation});
  app.add_option("--output", f.output, "folder of the runs, of ablations.md and ablations.svg");
  app.add_option("--seeds", f.seeds, "runs of each variant, with the seeds 0, 1, ...")
      ->check(CLI::Range(1, 1000));
  app.add_option("--only", f.only, "these variants alone, beside the model as it is")
      ->delimiter(',');
  app.add_option("--speed-rounds", f.rounds, "training steps measured of each; 0: none")
      ->check(CLI::Range(0, 1000));
  app.add_option("--threads", o.threads, "threads that compute; 0: RMT_THREADS, else all")
      ->check(CLI::Range(0, 1024));
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return ablate(f); });
}

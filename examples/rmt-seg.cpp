// A class for every pixel: trains segmentation models, evaluates them, and paints what they see.
#include <cstdio>
#include <filesystem>

#include "core/files/files.h"
#include "data/segmentation/labelled_folder.h"
#include "data/sets/drawn_scenes.h"
#include "examples/dense_checkpoint.h"
#include "examples/dense_training.h"
#include "examples/verbs.h"
#include "train/segmentation/evaluation.h"
#include "train/segmentation/overlay.h"
#include "train/segmentation/segmenter_file.h"
#include "train/segmentation/task.h"

using namespace rmt;

static const char* const kDrawn = "build/scenes";

// --- rmt-seg train ---

static train::TrainOptions drawn_defaults() {
  train::TrainOptions o = train::dense_defaults("semantic_fpn", "rmt_n");
  o.fpn_channels = 64;
  o.long_side = o.short_side = o.crop_size = 128;
  o.batch_size = 8;
  o.passes = 3;
  o.epochs = 5;
  o.lr = 3e-3;
  o.warmup_steps = 100;
  o.weight_decay = 0.05;
  o.no_decay = "vectors";
  o.size_ratio = {0.8, 1.25};
  o.photometric = false;  // the scenes have all colours
  return o;
}

static std::unique_ptr<data::LabelledFolder> open(const train::TrainOptions& o,
                                                  const std::string& split,
                                                  const std::vector<std::string>& classes = {}) {
  const data::LabelledFolderOptions options{.zero_is_unlabelled = !o.labels_from_zero};
  return std::make_unique<data::LabelledFolder>(o.data_dir, split, options, classes);
}

static DenseProgram program(const std::string& path) {
  DenseProgram p;
  p.name = "rmt-seg train";
  p.about =
      "Trains a segmentation model on a folder of images and label images, or, without --data-dir, "
      "a small one on scenes that it draws itself.";
  p.groups = {train::Group::segmentation};
  p.heads = {"semantic_fpn", "upernet"};
  p.other = "rmt-det train";
  p.usual_head = "semantic_fpn";
  p.drawn = kDrawn;
  p.draw = [](const std::string& folder) { data::draw_scenes(folder, {.shapes = 2}); };
  p.drawn_defaults = drawn_defaults;
  p.open = [](const train::TrainOptions& o) {
    auto train = open(o, "train");
    auto val = open(o, "val", train->classes());
    return AnnotatedSets{std::move(train), std::move(val)};
  };
  p.make = [](const train::TrainOptions& o, int64_t classes) -> std::unique_ptr<nn::Module> {
    return train::make_segmenter(o, classes);
  };
  p.class_layers = [](nn::Module& m) { return dynamic_cast<nn::Segmenter&>(m).class_layers(); };
  p.task = [](nn::Module& m, const AnnotatedSets& sets, const train::TrainOptions& o,
              const train::Compute& compute) -> std::unique_ptr<train::Task> {
    return std::make_unique<train::Segmentation>(dynamic_cast<nn::Segmenter&>(m), *sets.train,
                                                 *sets.test, o, compute);
  };
  p.next = [path](const std::string& folder) {
    return std::vector<std::string>{"next: " + path + " eval " + folder,
                                    "      " + path + " predict " + folder + " photo.jpg"};
  };
  return p;
}

// --- what eval and predict share ---

static const char* const kHeads = "semantic_fpn or upernet";

static train::SegmenterFile load(const DenseFlags& f, const train::Compute& compute) {
  return prepared(train::load_segmenter(f.checkpoint, f.model, f.head), f, compute);
}

// --- rmt-seg eval ---

static void print_scores(const DenseFlags& f, const train::SegmenterFile& file,
                         const train::Agreement& a, int64_t images, double seconds) {
  if (f.json) {
    std::printf("%s\n", train::segmentation_json(a, file.classes, images, seconds).c_str());
    return;
  }
  std::printf("%s on %s: mIoU %.2f %%  mAcc %.2f %%  aAcc %.2f %%  (%lld images, %.1f s)\n",
              name_of(file.options).c_str(), printable(file.options.data_dir).c_str(),
              100 * a.mean_iou, 100 * a.mean_accuracy, 100 * a.accuracy,
              static_cast<long long>(images), seconds);
  if (f.per_class) std::fputs(train::agreement_table(a, file.classes).c_str(), stdout);
}

static int eval(DenseFlags& f) {
  if (f.threads > 0) set_threads(f.threads);
  const train::Compute compute = train::choose_compute(f.compute);
  train::SegmenterFile file = load(f, compute);
  if (f.data_dir.empty())
    check_recorded_folder(f.checkpoint, file.options.data_dir, "rmt-seg train");
  else
    file.options.data_dir = f.data_dir;
  const auto images =
      open(file.options, f.split, file.named ? file.classes : std::vector<std::string>());
  CHECK(images->classes().size() == file.classes.size(), images->place(), " has ",
        images->classes().size(), " classes, the model ", file.classes.size());
  file.classes = images->classes();
  data::AnnotatedLoader loader(
      *images, data::segmentation_evaluation(train::segmentation_options(file.options)),
      {.workers = int(f.workers), .train = false});
  train::StatusLine line;
  train::Stopwatch clock;
  int64_t done = 0;
  const auto counts = train::evaluate_segmentation(
      *file.model, loader, compute, train::transform_options(file.options),
      [&](const data::Batch&, const data::LabelImage&) {
        ++done;
        line.show(
            str(done, "/", images->size(), " images  ", double(done) / clock.seconds(), " img/s"));
        return true;
      });
  line.clear();
  print_bad_images(loader.bad());
  print_scores(f, file, train::agreement_of(*counts), images->size(), clock.seconds());
  return 0;
}

// --- rmt-seg predict ---

// Writes OUT/NAME.png, the labels as the training images' are, and OUT/NAME-painted.png.
static data::Image predict_one(const DenseFlags& f, const std::string& path,
                               train::SegmenterFile& file, const train::Compute& compute) {
  const std::string stem = f.out + "/" + fs::path(path).stem().string();
  const std::string labels = stem + ".png", painted = stem + "-painted.png";
  for (const std::string& name : {labels, painted}) train::check_unused(name, f.force);
  const data::Image image = data::read_image(path);
  const data::LabelImage found = train::predict(file, compute, image);
  data::write_labels(labels, found,
                     {.classes = int64_t(file.classes.size()),
                      .zero_is_unlabelled = !file.options.labels_from_zero});
  data::Image picture = train::prediction_picture(image, found, file.classes);
  data::write_png(painted, picture);
  std::printf("%s -> %s\n", printable(path).c_str(), printable(painted).c_str());
  return picture;
}

static int predict(const DenseFlags& f) {
  CHECK(!f.images.empty(), "give images behind the checkpoint, files or folders");
  if (f.threads > 0) set_threads(f.threads);
  const train::Compute compute = train::choose_compute(f.compute);
  train::SegmenterFile file = load(f, compute);
  return predict_all("rmt-seg predict", f,
                     [&](const std::string& path) { return predict_one(f, path, file, compute); });
}

static int eval_main(int argc, char** argv) {
  DenseFlags f;
  CLI::App app("Evaluates a segmentation model on images with labels.", "rmt-seg eval");
  app.option_defaults()->always_capture_default();
  add_checkpoint_flags(app, f, kHeads);
  add_eval_flags(app, f);
  app.add_flag("--per-class", f.per_class, "also print each class's IoU");
  app.add_flag("--json", f.json, "print one JSON object");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  if (int status = check_checkpoint_word(app, f.checkpoint, "--data-dir images"); status >= 0)
    return status;
  return run_program(app, [&] { return eval(f); });
}

static int predict_main(int argc, char** argv) {
  DenseFlags f;
  CLI::App app("Paints the classes of every pixel over photographs.", "rmt-seg predict");
  app.option_defaults()->always_capture_default();
  add_checkpoint_flags(app, f, kHeads);
  add_predict_flags(app, f);
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  if (int status = check_checkpoint_word(app, f.checkpoint, "photo.jpg"); status >= 0)
    return status;
  return run_program(app, [&] { return predict(f); });
}

int main(int argc, char** argv) {
  const DenseProgram p = program(argv[0]);
  return run_verb("rmt-seg", argc, argv,
                  {{"train", "on a folder, or on scenes that it draws",
                    [&](int n, char** words) { return train_main(p, n, words); }},
                   {"eval", "a checkpoint on images with labels: mIoU", eval_main},
                   {"predict", "label images and painted photographs", predict_main}});
}

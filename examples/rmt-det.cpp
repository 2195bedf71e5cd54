// Boxes, and masks, around the things in a photograph: trains detectors, evaluates them, and draws
// what they find.
#include <cstdio>
#include <filesystem>

#include "core/files/files.h"
#include "data/detection/coco_set.h"
#include "data/sets/drawn_scenes.h"
#include "examples/dense_checkpoint.h"
#include "examples/dense_training.h"
#include "examples/verbs.h"
#include "train/detection/coco_json.h"
#include "train/detection/detector_file.h"
#include "train/detection/evaluation.h"
#include "train/detection/picture.h"
#include "train/detection/task.h"

using namespace rmt;

static const char* const kDrawn = "build/small-scenes";

// --- rmt-det train ---

static train::TrainOptions drawn_defaults() {
  train::TrainOptions o = train::dense_defaults("mask_rcnn", "rmt_n");
  o.fpn_channels = 64;
  o.fc_channels = 256;
  o.anchor_scale = 4;
  o.box_samples = 64;
  o.long_side = o.short_side = 96;
  o.batch_size = 8;
  o.passes = 2;
  o.epochs = 2;
  o.sched = "cosine";
  o.warmup_epochs = 0.2;
  o.lr = 2e-3;
  return o;
}

static bool with_masks(const train::TrainOptions& o) {
  return o.head == "mask_rcnn" || o.head == "cascade_mask_rcnn";
}

static AnnotatedSets open_sets(const train::TrainOptions& o) {
  auto part = [&](const char* name, bool training) {
    return data::open_coco(o.data_dir, name, {.masks = with_masks(o), .training = training});
  };
  auto train = part("train", true), val = part("val", false);
  for (const data::CocoSet* set : {train.get(), val.get()})
    for (const std::string& line : set->remarks()) std::cerr << "note: " << printable(line) << "\n";
  return {std::move(train), std::move(val)};
}

static DenseProgram program(const std::string& path) {
  DenseProgram p;
  p.name = "rmt-det train";
  p.about =
      "Trains a detector on images with objects in COCO's form, or, without --data-dir, a "
      "small one on scenes that it draws itself.";
  p.groups = {train::Group::detection};
  p.heads = {"retinanet", "faster_rcnn", "mask_rcnn", "cascade_mask_rcnn"};
  p.other = "rmt-seg train";
  p.usual_head = "mask_rcnn";
  p.drawn = kDrawn;
  p.draw = [](const std::string& folder) { data::draw_scenes(folder, {.size = 96, .shapes = 4}); };
  p.drawn_defaults = drawn_defaults;
  p.open = open_sets;
  p.make = [](const train::TrainOptions& o, int64_t classes) -> std::unique_ptr<nn::Module> {
    return train::make_detector(o, classes);
  };
  p.class_layers = train::class_layers_of_detector;
  p.task = [](nn::Module& m, const AnnotatedSets& sets, const train::TrainOptions& o,
              const train::Compute& compute) -> std::unique_ptr<train::Task> {
    return std::make_unique<train::Detection>(dynamic_cast<nn::Detector&>(m),
                                              dynamic_cast<data::CocoSet&>(*sets.train),
                                              dynamic_cast<data::CocoSet&>(*sets.test), o, compute);
  };
  p.next = [path](const std::string& folder) {
    return std::vector<std::string>{"next: " + path + " eval " + folder,
                                    "      " + path + " predict " + folder + " photo.jpg"};
  };
  return p;
}

// --- what eval and predict share ---

struct Flags : DenseFlags {
  std::string results;
  double score = 0.5;
};

static const char* const kHeads = "retinanet, faster_rcnn, mask_rcnn or cascade_mask_rcnn";

static train::DetectorFile load(const DenseFlags& f, const train::Compute& compute) {
  return prepared(train::load_detector(f.checkpoint, f.model, f.head), f, compute);
}

// --- rmt-det eval ---

static void print_scores(const Flags& f, const train::DetectorFile& file, const char* what,
                         const train::CocoScores& scores) {
  if (!f.json) {
    std::printf("%s\n%s", what, scores.summary().c_str());
    for (size_t k = 0; f.per_class && k < scores.categories.size(); ++k)
      std::printf("  %-24s AP %6.2f\n", printable(file.classes[k]).c_str(),
                  100 * scores.ap(int64_t(k)));
    return;
  }
  std::printf("%s\n", train::scores_json(scores, what, name_of(file.options)).c_str());
}

static int eval(Flags& f) {
  if (f.threads > 0) set_threads(f.threads);
  if (!f.results.empty()) train::check_unused(f.results, f.force);
  const train::Compute compute = train::choose_compute(f.compute);
  train::DetectorFile file = load(f, compute);
  if (f.data_dir.empty())
    check_recorded_folder(f.checkpoint, file.options.data_dir, "rmt-det train");
  else
    file.options.data_dir = f.data_dir;
  const bool masks = file.model->has_masks();
  const auto images = data::open_coco(file.options.data_dir, f.split, {.masks = masks});
  if (file.named) train::check_categories(*images, file.classes, "the model");
  CHECK(images->classes().size() == file.classes.size(), images->coco().path, ": has ",
        images->classes().size(), " categories, the model ", file.classes.size());
  file.classes = images->classes();
  data::AnnotatedLoader loader(
      *images, data::detection_pipeline(train::detection_options(file.options, false)),
      {.workers = int(f.workers), .train = false, .multiple = train::kBatchMultiple});
  train::StatusLine line;
  train::Stopwatch clock;
  int64_t done = 0;
  const auto found = train::detect_all(*file.model, *images, loader, compute,
                                       train::transform_options(file.options),
                                       [&](const data::Batch&, const std::vector<nn::Detection>&) {
                                         ++done;
                                         line.show(str(done, "/", images->size(), " images  ",
                                                       double(done) / clock.seconds(), " img/s"));
                                         return true;
                                       });
  line.clear();
  print_bad_images(loader.bad());
  const std::vector<int64_t> categories = train::category_ids(*images);
  const std::vector<train::CocoTruth> truth = train::coco_truth(*images, masks);
  print_scores(f, file, "boxes",
               train::coco_evaluate(truth, *found, categories, train::CocoKind::kBoxes));
  if (masks)
    print_scores(f, file, "masks",
                 train::coco_evaluate(truth, *found, categories, train::CocoKind::kMasks));
  if (!f.results.empty())
    train::write_coco_results(f.results, *found,
                              masks ? train::CocoKind::kMasks : train::CocoKind::kBoxes);
  return 0;
}

// --- rmt-det predict ---

// Draws what is found into OUT/NAME.png and says it on stdout.
static data::Image predict_one(const Flags& f, const std::string& path, train::DetectorFile& file,
                               const train::Compute& compute) {
  const std::string picture = f.out + "/" + fs::path(path).stem().string() + ".png";
  train::check_unused(picture, f.force);
  const data::Image image = data::read_image(path);
  std::vector<train::DrawnObject> drawn;
  for (train::DrawnObject& d : train::find_objects(file, compute, image)) {
    if (d.score < f.score) continue;
    const std::string name = file.classes[size_t(d.label)];
    if (!f.json)
      std::printf("%s: %s %.3f at %.0f %.0f, %.0f x %.0f\n", printable(path).c_str(),
                  printable(name).c_str(), d.score, d.box[0], d.box[1], d.box[2], d.box[3]);
    drawn.push_back(std::move(d));
  }
  data::Image with_objects = train::draw_detections(image, drawn, file.classes);
  data::write_png(picture, with_objects);
  if (f.json)
    std::printf("%s\n", train::objects_json(path, drawn, file.classes).c_str());
  else
    std::printf("%s -> %s\n", printable(path).c_str(), printable(picture).c_str());
  return with_objects;
}

static int predict(const Flags& f) {
  CHECK(!f.images.empty(), "give images behind the checkpoint, files or folders");
  if (f.threads > 0) set_threads(f.threads);
  const train::Compute compute = train::choose_compute(f.compute);
  train::DetectorFile file = load(f, compute);
  return predict_all("rmt-det predict", f,
                     [&](const std::string& path) { return predict_one(f, path, file, compute); });
}

static int eval_main(int argc, char** argv) {
  Flags f;
  CLI::App app("Evaluates a detector by COCO's average precision.", "rmt-det eval");
  app.option_defaults()->always_capture_default();
  add_checkpoint_flags(app, f, kHeads);
  add_eval_flags(app, f);
  app.add_option("--results", f.results,
                 "write the detections into this file, as COCO's program reads them");
  app.add_flag("--per-class", f.per_class, "also print each class's AP");
  app.add_flag("--json", f.json, "print a JSON object for boxes, and one for masks");
  app.add_flag("--force", f.force, "overwrite a file of results that is there");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  if (int status = check_checkpoint_word(app, f.checkpoint, "--data-dir images"); status >= 0)
    return status;
  return run_program(app, [&] { return eval(f); });
}

static int predict_main(int argc, char** argv) {
  Flags f;
  CLI::App app("Draws what a detector finds on photographs.", "rmt-det predict");
  app.option_defaults()->always_capture_default();
  add_checkpoint_flags(app, f, kHeads);
  add_predict_flags(app, f);
  app.add_option("--score", f.score, "draw what is at least so sure")->check(CLI::Range(0., 1.));
  app.add_flag("--json", f.json, "print one JSON object an image");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  if (int status = check_checkpoint_word(app, f.checkpoint, "photo.jpg"); status >= 0)
    return status;
  return run_program(app, [&] { return predict(f); });
}

int main(int argc, char** argv) {
  const DenseProgram p = program(argv[0]);
  return run_verb("rmt-det", argc, argv,
                  {{"train", "on images in COCO's form, or on scenes that it draws",
                    [&](int n, char** words) { return train_main(p, n, words); }},
                   {"eval", "a checkpoint on images with objects: average precision", eval_main},
                   {"predict", "photographs with what is found drawn on them", predict_main}});
}

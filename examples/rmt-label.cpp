// Makes the label maps that training with token labels reads (data/labels/README.md): a trained RMT
// looks at every photograph and leaves for each of its tokens the classes that it sees there.
#include <cstdio>
#include <filesystem>

#include "core/files/crc32c.h"
#include "core/parallel.h"
#include "data/sets/splits.h"
#include "examples/checkpoint_word.h"
#include "examples/label_picture.h"
#include "examples/names_of_classes.h"
#include "examples/program.h"
#include "train/label_images.h"
#include "train/run/progress_line.h"
#include "train/stop.h"
#include "train/weights/hub.h"

using namespace rmt;

struct Flags {
  std::string checkpoint, data_dir, split = "train", out, picture;
  int64_t img_size = 0, top = 5, batch_size = 64, workers = 2, pictures = 8, max_bad_images = 100;
  double val_split = -1;
  int threads = 0;
  bool force = false;
  train::TrainOptions compute;  // its --device, --amp, --tf32
};

// The teacher with its options, over which the flags are laid.
static train::ModelFile load(const Flags& f) {
  train::ModelFile file = train::load_model_file(f.checkpoint);
  std::cerr << printable(file.origin) << std::endl;
  train::TrainOptions& o = file.options;
  train::set_image_size(file, f.img_size);
  if (f.data_dir.empty()) check_recorded_folder(f.checkpoint, o.data_dir);
  if (!f.data_dir.empty() && f.data_dir != o.data_dir) {
    o.data_dir = f.data_dir;
    o.val_split = 0;
  }
  if (f.val_split >= 0) o.val_split = f.val_split;
  check(o);
  return file;
}

// Of the teacher, what tells it from another one: "rmt_n at 128 px, weights 3f2a91c0".
static std::string described(nn::Rmt& teacher, const train::TrainOptions& o) {
  uint32_t crc = 0;
  for (const nn::Entry& e : teacher.state()) {
    const Tensor x = e.tensor->to(Device::cpu);
    crc = crc32c(x.raw(), x.nbytes(), crc);
  }
  char weights[16];
  std::snprintf(weights, sizeof weights, "%08x", crc);
  return str(o.model, " at ", o.img_size, " px, weights ", weights);
}

// The first images and their maps, side by side.
static void draw(const Flags& f, const data::Dataset& images, const data::LabelMaps& maps,
                 const train::ModelFile& file) {
  const train::ClassNames names = names_of_classes("rmt-label", file, "");
  std::vector<std::string> classes;
  for (size_t k = 0; k < names.labels.size(); ++k)
    classes.push_back(names.words[k].empty() ? names.labels[k] : names.words[k]);
  std::vector<data::Tile> tiles;
  const int64_t shown = std::min(f.pictures, images.size());
  for (int64_t n = 0; n < shown; ++n) try {
      const int64_t i = n * images.size() / shown;  // of all classes: spread over the set
      add_label_tiles(tiles, images.image(i), maps.of(short_name(images, i)),
                      classes.at(size_t(images.label(i))), classes);
    } catch (const SystemError&) {
      throw;
    } catch (const Error&) {  // has no map, as was said above
    }
  CHECK(!tiles.empty(), f.picture, ": none of the images has a map that could be drawn");
  data::write_png(f.picture, data::image_grid(tiles, 4));
}

static data::LabelFileWriter open_file(const Flags& f, const train::ModelFile& file,
                                       nn::Rmt& teacher, const data::Dataset& images) {
  const int64_t side = (file.options.img_size + 31) / 32;  // tokens
  std::vector<std::string> names;
  for (int64_t i = 0; i < images.size(); ++i) names.push_back(short_name(images, i));
  return {f.out,
          {.height = side,
           .width = side,
           .top = f.top,
           .classes = file.classes,
           .teacher = described(teacher, file.options)},
          names};
}

// Says how it is going; false when a signal asks for an end.
class Progress {
 public:
  explicit Progress(int64_t images) : images_(images) {}
  bool operator()(int64_t done, const train::Metrics& m) {
    const std::string text = str(done, "/", images_, " images  teacher's top-1 ", m.acc1(), " %  ",
                                 rate(m.samples), " img/s");
    line_.show(text);
    if (!line_.terminal() && shown_.seconds() > 10) {
      std::cerr << text << std::endl;
      shown_ = {};
    }
    return !train::StopSignals::requested();
  }
  double rate(int64_t images) const { return double(images) / clock_.seconds(); }
  void clear() { line_.clear(); }

 private:
  int64_t images_;
  train::StatusLine line_;
  train::Stopwatch clock_, shown_;
};

static int label(Flags& f) {
  if (f.threads > 0) set_threads(f.threads);
  train::check_unused(f.out, f.force);
  if (!f.picture.empty()) train::check_unused(f.picture, f.force);
  const train::Compute compute = train::choose_compute(f.compute);
  train::ModelFile file = load(f);
  nn::Rmt& teacher = file.rmt("rmt-label");
  CHECK(!file.classes.empty(), f.checkpoint,
        ": does not name its classes, which label maps must; take a file of rmt-train's");
  const train::TrainOptions& o = file.options;
  const auto images = data::open_dataset(o.data_dir, f.split, file.classes, o.val_split);
  compute.prepare(teacher);
  data::LabelFileWriter writer = open_file(f, file, teacher, *images);
  if (writer.done() > 0)
    std::cerr << f.out << ": going on behind " << writer.done() << " maps" << std::endl;

  const train::StopSignals catch_signals;
  Progress progress(images->size());
  const train::LabelReport report = train::label_images(
      teacher, *images,
      {train::transform_options(o), f.top, f.batch_size, int(f.workers), f.max_bad_images}, compute,
      writer, std::ref(progress));
  progress.clear();
  for (const data::BadImage& bad : report.bad)
    std::cerr << "no map: " << printable(bad.path + ": " + bad.reason) << "\n";
  if (train::StopSignals::requested()) {
    std::cerr << "stopped by " << train::StopSignals::name() << " after " << writer.done()
              << " maps; the same command goes on from there" << std::endl;
    return 1;
  }
  writer.finish();
  const auto side = static_cast<long long>((o.img_size + 31) / 32);
  std::printf(
      "%s: %lld maps of %lld x %lld cells, %lld bytes each; teacher's top-1 %.2f %% at "
      "%lld px on %lld images, %.1f img/s; %zu images without a map\n",
      printable(f.out).c_str(), static_cast<long long>(writer.done()), side, side,
      static_cast<long long>(4 + 4 * side * side * f.top), report.teacher.acc1(),
      static_cast<long long>(o.img_size), static_cast<long long>(report.teacher.samples),
      progress.rate(report.teacher.samples), report.bad.size());
  if (!f.picture.empty()) draw(f, *images, data::LabelFile(f.out), file);
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app(
      "Makes label maps: what a trained RMT, the teacher, sees in every part of every photograph. "
      "rmt-train --token-label-data reads them. A run that was stopped goes on with the same "
      "command.",
      "rmt-label");
  app.option_defaults()->always_capture_default();
  app.add_option("checkpoint,--checkpoint", f.checkpoint,
                 "the teacher: a safetensors file of rmt-train's, or a run folder (its "
                 "best.safetensors)");
  app.add_option("--data-dir,--data-path", f.data_dir,
                 "folder of the images; empty: the one that the teacher was trained on");
  app.add_option("--split", f.split, "train, val, test, or all (of class folders alone)")
      ->check(CLI::IsMember({"train", "val", "test", "all"}));
  app.add_option("--val-split", f.val_split,
                 "where there is no val/: the part of every class that rmt-train's --val-split "
                 "holds out; below 0: as the teacher's training, if these are its images")
      ->check(CLI::Range(-1., 0.9));
  app.add_option("-o,--out", f.out, "the file to write, as in maps.rmtlabels")->required();
  app.add_option("--img-size", f.img_size,
                 "side of the square that the teacher sees, pixels, 32 for each cell of a map; 0: "
                 "as in its training")
      ->check(CLI::Range(0, 4096));
  app.add_option("--top", f.top, "classes that a cell keeps")->check(CLI::Range(1, 100));
  app.add_option("-b,--batch-size", f.batch_size, "images at once")->check(CLI::Range(1, 65536));
  app.add_option("--max-bad-images", f.max_bad_images, "unreadable images before it stops")
      ->check(CLI::Range(0, 1000000000));
  app.add_option("--picture", f.picture,
                 "draw photographs with their maps laid over them into this PNG file");
  app.add_option("--pictures", f.pictures, "so many of them")->check(CLI::Range(1, 100));
  app.add_flag("--force", f.force, "overwrite a file or picture that is there");
  add_compute_flags(app, f.compute);
  app.add_option("-j,--workers", f.workers, "threads that read images")->check(CLI::Range(1, 256));
  app.add_option("--threads", f.threads,
                 "threads that compute; 0: RMT_THREADS, else every processor")
      ->check(CLI::Range(0, 1024));
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  if (int status = check_checkpoint_word(app, f.checkpoint, "--out maps.rmtlabels"); status >= 0)
    return status;
  return run_program(app, [&] { return label(f); });
}

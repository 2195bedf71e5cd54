// What rmt-seg and rmt-det share once a model is trained: the flags of eval and predict, and the
// walk over the images that predict is given.
#pragma once
#include <filesystem>

#include "core/parallel.h"
#include "data/images/image_grid.h"
#include "examples/image_files.h"
#include "examples/program.h"
#include "train/compute.h"
#include "train/dense_parts.h"
#include "train/weights/hub.h"

namespace rmt {

struct DenseFlags {
  std::string checkpoint, model, head, data_dir, split = "val", out = "predictions", grid;
  std::vector<std::string> images;
  int64_t long_side = 0, short_side = 0, workers = 2;
  int threads = 0;
  bool json = false, per_class = false, force = false;
  train::TrainOptions compute;  // its --device, --amp, --tf32
};

// Those of both verbs. `heads`: the ones of the program, for people.
inline void add_checkpoint_flags(CLI::App& app, DenseFlags& f, const std::string& heads) {
  app.add_option("checkpoint,--checkpoint", f.checkpoint,
                 "a run folder (its best.safetensors), a safetensors file or PyTorch's .pth")
      ->required();
  app.add_option("--model", f.model, "backbone, where the file does not say it");
  app.add_option("--head", f.head, heads + ", where the file does not say it");
  app.add_option("--long-side", f.long_side, "pixels; 0: as in training")
      ->check(CLI::Range(0, 16384));
  app.add_option("--short-side", f.short_side, "pixels; 0: as in training")
      ->check(CLI::Range(0, 16384));
  add_compute_flags(app, f.compute);
  app.add_option("--threads", f.threads, "threads; 0: RMT_THREADS, else every processor")
      ->check(CLI::Range(0, 1024));
}

inline void add_eval_flags(CLI::App& app, DenseFlags& f) {
  app.add_option("--data-dir", f.data_dir, "folder; empty: the one it was trained on");
  app.add_option("--split", f.split, "train or val")->check(CLI::IsMember({"train", "val"}));
  app.add_option("-j,--workers", f.workers, "threads that read images")->check(CLI::Range(1, 256));
}

inline void add_predict_flags(CLI::App& app, DenseFlags& f) {
  app.add_option("images", f.images, "JPEG or PNG files, or folders: all of them in there");
  app.add_option("--grid", f.grid, "also draw all of them into this PNG file");
  app.add_option("--out", f.out, "folder of the results");
  app.add_flag("--force", f.force, "overwrite results that are there");
}

// Brings the model of a file (SegmenterFile, DetectorFile) to where it computes, with the sizes of
// the flags.
template <class File>
File prepared(File file, const DenseFlags& f, const train::Compute& compute) {
  std::cerr << printable(file.origin) << std::endl;
  if (f.long_side > 0) file.options.long_side = f.long_side;
  if (f.short_side > 0) file.options.short_side = f.short_side;
  check(file.options);
  compute.prepare(*file.model);
  return file;
}

// Calls predict_one(path), which returns its picture, for every image; one that is bad is named and
// the others go on: exit status 1.
inline int predict_all(const std::string& program, const DenseFlags& f,
                       const std::function<data::Image(const std::string& path)>& predict_one) {
  if (!f.grid.empty()) train::check_unused(f.grid, f.force);
  std::filesystem::create_directories(f.out);
  std::vector<data::Tile> tiles;
  int status = 0;
  for (const std::string& path : image_files(f.images)) try {
      tiles.push_back({predict_one(path)});
    } catch (const SystemError&) {
      throw;
    } catch (const Error& e) {
      std::cerr << program << ": " << e.what() << std::endl;
      status = 1;
    }
  if (f.grid.empty() || tiles.empty()) return status;
  train::make_same_size(tiles);
  data::write_png(f.grid, data::image_grid(tiles));
  return status;
}

}  // namespace rmt

#include "train/saving.h"

#include <algorithm>
#include <filesystem>
#include <iostream>

#include "data/images/image_grid.h"
#include "train/weights/model_file.h"

namespace rmt::train {

double best_top1(const EpochLog& log) {
  return std::max(log.test_acc1, log.test_ema_acc1.value_or(-1));
}

Saving::Saving(nn::Module& model, Optimizer& optimizer, const Progress& progress,
               const TrainOptions& options, const std::vector<std::string>& classes,
               const DataCounts& counts)
    : model_(model),
      optimizer_(optimizer),
      progress_(progress),
      options_(options),
      classes_(classes),
      counts_(counts) {}

void Saving::open(const RunFolder& folder) {
  folder_ = folder;
  folder_.truncate_log(progress_.epoch);
  if (progress_.epoch > 0) try_to_save([&] { folder_.refresh(); });
}

// Each image under its class, after crop, mirror and the rest; mixing comes later, on the device.
void Saving::first_batch(const data::Batch& batch) {
  try_to_save([&] {
    std::vector<data::Tile> tiles;
    for (data::Image& image : data::batch_pictures(batch, transform_options(options_), 24)) {
      const int64_t label = batch.labels.data<int64_t>()[tiles.size()];
      tiles.push_back({std::move(image), classes_[label]});
    }
    data::write_png(folder_ / "augmented.png", data::image_grid(tiles));
  });
}

// The log first and the last checkpoint at the end: a run that is killed in between does the epoch
// again and takes its line back.
void Saving::epoch(const EpochLog& log, bool best) {
  try_to_save([&] { folder_.append(log); });
  if (best) try_to_save([&] { write_weights("best.safetensors", log); });
  if (options_.checkpoint_hist > 0) try_to_save([&] { keep_history(log); });
  last();
}

void Saving::last() {
  try_to_save([&] { write_last(); });
}

void Saving::write_last() {
  Archive archive = weights("");
  add_optimizer(archive, optimizer_, progress_, counts_);
  write_safetensors(folder_ / "last.safetensors", archive);
  has_checkpoint_ = true;
}

// The better of the two, the weights or their average.
void Saving::write_weights(const std::string& file, const EpochLog& log) {
  if (best_top1(log) > log.test_acc1) {
    const AverageInPlace averaged(optimizer_.average());
    write_safetensors(folder_ / file, weights("average"));
  } else {
    write_safetensors(folder_ / file, weights(""));
  }
}

// Of the epochs in the log the best --checkpoint-hist, each in a file of its own; of equals the
// earlier.
void Saving::keep_history(const EpochLog& log) {
  auto file = [](int64_t epoch) { return str("checkpoint-", epoch, ".safetensors"); };
  std::vector<EpochLog> ranked = read_log(folder_ / "log.jsonl");
  std::stable_sort(ranked.begin(), ranked.end(), [](const EpochLog& a, const EpochLog& b) {
    return best_top1(a) > best_top1(b);
  });
  for (size_t rank = 0; rank < ranked.size(); ++rank)
    if (int64_t(rank) >= options_.checkpoint_hist)
      std::filesystem::remove(folder_ / file(ranked[rank].epoch));
    else if (ranked[rank].epoch == log.epoch)
      write_weights(file(log.epoch), log);
}

Archive Saving::weights(const std::string& kind) {
  return model_archive(model_, {options_.model, classes_, to_json(options_), kind});
}

void Saving::try_to_save(const std::function<void()>& save) {
  try {
    save();
  } catch (const Error& e) {
    std::cerr << "warning: " << e.what() << "; training goes on, what was saved before is kept"
              << std::endl;
    saved_all_ = false;
  }
}

std::string Saving::advice() const {
  return str("training stopped, ",
             has_checkpoint_ ? str("the last checkpoint is kept in ", folder_.path())
                             : "there is no checkpoint yet",
             "; lower --lr, lengthen --warmup-epochs, or limit the gradients with --clip-grad 1");
}

}  // namespace rmt::train

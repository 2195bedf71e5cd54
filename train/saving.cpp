#include "train/saving.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <utility>

#include "core/files/file_calls.h"
#include "core/files/files.h"
#include "train/weights/model_file.h"

namespace rmt::train {

namespace {

const std::string kLast = "last.safetensors", kNext = "next.safetensors";

bool all_finite(const Tensor& x) {
  auto finite = [&](const auto* p) {
    return std::all_of(p, p + x.numel(), [](auto v) { return std::isfinite(v); });
  };
  if (x.dtype() == DType::f32) return finite(x.data<float>());
  if (x.dtype() == DType::f64) return finite(x.data<double>());
  return !is_float(x.dtype()) || all_finite(x.to(DType::f32));
}

// A file that may be there or not.
void remove(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored) && sys::unlink(path.c_str()) != 0)
    file_error("remove", path, errno);
}

}  // namespace

double best_score(const EpochLog& log) {
  return std::max(log.test.score(), log.test_ema ? log.test_ema->score() : -1);
}

Saving::Saving(nn::Module& model, Optimizer& optimizer, const Progress& progress,
               const TrainOptions& options, const std::vector<std::string>& classes,
               const DataCounts& counts, bool writes)
    : model_(model),
      optimizer_(optimizer),
      progress_(progress),
      options_(options),
      classes_(classes),
      counts_(counts),
      writes_(writes) {}

void Saving::open(const RunFolder& folder) {
  if (!writes_) return;
  folder_ = folder;
  folder_.truncate_log(progress_.epoch);
  drop_next();  // of a run that was killed before it counted
  if (progress_.epoch > 0) try_to_save([&] { folder_.refresh(); });
}

void Saving::first_batch(const std::vector<data::Tile>& images) {
  if (!writes_ || images.empty()) return;
  try_to_save([&] { data::write_png(folder_ / "augmented.png", data::image_grid(images)); });
}

// The log first and the last checkpoint at the end: a run that is killed in between does the epoch
// again and takes its line back. The evaluation has shown that the weights are good; if the steps
// at the epoch's end were skipped all the same, the checkpoint waits for one that counts, unless
// none comes.
void Saving::epoch(const EpochLog& log, bool best) {
  if (!writes_) return;
  folder_.follow();
  try_to_save([&] { folder_.append(log); });
  if (best) try_to_save([&] { write_weights("best.safetensors", log); });
  if (options_.checkpoint_hist > 0) try_to_save([&] { keep_history(log); });
  if (progress_.skipped_in_a_row == 0 || progress_.epoch >= options_.epochs)
    write_last();
  else
    next_waits_ = try_to_save([&] { write_state(kNext); });
}

void Saving::inside_epoch() {
  if (!writes_) return;
  folder_.follow();
  if (!skipping()) next_waits_ = try_to_save([&] { write_state(kNext); });
}

void Saving::step_counted() {
  if (!writes_) return;
  told_skipping_ = false;
  if (!std::exchange(next_waits_, false)) return;
  folder_.follow();
  bool renamed = false;  // is not done again when the folder is moved before its sync
  try_to_save([&] {
    const std::string path = folder_ / kLast;
    if (!renamed && sys::rename((folder_ / kNext).c_str(), path.c_str()) != 0)
      file_error("write", path, errno);
    has_checkpoint_ = renamed = true;
    sync_folder_of(path);
  });
}

bool Saving::last() {
  if (!writes_) return true;
  folder_.follow();
  if (!skipping()) return write_last();
  saved_all_ = false;
  drop_next();
  return false;
}

// Says so, once until a step counts.
bool Saving::skipping() {
  if (progress_.skipped_in_a_row == 0) return false;
  if (!std::exchange(told_skipping_, true))
    std::cerr << "warning: steps are being skipped: nothing is saved until one counts, "
              << (has_checkpoint_ ? "the last good checkpoint is kept in " + folder_.path()
                                  : "there is no checkpoint yet")
              << std::endl;
  return true;
}

bool Saving::write_last() {
  const bool saved = try_to_save([&] { write_state(kLast); });
  drop_next();
  has_checkpoint_ |= saved;
  return saved;
}

void Saving::drop_next() {
  next_waits_ = false;
  try_to_save([&] { remove(folder_ / kNext); });
}

void Saving::write_state(const std::string& file) {
  Archive archive = weights("");
  add_optimizer(archive, optimizer_, progress_, counts_);
  write(file, archive);
}

void Saving::write(const std::string& file, const Archive& archive) {
  for (const auto& [name, x] : archive.tensors)
    CHECK(all_finite(x), folder_ / file, ": not written, ", name,
          " holds numbers that are not finite; resume the checkpoint that is there with a lower "
          "--lr");
  write_safetensors(folder_ / file, archive);
}

// The better of the two, the weights or their average.
void Saving::write_weights(const std::string& file, const EpochLog& log) {
  if (best_score(log) > log.test.score()) {
    const AverageInPlace averaged(optimizer_);
    write(file, weights("average"));
  } else {
    write(file, weights(""));
  }
}

// Of the epochs in the log the best --checkpoint-hist, each in a file of its own; of equals the
// earlier.
void Saving::keep_history(const EpochLog& log) {
  auto file = [](int64_t epoch) { return str("checkpoint-", epoch, ".safetensors"); };
  std::vector<EpochLog> ranked = read_log(folder_ / "log.jsonl", true);
  std::stable_sort(ranked.begin(), ranked.end(), [](const EpochLog& a, const EpochLog& b) {
    return best_score(a) > best_score(b);
  });
  for (size_t rank = 0; rank < ranked.size(); ++rank)
    if (int64_t(rank) >= options_.checkpoint_hist)
      remove(folder_ / file(ranked[rank].epoch));
    else if (ranked[rank].epoch == log.epoch)
      write_weights(file(log.epoch), log);
}

Archive Saving::weights(const std::string& kind) {
  return model_archive(model_, {options_.model, classes_, to_json(options_), kind});
}

// Whatever went wrong, of memory say: it costs this file and not the run. A folder that was moved
// in the middle of it gets the file in its new place.
bool Saving::try_to_save(const std::function<void()>& save) {
  try {
    save();
    // Moved meanwhile, with another folder in its place: this may have been written to that one.
    return folder_.follow() ? try_to_save(save) : true;
  } catch (const std::exception& e) {
    if (folder_.follow()) return try_to_save(save);
    std::cerr << "warning: " << e.what() << "; training goes on, what was saved before is kept"
              << std::endl;
    saved_all_ = false;
    return false;
  }
}

std::string Saving::advice() const {
  return str("training stopped, ",
             has_checkpoint_ ? str("the last checkpoint is kept in ", folder_.path())
                             : "there is no checkpoint yet",
             "; lower --lr, lengthen --warmup-epochs, or limit the gradients with --clip-grad 1");
}

}  // namespace rmt::train

// What the programs that train have in common: which checkpoint a run goes on with, and which
// folder it writes to.
#pragma once
#include <cmath>
#include <filesystem>

#include "core/files/files.h"
#include "core/processes/processes.h"
#include "examples/train_flags.h"
#include "train/run/run_folder.h"

namespace rmt {
namespace fs = std::filesystem;

// What a run folder is called by: the model, and what stands on it.
inline std::string name_of(const train::TrainOptions& o) {
  return o.head.empty() ? o.model : o.model + "-" + o.head;
}
inline int64_t size_of(const train::TrainOptions& o) {
  return o.head.empty() ? o.img_size : o.short_side;
}

// The checkpoint to go on with, or none.
inline std::string resumed_file(const TrainFlags& f) {
  if (f.resume != "auto")
    return fs::is_directory(f.resume) ? f.resume + "/last.safetensors" : f.resume;
  CHECK(!f.experiment.empty(),
        "--resume auto needs --experiment NAME: the run to go on with, or to begin where there is "
        "none yet");
  const std::string last = f.output + "/" + f.experiment + "/last.safetensors";
  return fs::exists(last) ? last : "";
}

// When it was written, to see whether another process goes on with it too.
inline fs::file_time_type time_of(const std::string& file) {
  std::error_code none;
  return fs::last_write_time(file, none);
}

// Where the run writes, locked. A folder in which one was killed before its first checkpoint is
// begun again by --resume auto.
inline train::RunFolder folder_of(const TrainFlags& f, const std::string& resumed,
                                  fs::file_time_type written) {
  const std::string named = f.output + "/" + f.experiment;
  if (resumed.empty() && f.resume == "auto" && fs::exists(named))
    return train::RunFolder::begin_again(named);
  train::RunFolder folder =
      resumed.empty()
          ? train::RunFolder::create(f.output, f.experiment, name_of(f.options), size_of(f.options))
          : train::RunFolder::open(fs::path(resumed).parent_path().string());
  folder.lock();
  CHECK(resumed.empty() || time_of(resumed) == written, resumed,
        ": another process has gone on with this run meanwhile; the same command goes on from "
        "there");
  return folder;
}

inline train::Curve curve_to_compare(const std::string& path) {
  if (path.empty()) return {};
  return {fs::path(path).stem().string(), train::read_log(path)};
}

// folder_of() with what else it has from the beginning. Of several processes the first one writes.
inline train::RunFolder open_folder(const TrainFlags& f, const std::string& resumed,
                                    fs::file_time_type written, const Processes& processes) {
  const train::Curve theirs = curve_to_compare(f.options.compare_log);
  if (!processes.is_first()) return {};
  train::RunFolder folder = folder_of(f, resumed, written);
  folder.set_compare(theirs);
  if (resumed.empty()) write_file(folder / "args.json", train::to_json(f.options));
  return folder;
}

// The same images a step, divided over other processes than were recorded, or than a recipe has in
// mind, where they can be.
inline void divide(train::TrainOptions& o, const Processes& processes) {
  const int64_t parts = o.grad_accum_steps * o.processes;
  if (parts % processes.size() == 0) o.grad_accum_steps = parts / processes.size();
}

inline void print_traffic(const Traffic& t) {
  std::cerr << "communication: " << std::lround(t.seconds) << " s, "
            << std::lround(100 * t.hidden()) << " % of it beside computation" << std::endl;
}

}  // namespace rmt

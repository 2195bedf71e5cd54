#include "train/run/run_folder.h"

#include <ctime>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "core/error.h"
#include "core/files/files.h"
#include "train/run/curves.h"
#include "train/run/json_text.h"
#include "train/run/tensorboard.h"

namespace rmt::train {
namespace {

namespace fs = std::filesystem;

std::string timestamp() {
  std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", &local);
  return text;
}

const char* const kLock = "run.lock";

// Makes the folder. True when it was not there: only one of many that try at once is told so.
bool claim(const std::string& path) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  const bool made = fs::create_directory(path, error);
  CHECK(!error, path, ": cannot make the run's folder: ", error.message(),
        "; choose another place with --output");
  return made;
}

bool there(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// Nothing but the lock.
bool is_empty(const std::string& folder) {
  std::error_code failed;
  for (fs::directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed))
    if (it->path().filename() != kLock) return false;
  return !failed;
}

}  // namespace

RunFolder RunFolder::create(const std::string& output, const std::string& experiment,
                            const std::string& model, int64_t image_size) {
  fs::path base = output.empty() ? "." : output;
  if (!experiment.empty()) {
    std::string path = (base / experiment).string();
    CHECK(claim(path), path, ": exists; continue that run with --resume ", path,
          ", begin it with --resume auto if it has no checkpoint yet, or choose another "
          "--experiment");
    return RunFolder(path);
  }
  const std::string name = str(timestamp(), "-", model, "-", image_size);
  std::string path = (base / name).string();
  for (int again = 2; !claim(path); ++again) path = (base / str(name, "-", again)).string();
  return RunFolder(path);
}

RunFolder RunFolder::open(const std::string& path) {
  const std::string folder = path.empty() ? "." : path;
  std::error_code ignored;
  CHECK(fs::is_directory(folder, ignored), folder, ": no such run folder");
  return RunFolder(folder);
}

RunFolder RunFolder::begin_again(const std::string& path) {
  RunFolder folder = open(path);
  const bool ours = there(folder / "args.json") || there(folder / "args.json.tmp");
  CHECK(ours || is_empty(path), path,
        ": holds files and no run; choose another --experiment, or remove them");
  folder.lock();
  CHECK(!there(folder / "last.safetensors"), path,
        ": another process has begun this run meanwhile; the same command goes on with it");
  return folder;
}

void RunFolder::lock() {
  std::string owner;
  lock_ = FolderLock::take(path_, kLock, owner);
  CHECK(lock_, path_, ": ", owner, " trains in this folder; wait for its end, stop it (kill), or ",
        "begin another run with another --experiment");
}

bool RunFolder::follow() {
  if (!lock_) return false;
  const std::string now = lock_->find(path_);
  CHECK(!now.empty(), path_,
        ": the run's folder was removed, or moved to another file system; nothing more can be "
        "saved there, so training stops: what was not saved before is lost");
  if (now == path_) return false;
  std::cerr << "warning: " << path_ << ": was moved to " << now << "; the run goes on there"
            << std::endl;
  path_ = now;
  return true;
}

void RunFolder::append(EpochLog line) {
  if (line.time == 0) line.time = std::time(nullptr);
  const std::vector<EpochLog> log =
      there(*this / "log.jsonl") ? read_log(*this / "log.jsonl", true) : std::vector<EpochLog>();
  const bool logged = !log.empty() && log.back().epoch == line.epoch;  // by a call before this one
  if (!logged) append_line(*this / "log.jsonl", to_line(line));
  refresh();
}

void RunFolder::truncate_log(int64_t epoch) {
  const std::string path = *this / "log.jsonl";
  if (!there(path)) return;
  const std::string text = read_file(path, size_t(1) << 30);
  std::string kept, line;
  int64_t last = -1, out_of_order = 0;
  for (std::istringstream in(text); std::getline(in, line);) {
    // A last line that a kill has torn does not parse, and is not kept either.
    const nlohmann::json entry = parse_json(line);
    if (!entry.is_object() || !entry.contains("epoch") || !entry["epoch"].is_number_integer() ||
        entry["epoch"] >= epoch)
      continue;
    if (entry["epoch"] <= last) {
      ++out_of_order;
      continue;
    }
    last = entry["epoch"];
    kept += line + '\n';
  }
  if (out_of_order > 0)
    std::cerr << "warning: " << path << ": " << out_of_order
              << " lines repeat an epoch, two runs have written this log; they are taken out"
              << std::endl;
  if (kept != text) write_file(path, kept);
}

void RunFolder::refresh() const {
  const std::vector<EpochLog> log = read_log(*this / "log.jsonl", true);
  std::string failed;
  auto attempt = [&](const auto& write) {
    try {
      write();
    } catch (const std::exception& e) {  // the file system's own exceptions too
      failed += (failed.empty() ? "" : "; ") + std::string(e.what());
    }
  };
  attempt([&] { write_file(*this / "summary.csv", summary_csv(log)); });
  attempt([&] { update_event_file(path_, log); });
  attempt([&] {
    std::vector<Curve> curves{{fs::path(path_).filename().string(), log}};
    if (!theirs_.epochs.empty()) curves.push_back(theirs_);
    write_file(*this / "curves.svg", draw_curves(curves));
  });
  CHECK(failed.empty(), failed);
}

}  // namespace rmt::train

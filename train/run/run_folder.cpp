#include "train/run/run_folder.h"

#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.h"
#include "core/files/files.h"
#include "train/run/curves.h"
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

// Makes the folder. True when it is there now and empty, so that this run may have it.
bool claim(const std::string& path) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  bool made = fs::create_directory(path, error);
  CHECK(!error, path, ": cannot make the run's folder: ", error.message(),
        "; choose another place with --output");
  return made || fs::is_empty(path, error);
}

}  // namespace

RunFolder RunFolder::create(const std::string& output, const std::string& experiment,
                            const std::string& model, int64_t image_size) {
  fs::path base = output.empty() ? "." : output;
  if (!experiment.empty()) {
    std::string path = (base / experiment).string();
    CHECK(claim(path), path, ": exists and is not empty; continue that run with --resume ", path,
          " or choose another --experiment");
    return RunFolder(path);
  }
  const std::string name = str(timestamp(), "-", model, "-", image_size);
  std::string path = (base / name).string();
  for (int again = 2; !claim(path); ++again) path = (base / str(name, "-", again)).string();
  return RunFolder(path);
}

RunFolder RunFolder::open(const std::string& path) {
  CHECK(fs::is_directory(path), path, ": no such run folder");
  return RunFolder(path);
}

void RunFolder::append(EpochLog line) {
  if (line.time == 0) line.time = std::time(nullptr);
  append_line(*this / "log.jsonl", to_line(line));
  refresh();
}

void RunFolder::truncate_log(int64_t epoch) {
  const std::string path = *this / "log.jsonl";
  if (!fs::exists(path)) return;
  const std::string text = read_file(path, size_t(1) << 30);
  std::string kept, line;
  for (std::istringstream in(text); std::getline(in, line);) {
    // A last line that a kill has torn does not parse, and is not kept either.
    auto entry = nlohmann::json::parse(line, nullptr, false);
    if (entry.is_object() && entry.contains("epoch") && entry["epoch"].is_number_integer() &&
        entry["epoch"] < epoch)
      kept += line + '\n';
  }
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

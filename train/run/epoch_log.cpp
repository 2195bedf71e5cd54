#include "train/run/epoch_log.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/error.h"
#include "core/files/files.h"

namespace rmt::train {
namespace {

using nlohmann::json;  // of what is read; the ordered one copies as it grows, to any depth
constexpr size_t kMaxBytes = size_t(64) << 20;
constexpr int64_t kMaxEpoch = 1'000'000'000;

// Fields that may be absent. JSON has no nan: writers put null.
void read(const json& line, const char* name, double& value, const std::string& source) {
  auto it = line.find(name);
  if (it == line.end()) return;
  CHECK(it->is_number() || it->is_null(), source, ": \"", name, "\" is not a number");
  value = it->is_null() ? std::nan("") : it->get<double>();
}

void read(const json& line, const char* name, int64_t& value, const std::string& source) {
  auto it = line.find(name);
  if (it == line.end()) return;
  CHECK(it->is_number_integer(), source, ": \"", name, "\" is not a whole number");
  value = it->get<int64_t>();
}

void read(const json& line, const char* name, std::optional<double>& value,
          const std::string& source) {
  if (line.contains(name)) read(line, name, value.emplace(), source);
}

}  // namespace

std::string to_line(const EpochLog& e) {
  nlohmann::ordered_json line{{"epoch", e.epoch},           {"n_parameters", e.n_parameters},
                              {"train_loss", e.train_loss}, {"train_lr", e.train_lr},
                              {"test_loss", e.test_loss},   {"test_acc1", e.test_acc1},
                              {"test_acc5", e.test_acc5}};
  if (e.test_ema_loss) line["test_ema_loss"] = *e.test_ema_loss;
  if (e.test_ema_acc1) line["test_ema_acc1"] = *e.test_ema_acc1;
  if (e.test_ema_acc5) line["test_ema_acc5"] = *e.test_ema_acc5;
  line.update({{"seconds", e.seconds},
               {"images_per_s", e.images_per_s},
               {"skipped_steps", e.skipped_steps},
               {"time", e.time},
               {"bad_images", e.bad_images}});
  return line.dump(-1, ' ', false, json::error_handler_t::replace);
}

EpochLog epoch_from_line(const std::string& text, const std::string& source) {
  const json line = json::parse(text, nullptr, false);
  CHECK(line.is_object(), source, ": is not a JSON object, as each line of a training log is");
  CHECK(line.contains("epoch") && line["epoch"].is_number_integer() && line["epoch"] >= 0 &&
            line["epoch"] <= kMaxEpoch,
        source, ": has no \"epoch\", a whole number from 0 on");
  for (const char* name : {"train_loss", "test_acc1"})
    CHECK(line.contains(name), source, ": has no \"", name, "\"");
  EpochLog e;
  read(line, "epoch", e.epoch, source), read(line, "n_parameters", e.n_parameters, source);
  read(line, "train_loss", e.train_loss, source), read(line, "train_lr", e.train_lr, source);
  read(line, "test_loss", e.test_loss, source), read(line, "test_acc1", e.test_acc1, source),
      read(line, "test_acc5", e.test_acc5, source);
  read(line, "test_ema_loss", e.test_ema_loss, source),
      read(line, "test_ema_acc1", e.test_ema_acc1, source);
  read(line, "test_ema_acc5", e.test_ema_acc5, source);
  read(line, "seconds", e.seconds, source), read(line, "images_per_s", e.images_per_s, source);
  read(line, "skipped_steps", e.skipped_steps, source), read(line, "time", e.time, source);
  if (auto it = line.find("bad_images"); it != line.end() && it->is_array())
    for (const json& bad : *it)
      if (bad.is_string()) e.bad_images.push_back(bad.get<std::string>());
  return e;
}

std::vector<EpochLog> read_log(const std::string& path, bool torn) {
  std::vector<EpochLog> out;
  std::istringstream in(read_file(path, kMaxBytes));
  int64_t number = 1;
  for (std::string line; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (torn && !json::parse(line, nullptr, false).is_object()) continue;
    const std::string source = str(path, ", line ", number);
    EpochLog e = epoch_from_line(line, source);
    CHECK(out.empty() || e.epoch > out.back().epoch, source, ": epoch ", e.epoch,
          " comes after epoch ", out.back().epoch);
    out.push_back(std::move(e));
  }
  CHECK(torn || !out.empty(), path,
        ": holds no epoch; give the log.jsonl of a run, or a log of the official code");
  return out;
}

std::string summary_csv(const std::vector<EpochLog>& log) {
  const bool ema = std::any_of(log.begin(), log.end(),
                               [](const EpochLog& e) { return e.test_ema_acc1.has_value(); });
  std::string out = str("epoch,train_loss,eval_loss,eval_top1,eval_top5,lr",
                        ema ? ",eval_ema_loss,eval_ema_top1,eval_ema_top5" : "", "\n");
  for (const EpochLog& e : log) {
    out += std::to_string(e.epoch);
    std::vector<std::optional<double>> columns{e.train_loss, e.test_loss, e.test_acc1, e.test_acc5,
                                               e.train_lr};
    if (ema) columns.insert(columns.end(), {e.test_ema_loss, e.test_ema_acc1, e.test_ema_acc5});
    for (const std::optional<double>& x : columns)
      out += ',', out += x && std::isfinite(*x) ? json(*x).dump() : "";
    out += '\n';
  }
  return out;
}

std::optional<double> top1_difference(const EpochLog& ours, const Curve& theirs) {
  auto less = [](const EpochLog& e, int64_t epoch) { return e.epoch < epoch; };
  auto it = std::lower_bound(theirs.epochs.begin(), theirs.epochs.end(), ours.epoch, less);
  if (it == theirs.epochs.end() || it->epoch != ours.epoch) return std::nullopt;
  return ours.test_acc1 - it->test_acc1;
}

}  // namespace rmt::train

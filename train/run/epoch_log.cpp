#include "train/run/epoch_log.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/error.h"
#include "core/files/files.h"
#include "train/run/json_text.h"

namespace rmt::train {
namespace {

// For what is read. (The ordered kind of object, in which lines are written, copies itself as it
// grows, which a hostile line could make it do to any depth.)
using nlohmann::json;

constexpr size_t kMaxBytes = size_t(64) << 20;
constexpr int64_t kMaxEpoch = 1'000'000'000;

// The fields that are numbers, in the order in which a line has them: the official log's, then
// ours.
template <class Log, class F>
void for_each_number(Log& e, const F& f) {
  f("epoch", e.epoch);
  f("n_parameters", e.n_parameters);
  f("train_loss", e.train_loss);
  f("train_lr", e.train_lr);
  f("test_loss", e.test_loss);
  f("test_acc1", e.test_acc1);
  f("test_acc5", e.test_acc5);
  f("test_ema_loss", e.test_ema_loss);
  f("test_ema_acc1", e.test_ema_acc1);
  f("test_ema_acc5", e.test_ema_acc5);
  f("seconds", e.seconds);
  f("images_per_s", e.images_per_s);
  f("skipped_steps", e.skipped_steps);
  f("time", e.time);
}

void write(nlohmann::ordered_json& line, const char* name, const auto& value) {
  line[name] = value;
}

void write(nlohmann::ordered_json& line, const char* name, const std::optional<double>& value) {
  if (value) line[name] = *value;
}

// A field that is absent leaves its value as it is. JSON has no nan: writers put null.
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
  nlohmann::ordered_json line;
  for_each_number(e, [&](const char* name, const auto& value) { write(line, name, value); });
  line["bad_images"] = e.bad_images;
  return line.dump(-1, ' ', false, json::error_handler_t::replace);
}

EpochLog epoch_from_line(const std::string& text, const std::string& source) {
  const json line = parse_json(text);
  CHECK(line.is_object(), source, ": is not a JSON object, as each line of a training log is");
  CHECK(line.contains("epoch") && line["epoch"].is_number_integer() && line["epoch"] >= 0 &&
            line["epoch"] <= kMaxEpoch,
        source, ": has no \"epoch\", a whole number from 0 on");
  for (const char* name : {"train_loss", "test_acc1"})
    CHECK(line.contains(name), source, ": has no \"", name, "\"");
  EpochLog e;
  for_each_number(e, [&](const char* name, auto& value) { read(line, name, value, source); });
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
    if (torn && !parse_json(line).is_object()) continue;
    const std::string source = str(path, ", line ", number);
    EpochLog e = epoch_from_line(line, source);
    const bool grows = out.empty() || e.epoch > out.back().epoch;
    if (torn && !grows) continue;
    CHECK(grows, source, ": epoch ", e.epoch, " comes after epoch ", out.back().epoch,
          "; two runs have written this log, --resume takes such lines out");
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
    for (const std::optional<double>& x : columns) {
      out += ',';
      if (x && std::isfinite(*x)) out += json(*x).dump();
    }
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

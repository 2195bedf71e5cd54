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

// The fields that are numbers of any log, in the order in which a line has them: the official log's
// before those of the tests, ours behind them.
template <class Log, class F>
void for_each_number_before(Log& e, const F& f) {
  f("epoch", e.epoch);
  f("n_parameters", e.n_parameters);
  f("train_loss", e.train_loss);
  f("train_lr", e.train_lr);
}
template <class Log, class F>
void for_each_number_behind(Log& e, const F& f) {
  f("seconds", e.seconds);
  f("images_per_s", e.images_per_s);
  f("skipped_steps", e.skipped_steps);
  f("time", e.time);
}

// A classifier's measure, which a line need not name.
const std::string kUsual = "acc1";

// The loss comes first; one that is not measured has no field.
void write(nlohmann::ordered_json& line, const std::string& prefix, const TestResult& test) {
  if (test.loss != 0 || test.scores.empty() || test.scores[0].name == kUsual)
    line[prefix + "loss"] = test.loss;
  for (const Score& s : test.scores) line[prefix + s.name] = s.value;
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

// All numbers whose names begin with the prefix, but for those that begin with `other`; the measure
// comes first.
std::vector<Score> read_scores(const json& line, const std::string& prefix,
                               const std::string& other, const std::string& measure,
                               const std::string& source) {
  std::vector<Score> scores;
  for (const auto& [key, value] : line.items()) {
    const bool mine = key.starts_with(prefix) && (other.empty() || !key.starts_with(other));
    const std::string name = mine ? key.substr(prefix.size()) : "";
    if (name.empty() || name == "loss") continue;
    Score s{name, 0};
    read(line, key.c_str(), s.value, source);
    scores.insert(name == measure ? scores.begin() : scores.end(), std::move(s));
  }
  return scores;
}

}  // namespace

std::string title_of(const std::string& score) {
  return score == "acc1" ? "top-1" : score == "acc5" ? "top-5" : score;
}

std::optional<double> TestResult::score(const std::string& name) const {
  for (const Score& s : scores)
    if (s.name == name) return s.value;
  return std::nullopt;
}

std::string to_line(const EpochLog& e) {
  nlohmann::ordered_json line;
  auto number = [&](const char* name, const auto& value) { line[name] = value; };
  for_each_number_before(e, number);
  write(line, "test_", e.test);
  if (e.test_ema) write(line, "test_ema_", *e.test_ema);
  const std::vector<Score>& scores = e.test.scores;
  if (!scores.empty() && scores[0].name != kUsual) line["measure"] = scores[0].name;
  for_each_number_behind(e, number);
  for (const Score& part : e.parts) line["train_" + part.name] = part.value;
  line["bad_images"] = e.bad_images;
  return line.dump(-1, ' ', false, json::error_handler_t::replace);
}

EpochLog epoch_from_line(const std::string& text, const std::string& source) {
  const json line = parse_json(text);
  CHECK(line.is_object(), source, ": is not a JSON object, as each line of a training log is");
  CHECK(line.contains("epoch") && line["epoch"].is_number_integer() && line["epoch"] >= 0 &&
            line["epoch"] <= kMaxEpoch,
        source, ": has no \"epoch\", a whole number from 0 on");
  auto named = line.find("measure");
  const std::string measure =
      named != line.end() && named->is_string() ? named->get<std::string>() : kUsual;
  for (const std::string& name : {std::string("train_loss"), "test_" + measure})
    CHECK(line.contains(name), source, ": has no \"", name, "\"");
  EpochLog e;
  auto number = [&](const char* name, auto& value) { read(line, name, value, source); };
  for_each_number_before(e, number);
  for_each_number_behind(e, number);
  read(line, "test_loss", e.test.loss, source);
  e.test.scores = read_scores(line, "test_", "test_ema_", measure, source);
  if (line.contains("test_ema_" + measure)) {
    e.test_ema.emplace();
    read(line, "test_ema_loss", e.test_ema->loss, source);
    e.test_ema->scores = read_scores(line, "test_ema_", "", measure, source);
  }
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

namespace {

// timm's word for a score.
std::string column_of(const std::string& score) {
  return score == "acc1" ? "top1" : score == "acc5" ? "top5" : score;
}

}  // namespace

std::string summary_csv(const std::vector<EpochLog>& log) {
  const bool ema =
      std::any_of(log.begin(), log.end(), [](const EpochLog& e) { return e.test_ema.has_value(); });
  std::vector<std::string> names{"acc1", "acc5"};
  if (!log.empty() && !log[0].test.scores.empty() && log[0].test.scores[0].name != kUsual) {
    names.clear();
    for (const Score& s : log[0].test.scores) names.push_back(s.name);
  }
  std::string out = "epoch,train_loss,eval_loss", average = ",eval_ema_loss";
  for (const std::string& name : names) {
    out += ",eval_" + column_of(name);
    average += ",eval_ema_" + column_of(name);
  }
  out += ",lr" + (ema ? average : "") + "\n";
  for (const EpochLog& e : log) {
    std::vector<std::optional<double>> columns{e.train_loss, e.test.loss};
    for (const std::string& name : names) columns.push_back(e.test.score(name));
    columns.push_back(e.train_lr);
    if (ema) {
      const TestResult of_average = e.test_ema.value_or(TestResult{std::nan(""), {}});
      columns.push_back(of_average.loss);
      for (const std::string& name : names) columns.push_back(of_average.score(name));
    }
    out += std::to_string(e.epoch);
    for (const std::optional<double>& x : columns) {
      out += ',';
      if (x && std::isfinite(*x)) out += json(*x).dump();
    }
    out += '\n';
  }
  return out;
}

std::optional<double> score_difference(const EpochLog& ours, const Curve& theirs) {
  auto less = [](const EpochLog& e, int64_t epoch) { return e.epoch < epoch; };
  auto it = std::lower_bound(theirs.epochs.begin(), theirs.epochs.end(), ours.epoch, less);
  if (it == theirs.epochs.end() || it->epoch != ours.epoch) return std::nullopt;
  const std::vector<Score>&a = ours.test.scores, &b = it->test.scores;
  if (a.empty() || b.empty() || a[0].name != b[0].name) return std::nullopt;
  return a[0].value - b[0].value;
}

}  // namespace rmt::train

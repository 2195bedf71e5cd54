#include "train/predictions.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "ops/softmax.h"

namespace rmt::train {
namespace {

// Bytes that are no UTF-8 become U+FFFD.
std::string text_of(const nlohmann::ordered_json& object) {
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Seven decimals: those that a probability in f32 has near 1.
double rounded(double x) { return std::round(x * 1e7) / 1e7; }

}  // namespace

std::vector<Guess> best_guesses(const Tensor& logits, int64_t top) {
  const std::vector<float> p = ops::softmax(logits).to_vector<float>();
  CHECK(std::all_of(p.begin(), p.end(), [](float x) { return std::isfinite(x); }),
        "the model's answer is no number: its weights have diverged, or the image is not prepared "
        "as in its training; take an earlier checkpoint");
  std::vector<int64_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return p[size_t(a)] > p[size_t(b)]; });
  order.resize(std::min(order.size(), size_t(top)));
  std::vector<Guess> guesses;
  for (int64_t k : order) guesses.push_back({k, double(p[size_t(k)])});
  return guesses;
}

std::string full_name(const ClassNames& names, int64_t index) {
  const std::string &label = names.labels[size_t(index)], &words = names.words[size_t(index)];
  return words.empty() ? label : words + " (" + label + ")";
}

std::string brief_name(const ClassNames& names, int64_t index) {
  const std::string& words = names.words[size_t(index)];
  return words.empty() ? names.labels[size_t(index)] : words.substr(0, words.find(','));
}

std::string prediction_json(const std::string& file, const std::vector<Guess>& guesses,
                            const ClassNames& names) {
  nlohmann::ordered_json object{{"filename", file}};
  for (const char* list : {"index", "label", "prob"}) object[list] = nlohmann::json::array();
  const bool words = std::any_of(names.words.begin(), names.words.end(),
                                 [](const std::string& w) { return !w.empty(); });
  for (const Guess& g : guesses) {
    object["index"].push_back(g.index);
    object["label"].push_back(names.labels[size_t(g.index)]);
    object["prob"].push_back(rounded(g.probability));
    if (words) object["words"].push_back(names.words[size_t(g.index)]);
  }
  return text_of(object);
}

std::string unreadable_json(const std::string& file, const std::string& error) {
  return text_of({{"filename", file}, {"error", error}});
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + '"';
}

std::string prediction_csv_head() { return "filename,rank,index,label,prob\n"; }

std::string prediction_csv(const std::string& file, const std::vector<Guess>& guesses,
                           const ClassNames& names) {
  std::string rows;
  for (size_t i = 0; i < guesses.size(); ++i) {
    char probability[32];
    std::snprintf(probability, sizeof probability, "%.7g", rounded(guesses[i].probability));
    rows += str(csv_field(file), ",", i + 1, ",", guesses[i].index, ",",
                csv_field(names.labels[size_t(guesses[i].index)]), ",", probability, "\n");
  }
  return rows;
}

}  // namespace rmt::train

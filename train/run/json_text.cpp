#include "train/run/json_text.h"

namespace rmt::train {

// Counts without understanding: outside of strings a value begins the text or follows one of
// [ { , so there are at most as many values as there are of these, and one.
bool json_fits(const std::string& text) {
  size_t depth = 0, values = 1;
  bool string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') string = !string;
    if (string) {
      i += c == '\\';  // what it escapes ends no string
      continue;
    }
    if (c == '[' || c == '{' || c == ',') ++values;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > kMaxJsonDepth || values > kMaxJsonValues) return false;
  }
  return text.size() <= kMaxJsonBytes;
}

nlohmann::json parse_json(const std::string& text) {
  using nlohmann::json;
  return json_fits(text) ? json::parse(text, nullptr, false) : json(json::value_t::discarded);
}

}  // namespace rmt::train

// JSON from files, where a small text can ask for much memory: a value takes some hundred bytes, so
// that 60 MB of "[" would become 4 GB. The text is counted before it is parsed.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace rmt::train {

// Of one text. A log's line of an epoch with 100 bad images has 116 values, ImageNet-21k's list of
// classes 21,841.
constexpr size_t kMaxJsonBytes = size_t(16) << 20, kMaxJsonValues = 250'000, kMaxJsonDepth = 32;

// Is the text within these bounds?
bool json_fits(const std::string& text);

// The value; a discarded one (is_discarded()) for anything that is not one whole JSON value, or is
// beyond these bounds. Memory: below 100 MB and a few times the text.
nlohmann::json parse_json(const std::string& text);

}  // namespace rmt::train

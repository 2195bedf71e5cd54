// A log.jsonl of any bytes: read strictly and as a kill may have left it, written again, drawn. Its
// parts are the lines and, within each, the fields.
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "train/run/curves.h"
#include "train/run/json_text.h"

using namespace rmt;
using namespace rmt::train;
using nlohmann::json;

namespace {

// A line that is an object gives one part a field, and a part "\n" at its end.
fuzz::Parts split(const std::string& bytes) {
  fuzz::Parts parts;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    const std::string line = bytes.substr(at, end - at);
    const json object = parse_json(line);
    if (object.is_object())
      for (const auto& [name, value] : object.items())
        parts.push_back(json(name).dump(-1, ' ', true, json::error_handler_t::replace) + ":" +
                        value.dump(-1, ' ', true, json::error_handler_t::replace));
    else
      parts.push_back(line);
    parts.push_back("\n");
    at = end + 1;
  }
  return parts;
}

std::string join(const fuzz::Parts& parts) {
  std::string out, line;
  for (const std::string& part : parts) {
    if (part != "\n") {
      line += (line.empty() ? "" : ",") + part;
      continue;
    }
    out += line.starts_with("\"") ? "{" + line + "}\n" : line + "\n";
    line.clear();
  }
  return out + line;
}

}  // namespace

FORMAT(log, split, join)

FUZZ(log) {
  const fuzz::MemoryFile file(data, size);
  std::vector<EpochLog> log;
  for (bool torn : {true, false}) {
    if (!fuzz::result_or_error(file.path(), [&] { log = read_log(file.path(), torn); })) continue;
    for (const EpochLog& e : log)
      if (epoch_from_line(to_line(e), "again").epoch != e.epoch) std::abort();
    summary_csv(log);
  }
  if (!log.empty()) draw_curves({{"x", log}});
}

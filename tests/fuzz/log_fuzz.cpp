// A log.jsonl of any bytes: read strictly and as a kill may have left it, written again, drawn. Its
// parts are its fields, up to a comma or a line's end.
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mutate.h"
#include "train/run/curves.h"

using namespace rmt;
using namespace rmt::train;

namespace {

fuzz::Parts split(const std::string& bytes) {
  fuzz::Parts parts;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find_first_of(",\n", at), bytes.size() - 1) + 1;
    parts.push_back(bytes.substr(at, end - at));
    at = end;
  }
  return parts;
}

}  // namespace

FORMAT(log, split, fuzz::concatenated)

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

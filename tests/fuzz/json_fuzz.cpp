// Any text where JSON is expected: args.json, log.jsonl (drawn, too), and the notes in a
// checkpoint's metadata.
#include "tests/fuzz/fuzz.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "train/run/curves.h"

using namespace rmt;
using namespace rmt::train;

FUZZ(json) {
  const std::string text(data, data + size);
  TrainOptions options;
  if (fuzz::result_or_error("args.json", [&] { options = options_from_json(text, "args.json"); }))
    fuzz::result_or_error("", [&] { check(options); });

  const fuzz::MemoryFile file(text);
  std::vector<EpochLog> log;
  if (fuzz::result_or_error(file.path(), [&] { log = read_log(file.path()); })) {
    for (const EpochLog& e : log)
      if (epoch_from_line(to_line(e), "again").epoch != e.epoch) std::abort();
    summary_csv(log);
    draw_curves({{text, log}});
  }

  Archive archive;
  archive.path = "last.safetensors";
  for (const char* note : {"architecture", "classes", "options", "progress", "data"})
    archive.metadata[note] = text;
  fuzz::result_or_error(archive.path, [&] { description_of(archive); });
  Optimizer optimizer({}, {});
  fuzz::result_or_error(archive.path, [&] { load_optimizer(optimizer, archive); });
  fuzz::result_or_error(archive.path, [&] { data_counts(archive); });
}

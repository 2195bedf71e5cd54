// The command line of rmt-train, one word a line: parsed, laid over its recipe, checked, and made
// into a model's and a transform's settings; no file is opened.
#include "examples/train_flags.h"
#include "tests/fuzz/fuzz.h"
#include "train/recipe.h"
#include "train/schedule.h"
#include "train/weights/model_file.h"

using namespace rmt;
using namespace rmt::data;
using namespace rmt::train;

namespace {
struct Program {  // made once: that takes most of the time
  TrainFlags flags;
  CLI::App app{"", "rmt-train"};
  Program() {
    app.option_defaults()->always_capture_default();
    add_train_flags(app, flags);
    prepare_flags(app);
  }
};
}  // namespace

FUZZ(flags) {
  std::string text = "rmt-train\n" + std::string(data, data + size);
  std::vector<char*> words{text.data()};
  for (char& c : text)
    if (c == '\n') c = '\0', words.push_back(&c + 1);
  const int count = int(words.size());
  words.push_back(nullptr);

  static Program program;
  TrainFlags& f = program.flags;
  CLI::App& app = program.app;
  f = {};
  try {
    parse_words(app, count, words.data());
  } catch (const CLI::ParseError&) {
    unknown_flags(app);
    return;
  }
  fuzz::result_or_error("", [&] {
    if (!f.recipe.empty()) f.options = with_recipe(f.recipe, f.options);
    parse_words(app, count, words.data());
    check(f.options);
    if (f.options.epochs <= 1000) schedule_table(f.options);
    check_transform_options(transform_options(resolved(f.options)));
    model_config(f.options, 10);
    if (options_from_json(to_json(f.options), "args.json").epochs != f.options.epochs) std::abort();
  });
}

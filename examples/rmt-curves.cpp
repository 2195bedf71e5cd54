// Draws the training curves of several runs into one picture.
#include <cstdio>
#include <filesystem>

#include "core/files/files.h"
#include "examples/program.h"
#include "train/run/curves.h"
#include "train/weights/hub.h"

using namespace rmt;

// "name=file", or a file alone, which is then its own name. The file may be a run folder.
static train::Curve curve(const std::string& word) {
  namespace fs = std::filesystem;
  const size_t equals = word.find('=');
  std::string path = equals == std::string::npos ? word : word.substr(equals + 1);
  const std::string name = equals == std::string::npos ? path : word.substr(0, equals);
  if (fs::is_directory(path)) path += "/log.jsonl";
  return {name, train::read_log(path)};
}

static int draw(const std::string& out, const std::vector<std::string>& words, bool force) {
  train::check_unused(out, force);
  std::vector<train::Curve> curves;
  for (const std::string& word : words) curves.push_back(curve(word));
  write_file(out, train::draw_curves(curves));
  for (const train::Curve& c : curves)
    std::printf("%s: %zu epochs\n", printable(c.name).c_str(), c.epochs.size());
  return 0;
}

int main(int argc, char** argv) {
  std::string out = "curves.svg";
  std::vector<std::string> words;
  bool force = false;
  CLI::App app("Draws losses and validation top-1 of runs, over their epochs, as one SVG picture.",
               "rmt-curves");
  app.option_defaults()->always_capture_default();
  app.add_option("logs", words,
                 "NAME=FILE for each: a run folder, its log.jsonl, or a log of the official code; "
                 "the first lies on top")
      ->required();
  app.add_option("--out", out, "the picture");
  app.add_flag("--force", force, "overwrite what is there");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return draw(out, words, force); });
}

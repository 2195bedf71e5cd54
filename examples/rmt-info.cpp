// What a model costs: parameters, multiply-adds and memory of its parts, counted from the shapes
// alone; and pictures of it.
#include <algorithm>
#include <cstdio>

#include "core/files/files.h"
#include "examples/program.h"
#include "nn/models/count.h"
#include "nn/rmt/cost.h"
#include "nn/rmt/drawing.h"
#include "train/groups.h"
#include "train/weights/model_file.h"

using namespace rmt;

static void print_row(const nn::Cost& c) {
  double attention = double(c.attention_multiply_adds), all = double(c.multiply_adds),
         rest = all - attention;
  std::printf("%-14s %12lld  %8.3f %8.3f %8.3f  %8.3f %8.3f %8.3f  %9.1f\n", c.name.c_str(),
              static_cast<long long>(c.parameters), all / 1e9, attention / 1e9, rest / 1e9,
              all / (1 << 30), attention / (1 << 30), rest / (1 << 30),
              double(c.kept_values) * 4 / (1 << 20));
}

// How its parameters learn, with the options' weight decay, frozen parts and layer decay.
static void print_groups(const train::TrainOptions& o, nn::Classifier& model) {
  const std::vector<nn::Entry> parameters = model.parameters();
  std::printf(
      "\nHow they learn:\n%s",
      train::describe_groups(parameters, train::parameter_rules(parameters, o, model.classifier()))
          .c_str());
}

static void print_costs(const train::TrainOptions& o, const nn::RmtConfig& config) {
  check(o);
  std::vector<nn::Cost> parts = nn::cost(config, o.img_size, o.img_size);
  std::printf(
      "%s at %lld x %lld, %lld classes. Multiply-adds of one image: all, of Q K^T and A V, all "
      "others. Memory: what a training step keeps of one\n"
      "image's forward pass, in f32.\n\n",
      config.name.c_str(), static_cast<long long>(o.img_size), static_cast<long long>(o.img_size),
      static_cast<long long>(config.num_classes));
  std::printf("%-14s %12s  %26s  %26s  %9s\n", "", "", "1e9 multiply-adds", "2^30 multiply-adds",
              "memory");
  std::printf("%-14s %12s  %8s %8s %8s  %8s %8s %8s  %9s\n", "part", "parameters", "all", "attn",
              "rest", "all", "attn", "rest", "MiB");
  for (const nn::Cost& c : parts) print_row(c);
  nn::Cost sum = nn::total(parts);
  sum.name = "total";
  print_row(sum);
}

struct Flags {
  train::TrainOptions options;
  std::string file, svg, decay_svg;
  int64_t classes = 1000;
  bool groups = false, list = false;
};

// Of a network that is no RMT: its parameters part by part, and what its ops count.
static void print_counts(const train::TrainOptions& o, nn::Classifier& model, int64_t classes) {
  check(o);
  const double all = double(nn::multiply_adds(model, o.img_size));
  std::printf("%s at %lld x %lld, %lld classes: %.3f e9 multiply-adds an image (%.3f x 2^30)\n\n",
              o.model.c_str(), static_cast<long long>(o.img_size),
              static_cast<long long>(o.img_size), static_cast<long long>(classes), all / 1e9,
              all / (1 << 30));
  std::vector<std::pair<std::string, int64_t>> parts;  // in the order of the network
  for (const nn::Entry& e : model.parameters()) {
    const std::string part = e.name.substr(0, e.name.find('.'));
    if (parts.empty() || parts.back().first != part) parts.push_back({part, 0});
    parts.back().second += e.tensor->numel();
  }
  parts.push_back({"total", model.parameter_count()});
  std::printf("%-14s %12s\n", "part", "parameters");
  for (const auto& [part, n] : parts)
    std::printf("%-14s %12lld\n", part.c_str(), static_cast<long long>(n));
}

static void show_rmt(const Flags& f, const train::TrainOptions& o, const nn::RmtConfig& config) {
  print_costs(o, config);
  if (!f.svg.empty()) write_file(f.svg, draw_architecture(config, o.img_size, o.img_size));
  if (!f.decay_svg.empty()) write_file(f.decay_svg, draw_decay(config, o.img_size, o.img_size));
}

static void show_other(const Flags& f, const train::TrainOptions& o, nn::Classifier& model,
                       int64_t classes) {
  CHECK(f.svg.empty() && f.decay_svg.empty(),
        "--svg and --decay-svg draw the stages of an RMT, and ", o.model, " is none");
  print_counts(o, model, classes);
}

// Of a file's own model, at the size that it was trained for unless another is asked for.
static void show_file(const Flags& f, const CLI::App& app) {
  const std::vector<std::string> allowed = {"--img-size", "--groups", "--svg", "--decay-svg"};
  for (const CLI::Option* option : app.get_options())
    CHECK(option->count() == 0 || option->get_positional() ||
              std::find(allowed.begin(), allowed.end(), option->get_name()) != allowed.end(),
          option->get_name(), " does not go together with ", f.file,
          ", which says itself what its model is");
  train::ModelFile file = train::load_model_file(f.file);
  if (app.count("--img-size") > 0) file.options.img_size = f.options.img_size;
  std::printf("%s\n\n", printable(file.origin).c_str());
  if (const auto* rmt = dynamic_cast<const nn::Rmt*>(file.model.get()))
    show_rmt(f, file.options, rmt->config);
  else
    show_other(f, file.options, *file.model, file.num_classes);
  if (f.groups) print_groups(file.options, *file.model);
}

// Of the model that the flags describe. An RMT is counted from its config: none is made.
static void show_model(const Flags& f) {
  const train::TrainOptions& o = f.options;
  check(o);
  const std::vector<std::string> names = nn::rmt_names();
  const bool rmt = std::find(names.begin(), names.end(), o.model) != names.end();
  std::unique_ptr<nn::Classifier> model;
  if (!rmt || f.groups) model = train::make_model(o, f.classes);
  if (rmt)
    show_rmt(f, o, train::model_config(o, f.classes));
  else
    show_other(f, o, *model, f.classes);
  if (f.groups) print_groups(o, *model);
}

static void list_models() {
  for (const nn::ModelEntry& entry : nn::known_models())
    std::printf("%-14s %s\n", entry.name.c_str(), entry.about.c_str());
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Prints parameters, multiply-adds and activation memory of a model, part by part.",
               "rmt-info");
  app.option_defaults()->always_capture_default();
  app.add_option("file", f.file,
                 "of this checkpoint or .pth file, or run folder, instead of the model that the "
                 "flags describe");
  add_model_flags(app, f.options);
  app.add_option("--num-classes", f.classes, "outputs of the model")->check(CLI::Range(1, 1 << 20));
  app.add_flag("--groups", f.groups,
               "also how the parameters learn: which of them weight decay takes, at which rate");
  app.add_flag("--list", f.list, "only the names that --model knows, a line each");
  app.add_option("--svg", f.svg, "draw the model into this file");
  app.add_option("--decay-svg", f.decay_svg, "draw the decay of every head into this file");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] {
    if (f.list)
      list_models();
    else if (!f.file.empty())
      show_file(f, app);
    else
      show_model(f);
    return 0;
  });
}

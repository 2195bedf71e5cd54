// What a model costs: parameters, multiply-adds and memory of its parts, counted from the shapes
// alone; and pictures of it.
#include <cstdio>

#include "core/files/files.h"
#include "examples/program.h"
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
static int groups(const train::TrainOptions& o, nn::Rmt& model) {
  const std::vector<nn::Entry> parameters = model.parameters();
  std::printf("\nHow they learn:\n%s",
              train::describe_groups(parameters, train::parameter_rules(parameters, o)).c_str());
  return 0;
}

static int info(const train::TrainOptions& o, const nn::RmtConfig& config) {
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
  return 0;
}

// Of a file's own model, at the size that it was trained for unless another is asked for.
static int info_of_file(const std::string& path, const CLI::App& app,
                        const train::TrainOptions& flags, bool with_groups) {
  for (const CLI::Option* option : app.get_options())
    CHECK(option->count() == 0 || option->get_positional() || option->get_name() == "--img-size" ||
              option->get_name() == "--groups",
          option->get_name(), " does not go together with ", path,
          ", which says itself what its model is");
  train::ModelFile file = train::load_model_file(path);
  if (app.count("--img-size") > 0) file.options.img_size = flags.img_size;
  std::printf("%s\n\n", file.origin.c_str());
  info(file.options, file.model->config);
  return with_groups ? groups(file.options, *file.model) : 0;
}

// Draws what --svg and --decay-svg ask for.
struct Pictures {
  std::string architecture, decay;
  void draw(const nn::RmtConfig& config, int64_t size) const {
    if (!architecture.empty()) write_file(architecture, nn::draw_architecture(config, size, size));
    if (!decay.empty()) write_file(decay, nn::draw_decay(config, size, size));
  }
};

int main(int argc, char** argv) {
  train::TrainOptions o;
  std::string file;
  int64_t classes = 1000;
  bool with_groups = false;
  Pictures pictures;
  CLI::App app("Prints parameters, multiply-adds and activation memory of a model, part by part.",
               "rmt-info");
  app.option_defaults()->always_capture_default();
  app.add_option("file", file,
                 "of this checkpoint or .pth file, or run folder, instead of the model that the "
                 "flags describe");
  add_model_flags(app, o);
  app.add_option("--num-classes", classes, "outputs of the model")->check(CLI::Range(1, 1 << 20));
  app.add_flag("--groups", with_groups,
               "also how the parameters learn: which of them weight decay takes, at which rate");
  app.add_option("--svg", pictures.architecture, "a drawing of the model, as an SVG file");
  app.add_option("--decay-svg", pictures.decay, "a drawing of every head's decay");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] {
    if (!file.empty()) return info_of_file(file, app, o, with_groups);
    nn::RmtConfig config = train::model_config(o, classes);
    info(o, config);
    pictures.draw(config, o.img_size);
    if (!with_groups) return 0;
    nn::Rmt model(config);
    return groups(o, model);
  });
}

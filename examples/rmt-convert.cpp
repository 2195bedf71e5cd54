// Weights from one form into another: a .pth file of PyTorch's or a run of rmt-train becomes a
// safetensors file, or a folder for a model hub.
#include <cstdio>
#include <filesystem>

#include "examples/program.h"
#include "train/weights/hub.h"
#include "train/weights/pth.h"

using namespace rmt;

struct Flags {
  std::string from, to, key, model;
  bool force = false;
};

// Is a file of this name asked for, and not a folder? Error for one of another format.
static bool is_safetensors_name(const std::string& name) {
  const std::string extension = std::filesystem::path(name).extension().string();
  for (const char* other : {".pth", ".pt", ".bin", ".ckpt", ".pkl", ".onnx", ".h5", ".npz", ".gguf",
                            ".tflite", ".engine", ".json"})
    CHECK(extension != other, name, ": files of safetensors alone are written: give ",
          std::filesystem::path(name).stem().string(), ".safetensors; a name without ", other,
          " becomes a folder for a model hub");
  return extension == ".safetensors";
}

static int convert(const Flags& f) {
  const bool to_file = is_safetensors_name(f.to);
  if (to_file) train::check_unused(f.to, f.force);
  const train::Archive archive = train::read_weights(train::weights_path(f.from), f.key);
  // Weights that no model of ours takes stop here.
  const train::ModelFile file = train::model_from(archive, f.model);
  if (to_file)
    train::write_safetensors(f.to, train::published_weights(archive));
  else
    train::write_hub_folder(f.to, archive, file, f.force);
  std::printf("%s\n%s: %zu tensors in f32%s\n", printable(file.origin).c_str(),
              printable(f.to).c_str(), file.model->state().size(),
              to_file ? "" : ", config.json, README.md");
  return 0;
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app(
      "Converts weights of RMT: a PyTorch .pth file, a safetensors file or a run folder in; a "
      "safetensors file or a folder for a model hub out.",
      "rmt-convert");
  app.option_defaults()->always_capture_default();
  app.add_option("from", f.from, ".pth or safetensors file, or a run folder (its best.safetensors)")
      ->required();
  app.add_option("to", f.to,
                 "name.safetensors: that file; any other name: a folder with model.safetensors, "
                 "config.json and README.md")
      ->required();
  app.add_option("--key", f.key,
                 "entry of a .pth checkpoint to take; empty: the first there of model_ema, model, "
                 "state_dict, or the whole");
  app.add_option("--model", f.model, "architecture; empty: as the file says, or by its shapes");
  app.add_flag("--force", f.force, "overwrite what is there");
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  return run_program(app, [&] { return convert(f); });
}

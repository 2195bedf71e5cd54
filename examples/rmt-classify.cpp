// What is on these images: the most likely classes with their names. Or, for other programs: a
// tensor of images in, logits out.
#include <cstdio>

#include "core/parallel.h"
#include "examples/checkpoint_word.h"
#include "examples/image_files.h"
#include "examples/names_of_classes.h"
#include "examples/program.h"
#include "examples/timm_flags.h"
#include "train/compute.h"

using namespace rmt;

struct Flags {
  std::string checkpoint;
  std::string model;
  std::string tensor;
  std::string output_tensor;
  std::string class_names;
  std::vector<std::string> images;
  int64_t img_size = 0;
  int64_t top = 5;
  int threads = 0;
  bool json = false;
  bool csv = false;
  train::TrainOptions compute;  // its --device, --amp, --tf32
};

// Logits (B, classes) f32 on the CPU.
static Tensor forward(train::ModelFile& file, const train::Compute& compute, const Tensor& x) {
  return file.model->forward(x.to(compute.device).to(compute.dtype)).to(Device::cpu).to(DType::f32);
}

// Answers on stdout, in the form that the flags ask for: text, a JSON array, or a table.
class Answers {
 public:
  Answers(const Flags& f, const train::ClassNames& names) : f_(f), names_(names) {
    if (f_.json) std::fputs("[", stdout);
    if (f_.csv) std::fputs(train::prediction_csv_head().c_str(), stdout);
  }
  void add(const std::string& path, const Tensor& logits) {
    const std::vector<train::Guess> guesses = train::best_guesses(logits, f_.top);
    if (f_.json) {
      add_object(train::prediction_json(path, guesses, names_));
    } else if (f_.csv) {
      std::fputs(train::prediction_csv(path, guesses, names_).c_str(), stdout);
    } else {
      std::printf("%s\n", printable(path).c_str());
      for (const train::Guess& g : guesses)
        std::printf("  %6.2f %%  %s\n", 100 * g.probability,
                    printable(train::full_name(names_, g.index)).c_str());
    }
  }
  void add_unreadable(const std::string& path, const std::string& error) {
    std::cerr << "rmt-classify: " << error << std::endl;
    if (f_.json) add_object(train::unreadable_json(path, error));
  }
  void end() const {
    if (f_.json) std::fputs("\n]\n", stdout);
  }

 private:
  void add_object(const std::string& object) {
    std::printf("%s\n%s", first_ ? "" : ",", object.c_str());
    first_ = false;
  }
  const Flags& f_;
  const train::ClassNames& names_;
  bool first_ = true;
};

// One image at a time, so that a bad one among many is named and the others still get their answer.
static int classify_images(const Flags& f, train::ModelFile& file, const train::Compute& compute) {
  const std::vector<std::string> files = image_files(f.images);
  data::TransformOptions transform = train::transform_options(file.options);
  data::check_transform_options(transform);
  const int64_t S = transform.image_size;
  const train::ClassNames names = names_of_classes("rmt-classify", file, f.class_names);
  Answers answers(f, names);
  int status = 0;
  for (const std::string& path : files) {
    const data::Batch one{.images = Tensor::empty({1, S, S, 3}, DType::u8)};
    try {
      data::eval_pixels(data::read_image(path), transform, one.images.data<uint8_t>());
    } catch (const SystemError&) {
      throw;
    } catch (const Error& e) {
      answers.add_unreadable(path, e.what());
      status = 1;
      continue;
    }
    answers.add(path, forward(file, compute, compute.images(one, transform)));
  }
  answers.end();
  return status;
}

static int classify_tensor(const Flags& f, train::ModelFile& file, const train::Compute& compute) {
  const train::Archive in = train::read_safetensors(f.tensor);
  train::Archive out;
  CHECK(!in.tensors.empty(), f.tensor, ": holds no tensor");
  const Tensor& x = in.tensors.size() == 1 ? in.tensors.begin()->second : in.at("input");
  CHECK(x.rank() == 4 && x.dim(3) == 3 && is_float(x.dtype()), f.tensor, ": the input is ",
        x.dtype(), " ", x.shape(), ", expected normalised images (B, H, W, 3)");
  out.tensors["logits"] = forward(file, compute, x.to(DType::f32));
  train::write_safetensors(f.output_tensor, out);
  return 0;
}

static int classify(const Flags& f) {
  CHECK(f.images.empty() == !f.tensor.empty(),
        "give images behind the checkpoint, files or folders, or --tensor and --output-tensor");
  CHECK(f.tensor.empty() == f.output_tensor.empty(), "--tensor and --output-tensor go together");
  if (f.threads > 0) set_threads(f.threads);
  const train::Compute compute = train::choose_compute(f.compute);
  train::ModelFile file = train::load_model_file(f.checkpoint, f.model);
  std::cerr << printable(file.origin) << std::endl;
  train::set_image_size(file, f.img_size);
  check(file.options);
  compute.prepare(*file.model);
  NoGrad off;
  return f.tensor.empty() ? classify_images(f, file, compute) : classify_tensor(f, file, compute);
}

int main(int argc, char** argv) {
  Flags f;
  CLI::App app("Names what is on images, by a checkpoint of rmt-train or of the official code.",
               "rmt-classify");
  app.option_defaults()->always_capture_default();
  app.add_option("checkpoint,--checkpoint", f.checkpoint,
                 "safetensors or PyTorch .pth file, or a run folder (its best.safetensors)");
  app.add_option("images", f.images, "JPEG or PNG files, or folders: all of them in there");
  CLI::Option* json = app.add_flag("--json", f.json, "print one JSON array, an object an image");
  app.add_flag("--csv", f.csv, "print a table with a row for each of an image's classes")
      ->excludes(json);
  app.add_option("--top", f.top, "classes an image")->check(CLI::Range(1, 1 << 20));
  app.add_option("--model", f.model,
                 "architecture; empty: as the checkpoint says, or by its shapes");
  app.add_option("--img-size", f.img_size, "pixels; 0: as in training")
      ->check(CLI::Range(0, 16384));
  app.add_option("--class-names", f.class_names,
                 "table of words for the classes, \"n01440764 tench\" a line; empty: the one "
                 "beside the training images");
  app.add_option("--tensor", f.tensor,
                 "safetensors file with normalised images (B, H, W, 3), alone or called input, "
                 "instead of image files");
  app.add_option("--output-tensor", f.output_tensor,
                 "safetensors file for its logits (B, classes)");
  add_compute_flags(app, f.compute);
  app.add_option("--threads", f.threads, "threads; 0: RMT_THREADS, else every processor")
      ->check(CLI::Range(0, 1024));
  add_timm_flags(app);
  if (int status = parse_flags(app, argc, argv); status >= 0) return status;
  if (int status = check_checkpoint_word(app, f.checkpoint, "photo.jpg"); status >= 0)
    return status;
  return run_program(app, [&] { return classify(f); });
}

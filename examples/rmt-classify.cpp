// What is on these images: the most likely classes with their names. Or, for other programs: a
// tensor of images in, logits out.
#include <cmath>
#include <cstdio>
#include <numeric>

#include "core/parallel.h"
#include "data/sets/class_names.h"
#include "examples/program.h"
#include "examples/timm_flags.h"
#include "ops/softmax.h"
#include "train/compute.h"
#include "train/weights/model_file.h"

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
  train::TrainOptions compute;  // its --device, --amp, --tf32
};

// Logits (B, classes) f32 on the CPU.
static Tensor forward(train::ModelFile& file, const train::Compute& compute, const Tensor& x) {
  return file.model->forward(x.to(compute.device).to(compute.dtype)).to(Device::cpu).to(DType::f32);
}

// "tench, Tinca tinca (n01440764)" by label, with a table of words; else the classes as they are.
static std::vector<std::string> names_of_classes(const Flags& f, const train::ModelFile& file,
                                                 int64_t count) {
  std::vector<std::string> names;
  for (int64_t k = 0; k < count; ++k) names.push_back(file.class_name(k));
  const std::string table = !f.class_names.empty() || file.options.data_dir.empty()
                                ? f.class_names
                                : data::find_class_table(file.options.data_dir);
  if (table.empty()) return names;
  try {
    const std::vector<std::string> words = data::class_words(names, data::read_class_table(table));
    for (size_t k = 0; k < names.size(); ++k)
      if (words[k] != names[k]) names[k] = words[k] + " (" + names[k] + ")";
  } catch (const Error& e) {
    if (!f.class_names.empty()) throw;
    std::cerr << "rmt-classify: names of classes are left out: " << e.what() << std::endl;
  }
  return names;
}

static void print_top(const std::vector<std::string>& names, const std::string& path,
                      const Tensor& logits, int64_t top) {
  std::vector<float> p = ops::softmax(logits).to_vector<float>();
  std::vector<int64_t> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return p[a] > p[b]; });
  std::printf("%s\n", path.c_str());
  for (size_t i = 0; i < order.size() && int64_t(i) < top; ++i)
    std::printf("  %6.2f %%  %s\n", 100 * double(p[order[i]]), names[order[i]].c_str());
}

// One image at a time, so that a bad one among many is named and the others still get their answer.
static int classify_images(const Flags& f, train::ModelFile& file, const train::Compute& compute) {
  data::TransformOptions transform = train::transform_options(file.options);
  const int64_t S = transform.image_size;
  const std::vector<std::string> names = names_of_classes(f, file, file.model->config.num_classes);
  int status = 0;
  for (const std::string& path : f.images) {
    const data::Batch one{.images = Tensor::empty({1, S, S, 3}, DType::u8)};
    try {
      data::eval_pixels(data::read_image(path), transform, one.images.data<uint8_t>());
    } catch (const Error& e) {
      std::cerr << "rmt-classify: " << e.what() << std::endl;
      status = 1;
      continue;
    }
    print_top(names, path, forward(file, compute, compute.images(one, transform)), f.top);
  }
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
  CHECK(f.images.empty() == !f.tensor.empty(), "give images, or --tensor and --output-tensor");
  CHECK(f.tensor.empty() == f.output_tensor.empty(), "--tensor and --output-tensor go together");
  if (f.threads > 0) set_threads(f.threads);
  const train::Compute compute = train::choose_compute(f.compute);
  train::ModelFile file = train::load_model_file(f.checkpoint, f.model);
  std::cerr << file.origin << std::endl;
  if (f.img_size > 0) file.options.img_size = f.img_size;
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
                 "safetensors or PyTorch .pth file, or a run folder (its best.safetensors)")
      ->required();
  app.add_option("images", f.images, "JPEG or PNG files");
  app.add_option("--top", f.top, "classes an image")->check(CLI::Range(1, 1 << 20));
  app.add_option("--model", f.model,
                 "architecture; empty: as the checkpoint says, or by its shapes");
  app.add_option("--img-size", f.img_size, "pixels; 0: as in training");
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
  return run_program(app, [&] { return classify(f); });
}

// Everything that a training run depends on. Written to args.json and into every checkpoint; the field names are timm's flags.
#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace rmt {

struct TrainOptions {
  std::string data_dir = "";
  std::string model = "rmt_s";
  int64_t img_size = 224;
  double drop_path = -1;            // of the last block; below 0: the model's own
  bool grad_checkpointing = false;  // recompute each block in backward

  // The ablations' switches (nn/rmt/config.h).
  std::string decay_mode = "log_additive";  // or post_multiply, post_multiply_normalised
  bool decay = true, rotary = true, local_context = true, position_conv = true, ffn_conv = true, conv_stem = true;
  std::string decomposed = "", layer_scale = "";  // one 0 or 1 a stage, as in "1110"; empty: the model's own

  int64_t epochs = 300, batch_size = 128, validation_batch_size = 0;  // 0: as batch_size
  double lr = 0;                                                      // peak; 0: 5e-4 * batch_size / 512
  double min_lr = 1e-5, warmup_lr = 1e-6, warmup_epochs = 5;
  bool sched_on_updates = true;  // the rate moves every step; false: every epoch, as the official code does (train/schedule.h)
  double weight_decay = 0.05, smoothing = 0.1;

  std::array<double, 2> scale{0.08, 1}, ratio{3. / 4, 4. / 3};
  double hflip = 0.5, crop_pct = 0.875;
  std::string aa = "none";  // RandAugment in timm's notation (data/augment.h), or none
  double reprob = 0;        // probability of RandomErasing (data/erase.h); on the CPU alone so far
  std::array<double, 3> mean{0.485, 0.456, 0.406}, std{0.229, 0.224, 0.225};

  // auto: a GPU where the program was built for one and one is found, else the CPU; cpu, cuda, cuda:N, emulated (core/device.h).
  std::string device = "auto";
  std::string amp = "none";  // bf16: activations in bf16, on a GPU
  bool tf32 = false;         // matrix products of f32 numbers on a GPU may round to TF32
  bool cuda_graph = true;    // repeat a recording of the training step

  uint64_t seed = 42;
  int64_t workers = 2, threads = 0;  // 0: every processor
  int64_t log_interval = 50, max_bad_images = 100;
};

std::string to_json(const TrainOptions& options);
// Fields that are missing keep their default. `source` is named in the Error when the text is not such options.
TrainOptions options_from_json(const std::string& text, const std::string& source);

// Error, naming the flag, for values that make no sense.
void check(const TrainOptions& options);

}  // namespace rmt

// Everything that a training run depends on. Written to args.json and into every checkpoint; the
// field names are timm's flags.
#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace rmt::train {

struct TrainOptions {
  std::string data_dir = "";
  std::string model = "rmt_s";
  int64_t img_size = 224;
  double drop_path = -1;            // of the last block; below 0: the model's own
  bool grad_checkpointing = false;  // recompute each block in backward

  // The ablations' switches (nn/rmt/config.h).
  std::string decay_mode = "log_additive";  // or post_multiply, post_multiply_normalised
  bool decay = true, rotary = true, local_context = true, position_conv = true, ffn_conv = true,
       conv_stem = true;
  std::string decomposed = "",
              layer_scale = "";  // one 0 or 1 a stage, as in "1110"; empty: the model's own

  int64_t epochs = 300, batch_size = 128, validation_batch_size = 0;  // 0: as batch_size
  double lr = 0;  // peak; 0: 5e-4 * images a step / 512 (images_a_step)
  double min_lr = 1e-5, warmup_lr = 1e-6;
  double warmup_epochs = -1;     // below 0: 5, or half the run where that is less
  bool sched_on_updates = true;  // the rate moves every step; false: every epoch, as the official
                                 // code does (train/schedule.h)
  double weight_decay = 0.05, smoothing = 0.1;
  std::array<double, 2> opt_betas{0.9, 0.999};
  double opt_eps = 1e-8;
  double clip_grad = 0;          // the gradients' norm above which they are scaled down; 0: never
  int64_t grad_accum_steps = 1;  // batches a step
  bool model_ema = false;        // keep an average of the weights, evaluate it too
  double model_ema_decay = 0;    // 0: 0.99996 ^ (images a step / 512), the official code's
  int64_t max_skipped_steps =
      10;  // steps in a row whose loss or gradient is not finite, before the run stops

  // Fine-tuning (train/weights/finetune.h).
  std::string initial_checkpoint = "";  // weights to start from
  std::string freeze =
      "";  // parameters that stay: names' beginnings, separated by commas; "body": all but the head
  double layer_decay = 1;  // each block's rate is that of the next one times this

  std::array<double, 2> scale{0.08, 1}, ratio{3. / 4, 4. / 3};
  double hflip = 0.5, crop_pct = 0.875;
  std::string aa = "none";  // RandAugment in timm's notation (data/images/augment.h), or none
  double color_jitter =
      0;  // brightness, contrast and saturation by a factor in 1 +- this; for --aa none
  int64_t crop_padding = -1;  // a plain random crop out of the image with so many pixels around it,
                              // instead of scale and ratio; below 0: no
  double reprob = 0;          // probability of RandomErasing (data/images/erase.h)
  int64_t aug_repeats = 1;    // times that an image comes in an epoch of as many samples: repeated
                              // augmentation (data/loader.h)
  double mixup = 0, cutmix = 0;  // alpha of Mixup and CutMix (data/images/mixup.h); 0: never
  double mixup_prob = 1,
         mixup_switch_prob = 0.5;  // of a batch to be mixed; of CutMix where both are on
  int64_t mixup_off_epoch =
      0;  // from this epoch on no more; 0: to the end; below 0: so many epochs before it
  std::array<double, 3> mean{0.485, 0.456, 0.406}, std{0.229, 0.224, 0.225};

  // auto: a GPU where the program was built for one and one is found, else the CPU; cpu, cuda,
  // cuda:N, emulated (core/device.h).
  std::string device = "auto";
  std::string amp = "none";  // bf16: activations in bf16, on a GPU
  bool tf32 = false;         // matrix products of f32 numbers on a GPU may round to TF32
  bool cuda_graph = true;    // repeat a recording of the training step

  uint64_t seed = 42;
  int64_t workers = 2, threads = 0;  // 0: every processor
  int64_t log_interval = 50, max_bad_images = 100;
  int64_t recovery_interval =
      0;  // steps between two saves inside an epoch; 0: at its end, and when a signal stops the run
  int64_t checkpoint_hist = 0;  // the models of so many best epochs are kept beside the best one
  std::string compare_log =
      "";  // a log.jsonl, or the official log of the same model, to draw beside this run's
};

inline int64_t images_a_step(const TrainOptions& o) { return o.batch_size * o.grad_accum_steps; }

// d of the moving average, e += (1 - d) (p - e): the option, or 0.99996 ^ (images a step / 512)
// (RMT.md 4.5), or 0 without --model-ema.
double ema_decay(const TrainOptions& options);

// With numbers where lr, warmup_epochs and mixup_off_epoch leave it to a rule.
TrainOptions resolved(TrainOptions options);

std::string to_json(const TrainOptions& options);
// Fields that are missing keep their default. `source` is named in the Error when the text is not
// such options.
TrainOptions options_from_json(const std::string& text, const std::string& source);

// Error, naming the flag, for values that make no sense.
void check(const TrainOptions& options);

}  // namespace rmt::train

#include "train/options.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "data/images/augment.h"

namespace rmt::train {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(
    TrainOptions, data_dir, model, img_size, drop_path, grad_checkpointing, decay_mode, decay,
    rotary, local_context, position_conv, ffn_conv, conv_stem, decomposed, layer_scale, epochs,
    batch_size, validation_batch_size, lr, min_lr, warmup_lr, warmup_epochs, sched_on_updates,
    weight_decay, smoothing, opt_betas, opt_eps, clip_grad, grad_accum_steps, model_ema,
    model_ema_decay, max_skipped_steps, initial_checkpoint, freeze, layer_decay, scale, ratio,
    hflip, crop_pct, aa, color_jitter, crop_padding, reprob, aug_repeats, mixup, cutmix, mixup_prob,
    mixup_switch_prob, mixup_off_epoch, mean, std, device, amp, tf32, cuda_graph, seed, workers,
    threads, log_interval, max_bad_images, recovery_interval, checkpoint_hist, compare_log)

double ema_decay(const TrainOptions& o) {
  if (!o.model_ema) return 0;
  return o.model_ema_decay > 0 ? o.model_ema_decay
                               : std::pow(0.99996, double(images_a_step(o)) / 512);
}

TrainOptions resolved(TrainOptions o) {
  if (o.lr == 0) o.lr = 5e-4 * double(images_a_step(o)) / 512;
  if (o.warmup_epochs < 0) o.warmup_epochs = std::min(5., double(o.epochs) / 2);
  if (o.mixup_off_epoch < 0) o.mixup_off_epoch = std::max<int64_t>(1, o.epochs + o.mixup_off_epoch);
  return o;
}

std::string to_json(const TrainOptions& options) {
  return nlohmann::ordered_json(nlohmann::json(options))
             .dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

TrainOptions options_from_json(const std::string& text, const std::string& source) {
  try {
    const nlohmann::json given = nlohmann::json::parse(text), defaults = TrainOptions{};
    for (const auto& [name, value] : given.items())
      CHECK(!value.is_number_float() || !defaults.contains(name) ||
                !defaults[name].is_number_integer(),
            source, ": holds no options of rmt-train: ", name, " is ", value.dump(),
            ", expected a whole number");
    return given.get<TrainOptions>();
  } catch (const nlohmann::json::exception& e) {
    throw Error(str(source, ": holds no options of rmt-train: ", e.what()));
  }
}

void check(const TrainOptions& o) {
  auto in = [](const char* flag, double value, double least, double most, const char* unit) {
    CHECK(value >= least && value <= most, "--", flag, " ", value, " is not between ", least,
          " and ", most, unit);
  };
  data::parse_augment(o.aa);
  in("img-size", double(o.img_size), 32, 16384, " pixels: the model halves the image five times");
  in("epochs", double(o.epochs), 1, 1e6, "");
  in("batch-size", double(o.batch_size), 1, 1e6, " images");
  in("validation-batch-size", double(o.validation_batch_size), 0, 1e6, " images");
  in("lr", o.lr, 0, 1e3, "");
  in("min-lr", o.min_lr, 0, 1e3, "");
  in("warmup-lr", o.warmup_lr, 0, 1e3, "");
  in("warmup-epochs", o.warmup_epochs, -1, 1e6, "");
  in("weight-decay", o.weight_decay, 0, 1e3, "");
  in("smoothing", o.smoothing, 0, 1, "");
  for (double beta : o.opt_betas)
    CHECK(beta >= 0 && beta < 1, "--opt-betas ", o.opt_betas[0], " ", o.opt_betas[1],
          ": both must be from 0 to below 1, where a mean forgets");
  in("opt-eps", o.opt_eps, 0, 1, "");
  in("clip-grad", o.clip_grad, 0, 1e9, "");
  in("grad-accum-steps", double(o.grad_accum_steps), 1, 1e6, " batches");
  in("model-ema-decay", o.model_ema_decay, 0, 1, "");
  in("max-skipped-steps", double(o.max_skipped_steps), 0, 1e9, " steps");
  in("layer-decay", o.layer_decay, 1e-3, 1, "");
  in("color-jitter", o.color_jitter, 0, 1, "");
  in("crop-padding", double(o.crop_padding), -1, 4096, " pixels");
  in("reprob", o.reprob, 0, 1, "");
  in("aug-repeats", double(o.aug_repeats), 1, 100, "");
  in("mixup", o.mixup, 0, 1e3, "");
  in("cutmix", o.cutmix, 0, 1e3, "");
  in("mixup-prob", o.mixup_prob, 0, 1, "");
  in("mixup-switch-prob", o.mixup_switch_prob, 0, 1, "");
  in("mixup-off-epoch", double(o.mixup_off_epoch), -1e6, 1e6, "");
  in("drop-path", o.drop_path, -1, 0.999, "");
  in("crop-pct", o.crop_pct, 0.02, 1,
     ": the part of the resized image that is evaluated; 1 is all of it");
  in("workers", double(o.workers), 1, 256, " threads");
  in("threads", double(o.threads), 0, 1024, " threads");
  in("log-interval", double(o.log_interval), 0, 1e9, " steps");
  in("max-bad-images", double(o.max_bad_images), 0, 1e9, " images");
  in("recovery-interval", double(o.recovery_interval), 0, 1e9, " steps");
  in("checkpoint-hist", double(o.checkpoint_hist), 0, 1e6, "");
  CHECK(o.warmup_epochs <= double(o.epochs), "--warmup-epochs ", o.warmup_epochs,
        " is longer than the run of --epochs ", o.epochs,
        ": the peak rate would never be reached; give fewer");
  CHECK((o.mixup == 0 && o.cutmix == 0) || o.batch_size % 2 == 0,
        "--mixup and --cutmix pair the images of a batch, first with last: --batch-size ",
        o.batch_size, " is odd; give an even one");
  const bool mixup = o.mixup > 0, cutmix = o.cutmix > 0;
  CHECK((!mixup && !cutmix) || o.mixup_prob > 0, "--mixup-prob 0 mixes no batch, though --mixup ",
        o.mixup, " and --cutmix ", o.cutmix,
        " ask for it; set these to 0, or leave out --mixup-prob");
  CHECK(!mixup || !cutmix || (o.mixup_switch_prob > 0 && o.mixup_switch_prob < 1),
        "--mixup-switch-prob ", o.mixup_switch_prob, " leaves nothing to --",
        o.mixup_switch_prob > 0 ? "mixup" : "cutmix", "; set that one to 0 instead");
  CHECK(o.color_jitter == 0 || o.aa == "none", "--color-jitter ", o.color_jitter, " and --aa ",
        o.aa, " exclude each other, as in timm; give one of them");
  CHECK(o.model_ema || o.model_ema_decay == 0,
        "--model-ema-decay without --model-ema does nothing; give both");
}

}  // namespace rmt::train

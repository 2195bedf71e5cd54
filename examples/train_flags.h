// The flags of rmt-train, under timm's names (and DeiT's where they differ): each is bound to a
// field of TrainOptions or of the run.
#pragma once
#include "examples/program.h"

namespace rmt {

struct TrainFlags {
  train::TrainOptions options;
  std::string output = "output", experiment, resume, recipe;
  bool print_schedule = false;
  bool force_resume = false;
};

inline void add_train_flags(CLI::App& app, TrainFlags& f) {
  train::TrainOptions& o = f.options;
  auto add = [&app](const char* group) {
    return [&app, group](const std::string& name, auto& value, const std::string& what) {
      return app.add_option(name, value, what)->group(group);
    };
  };
  auto data = add("Data"), run = add("Run"), optimization = add("Optimization"),
       augmentation = add("Augmentation and input");
  data("--data-dir,--data-path", o.data_dir,
       "folder with train/ and val/ (or validation/), one folder a class in each; not given: "
       "images drawn into build/drawings");
  data("-j,--workers,--num_workers", o.workers,
       "threads that read images; the result does not depend on it");
  data("--max-bad-images", o.max_bad_images,
       "unreadable images that an epoch may replace before the run stops");
  add_model_flags(app, o);
  add_compute_flags(app, o);
  app.add_flag("--cuda-graph,!--no-cuda-graph", o.cuda_graph,
               "record the training step once and repeat it (default)")
      ->group("Device");
  optimization("--epochs", o.epochs, "passes over the training images");
  optimization("-b,--batch-size", o.batch_size, "images a step");
  optimization("--validation-batch-size", o.validation_batch_size,
               "images at once in evaluation; 0: as --batch-size");
  optimization("--lr", o.lr,
               "peak learning rate; 0: 5e-4 x images a step / 512, the images of "
               "--grad-accum-steps batches");
  optimization("--min-lr", o.min_lr, "learning rate at the end");
  optimization("--warmup-lr", o.warmup_lr, "learning rate at the start");
  optimization("--warmup-epochs", o.warmup_epochs,
               "epochs of linear warm-up; below 0: 5, or half the run where that is less");
  app.add_flag("--sched-on-updates,!--sched-on-epochs", o.sched_on_updates,
               "move the rate every step (default), or every epoch as the official code does")
      ->group("Optimization");
  optimization("--weight-decay", o.weight_decay, "AdamW's, of matrices and filters");
  optimization("--opt-betas", o.opt_betas,
               "AdamW's, of the means of gradients and of their squares");
  optimization("--opt-eps", o.opt_eps, "AdamW's, added to the root of the second mean");
  optimization("--clip-grad", o.clip_grad,
               "norm above which the gradients of a step are scaled down to it; 0: never");
  optimization("--grad-accum-steps", o.grad_accum_steps,
               "batches a step: the gradients of so many are averaged");
  app.add_flag("--model-ema,!--no-model-ema", o.model_ema,
               "keep a moving average of weights and statistics, and evaluate it too")
      ->group("Optimization");
  optimization("--model-ema-decay", o.model_ema_decay,
               "the average's; 0: 0.99996 ^ (images a step / 512), the official code's");
  optimization("--max-skipped-steps", o.max_skipped_steps,
               "steps in a row with a loss or gradient that is not finite, before the run stops");
  optimization("--smoothing", o.smoothing, "label smoothing, 0 to 1");
  augmentation("--scale", o.scale, "random crop's share of the area: least and most");
  augmentation("--ratio", o.ratio, "random crop's width / height: least and most");
  augmentation("--hflip", o.hflip, "probability of a mirror image");
  augmentation(
      "--aa", o.aa,
      "RandAugment in timm's notation, as in rand-m9-mstd0.5-inc1 (the ImageNet recipe's); none");
  augmentation("--color-jitter", o.color_jitter,
               "brightness, contrast and saturation by factors in 1 +- this; needs --aa none");
  augmentation("--crop-padding", o.crop_padding,
               "a plain random crop with so many pixels around the image, for small ones, instead "
               "of --scale and --ratio; below 0: no");
  augmentation("--aug-repeats", o.aug_repeats,
               "repeated augmentation: an image comes so many times an epoch, which stays as long "
               "(the ImageNet recipe's is 3)");
  augmentation("--mixup", o.mixup, "alpha of Mixup; 0: never (the ImageNet recipe's is 0.8)");
  augmentation("--cutmix", o.cutmix, "alpha of CutMix; 0: never (the ImageNet recipe's is 1)");
  augmentation("--mixup-prob", o.mixup_prob, "probability that a batch is mixed");
  augmentation("--mixup-switch-prob", o.mixup_switch_prob,
               "probability of CutMix where both are on");
  augmentation("--mixup-off-epoch", o.mixup_off_epoch,
               "no mixing from this epoch on; 0: to the end; below 0: so many epochs before it");
  augmentation(
      "--reprob", o.reprob,
      "probability of a rectangle of noise (RandomErasing; the ImageNet recipe's is 0.25)");
  augmentation("--crop-pct", o.crop_pct, "evaluation: image size / shorter side after the resize");
  augmentation("--mean", o.mean, "of the three channels, values in [0, 1]");
  augmentation("--std", o.std, "of the three channels, values in [0, 1]");
  auto tuning = add("Fine-tuning");
  tuning("--initial-checkpoint,--finetune", o.initial_checkpoint,
         "weights to start from: a file or run folder; a head of other classes is made anew");
  tuning("--freeze", o.freeze,
         "parameters that stay as they are: beginnings of their names, separated by commas; body: "
         "all but the head");
  tuning("--layer-decay", o.layer_decay,
         "each block learns this times as fast as the next one; 1: all alike");
  run("--recipe", f.recipe,
      "what the flags that are not given are set to: paper, official, small-data or finetune (it "
      "is printed)");
  app.add_flag("--print-schedule", f.print_schedule,
               "print \"epoch rate\" for every epoch of the run that the flags describe and exit; "
               "where the rate moves every step, that of the epoch's first; "
               "needs no data")
      ->group("Run");
  run("--seed", o.seed, "of weights, order, crops and drop path");
  run("--threads", o.threads,
      "threads that compute; 0: RMT_THREADS, else every processor; the result does not depend on "
      "it");
  run("--output,--output_dir", f.output, "folder of the run folders");
  run("--experiment", f.experiment, "name of the run folder; empty: <timestamp>-<model>-<size>");
  run("--resume", f.resume,
      "run folder (or its last.safetensors) to go on with, in the same folder and with its options "
      "but for those given here; auto: the run of --experiment, "
      "begun where there is none yet");
  app.add_flag("--force-resume", f.force_resume,
               "resume although the images or options are others now")
      ->group("Run");
  run("--recovery-interval", o.recovery_interval,
      "steps between two saves inside an epoch; 0: at its end, and when a signal stops the run");
  run("--checkpoint-hist", o.checkpoint_hist,
      "keep the models of so many best epochs beside best.safetensors");
  run("--compare-log", o.compare_log,
      "log.jsonl of another run, or the official log of the same model, to draw beside this run's "
      "curves");
  run("--log-interval", o.log_interval,
      "steps between two lines of progress when stderr is no terminal; 0: no progress");
}

}  // namespace rmt

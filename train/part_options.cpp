#include "train/part_options.h"

#include "nn/rmt/model.h"
#include "train/weights/model_file.h"

namespace rmt::train {

data::LoaderOptions loader_options(const TrainOptions& o, bool train, const data::LabelMaps* labels,
                                   const Processes& processes) {
  CHECK(!labels || (o.token_head != "none" && o.augment_first),
        "label maps need a model with a token head and images that are augmented first "
        "(train::resolved() sets both)");
  data::LoaderOptions l;
  l.rank = processes.rank();
  l.ranks = processes.size();
  l.batch_size = train || o.validation_batch_size == 0 ? o.batch_size : o.validation_batch_size;
  l.workers = int(o.workers);
  l.seed = o.seed;
  l.train = train;
  l.repeats = train ? o.aug_repeats : 1;
  l.max_bad = o.max_bad_images;
  l.transform = transform_options(o);
  l.mix = {o.mixup, o.cutmix, o.mixup_prob, o.mixup_switch_prob, o.mixup_off_epoch};
  if (!o.token_label_data.empty())  // MixToken: the box of CutMix in tokens, lambda from Beta(1, 1)
    l.mix = {.cutmix = o.mix_token ? 1. : 0., .unit = nn::kPixelsAToken};
  l.labels = labels;
  l.exchanged_axes = o.token_label_axes == "upstream";
  return l;
}

OptimizerOptions optimizer_options(const TrainOptions& o) {
  OptimizerOptions options{
      .adamw = {.beta1 = o.opt_betas[0],
                .beta2 = o.opt_betas[1],
                .eps = o.opt_eps,
                .weight_decay = o.weight_decay},
      .guard = {.clip = o.clip_grad, .parts = o.grad_accum_steps * o.processes},
      .average_decay = ema_decay(o)};
  if (o.opt == "sgd")
    options.sgd = {.momentum = o.momentum, .nesterov = o.nesterov, .weight_decay = o.weight_decay};
  return options;
}

}  // namespace rmt::train

#include "train/options.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/images/augment.h"
#include "train/loss.h"
#include "train/nearest.h"
#include "train/run/json_text.h"
#include "train/schedule.h"
#include "train/settings.h"

namespace rmt::train {

using nlohmann::json;

double ema_decay(const TrainOptions& o) {
  if (!o.model_ema) return 0;
  if (o.model_ema_decay > 0) return o.model_ema_decay;
  return std::pow(0.99996, double(images_a_step(o)) / 512);
}

TrainOptions resolved(TrainOptions o) {
  if (o.lr == 0) o.lr = 5e-4 * double(images_a_step(o)) / 512;
  if (o.warmup_epochs < 0) o.warmup_epochs = std::min(5., double(o.epochs) / 2);
  if (!o.token_label_data.empty()) {
    if (o.token_head == "none") o.token_head = "tokens";
    o.augment_first = true;
  }
  if (o.mixup_off_epoch < 0) o.mixup_off_epoch = std::max<int64_t>(1, o.epochs + o.mixup_off_epoch);
  return o;
}

std::string to_json(const TrainOptions& options) {
  json object = json::object();  // sorted by name
  for_each_setting([&](const auto& s) { object[s.name] = options.*s.field; });
  return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

TrainOptions options_from_json(const std::string& text, const std::string& source) {
  try {
    CHECK(json_fits(text), source,
          ": holds no options of rmt-train: it is larger or nests deeper "
          "than any of its files");
    const json given = json::parse(text);
    TrainOptions options;
    for_each_setting([&]<class T>(const Setting<T>& s) {
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
        if (auto it = given.find(s.name); it != given.end())
          CHECK(!it->is_number_float(), source, ": holds no options of rmt-train: ", s.name, " is ",
                it->dump(), ", expected a whole number");
      options.*s.field = given.value(s.name, options.*s.field);
    });
    return options;
  } catch (const json::exception& e) {
    throw Error(str(source, ": holds no options of rmt-train: ", e.what()));
  }
}

// A value other than the default for the optimizer that is not chosen would do nothing.
static void check_optimizer(const TrainOptions& o) {
  const TrainOptions usual;
  const bool sgd = o.opt == "sgd";
  CHECK(sgd || o.opt == "adamw", "--opt ", o.opt, " is not known: adamw or sgd",
        did_you_mean(o.opt, {"adamw", "sgd"}));
  for (double beta : o.opt_betas)
    CHECK(beta >= 0 && beta < 1, "--opt-betas ", o.opt_betas[0], " ", o.opt_betas[1],
          ": both must be from 0 to below 1, where a mean forgets");
  auto only = [&](bool as_usual, const char* flag, const char* optimizer) {
    CHECK(o.opt == optimizer || as_usual, flag, " is ", optimizer,
          "'s and does nothing with --opt ", o.opt, "; leave it out, or give --opt ", optimizer);
  };
  only(o.opt_betas == usual.opt_betas, "--opt-betas", "adamw");
  only(o.opt_eps == usual.opt_eps, "--opt-eps", "adamw");
  only(o.momentum == usual.momentum, "--momentum", "sgd");
  only(!o.nesterov, "--nesterov", "sgd");
  CHECK(!o.nesterov || o.momentum > 0, "--nesterov needs a --momentum above 0");
}

// Names that are not known, and what would spoil token labels.
static void check_token_labels(const TrainOptions& o) {
  CHECK(o.token_head == "none" || o.token_head == "tokens" || o.token_head == "projected",
        "--token-head ", o.token_head, " is not known: none, tokens or projected",
        did_you_mean(o.token_head, {"none", "tokens", "projected"}));
  CHECK(o.token_label_axes == "correct" || o.token_label_axes == "upstream", "--token-label-axes ",
        o.token_label_axes, " is not known: correct or upstream",
        did_you_mean(o.token_label_axes, {"correct", "upstream"}));
  CHECK(o.train_interpolation == "bicubic" || o.train_interpolation == "random",
        "--train-interpolation ", o.train_interpolation, " is not known: bicubic or random");
  if (o.token_label_data.empty()) return;
  CHECK(o.mixup == 0 && o.cutmix == 0, "--mixup ", o.mixup, " and --cutmix ", o.cutmix,
        " with --token-label-data: MixToken mixes the images there; leave these out (--recipe "
        "token-labels does)");
  CHECK(o.loss == "cross_entropy", "--loss ", o.loss,
        " with --token-label-data: token labels have a loss of their own; leave it out");
  CHECK(o.img_size % 32 == 0,
        "--token-label-data labels whole tokens of 32 x 32 pixels: --img-size ", o.img_size,
        " is no multiple of 32");
  CHECK(!o.mix_token || o.batch_size % 2 == 0,
        "MixToken pairs the images of a batch, first with last: --batch-size ", o.batch_size,
        " is odd; give an even one, or --no-mix-token");
  CHECK(o.cls_weight + o.dense_weight > 0,
        "--cls-weight 0 and --dense-weight 0 leave no loss; give one of them");
}

// Of the settings of segmentation and detection.
static void check_dense(const TrainOptions& o) {
  auto known = [](const char* flag, const std::string& value,
                  const std::vector<std::string>& names) {
    CHECK(std::find(names.begin(), names.end(), value) != names.end(), flag, " ", value,
          " is not known: ", listed(names), did_you_mean(value, names));
  };
  known("--bn", o.bn, {"local", "frozen"});
  known("--sched", o.sched, {"cosine", "poly", "step"});
  known("--no-decay-of", o.no_decay, {"vectors", "nothing", "norm", "norms"});
  if (!o.head.empty())
    known(
        "--head", o.head,
        {"semantic_fpn", "upernet", "retinanet", "faster_rcnn", "mask_rcnn", "cascade_mask_rcnn"});
  milestones_of(o.milestones);
  CHECK(o.size_ratio[0] > 0 && o.size_ratio[0] <= o.size_ratio[1] && o.size_ratio[1] <= 100,
        "--size-ratio ", o.size_ratio[0], " ", o.size_ratio[1],
        ": give the least and the most of a factor above 0");
  CHECK(o.short_side <= o.long_side, "--short-side ", o.short_side, " is above --long-side ",
        o.long_side);
}

void check(const TrainOptions& o) {
  for_each_setting([&]<class T>(const Setting<T>& s) {
    if constexpr (std::is_arithmetic_v<T>) {
      const double value = double(o.*s.field);
      const Range& r = s.range;
      CHECK(r.least > r.most || (value >= r.least && value <= r.most), flag_of(s.name), " ",
            o.*s.field, " is not between ", r.least, " and ", r.most, r.unit);
    }
  });
  check_optimizer(o);
  check_token_labels(o);
  check_dense(o);
  data::parse_augment(o.aa);
  loss_named(o.loss);
  CHECK(o.model_ema_decay < 1,
        "--model-ema-decay 1: the average would stay as it began; give less");
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

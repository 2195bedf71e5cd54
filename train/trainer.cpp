#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "data/images/image_grid.h"
#include "train/memory.h"
#include "train/peak.h"
#include "train/schedule.h"
#include "train/stop.h"
#include "train/weights/model_file.h"

namespace rmt::train {
namespace {

const char* non_finite(double x) {
  return std::isnan(x) ? "nan" : "infinite";
}  // printed, a nan may carry a sign

OptimizerOptions optimizer_options(const TrainOptions& o) {
  return {.adamw = {.beta1 = o.opt_betas[0],
                    .beta2 = o.opt_betas[1],
                    .eps = o.opt_eps,
                    .weight_decay = o.weight_decay},
          .guard = {.clip = o.clip_grad, .parts = o.grad_accum_steps},
          .average_decay = ema_decay(o)};
}

double best_top1(const EpochLog& log) {
  return std::max(log.test_acc1, log.test_ema_acc1.value_or(-1));
}

}  // namespace

data::LoaderOptions loader_options(const TrainOptions& o, bool train, const Compute& compute) {
  data::LoaderOptions l;
  l.batch_size = train || o.validation_batch_size == 0 ? o.batch_size : o.validation_batch_size;
  l.workers = int(o.workers);
  l.seed = o.seed;
  l.train = train;
  l.repeats = train ? o.aug_repeats : 1;
  l.bytes = compute.device == Device::cuda;
  l.max_bad = o.max_bad_images;
  l.transform = transform_options(o);
  l.mix = {o.mixup, o.cutmix, o.mixup_prob, o.mixup_switch_prob, o.mixup_off_epoch};
  return l;
}

Metrics evaluate(nn::Module& model, const Forward& forward, data::Loader& loader,
                 const Compute& compute, const data::TransformOptions& transform, const char* flag,
                 const std::function<bool(const data::Batch&, const Tensor&)>& seen) {
  NoGrad off;
  model.mode().training = false;
  Metrics metrics;
  auto logits = [&](const data::Batch& batch) {
    return forward(compute.images(batch, transform)).to(Device::cpu).to(DType::f32);
  };
  loader.start(0);
  while (auto batch = loader.next()) try {
      const Tensor z = logits(*batch);
      metrics.add(z, batch->labels);
      if (seen && !seen(*batch, z)) break;
    } catch (const OutOfMemory& e) {
      const Tensor& x = batch->images;
      advise(e, str("evaluation of ", x.dim(0), " images of ", x.dim(1), " x ", x.dim(2)), flag,
             x.dim(0), [&](int64_t n) { logits(first(*batch, n)); });
    }
  return metrics;
}

Trainer::Trainer(nn::Module& model, Forward forward, const data::Dataset& train,
                 const data::Dataset& test, const TrainOptions& options, std::ostream& out,
                 const Compute& compute)
    : model_(model),
      forward_(std::move(forward)),
      options_(options),
      compute_(compute),
      train_(train, loader_options(options, true, compute)),
      test_(test, loader_options(options, false, compute)),
      classes_(train.classes()),
      counts_{int64_t(classes_.size()), train.size(), test.size()},
      steps_(train_.batches() / options.grad_accum_steps),
      optimizer_(model.parameters(), optimizer_options(options),
                 parameter_rules(model.parameters(), options), model.state()),
      step_(model, forward_, optimizer_, compute,
            {.smoothing = options.smoothing,
             .graph = options.cuda_graph,
             .seed = options.seed,
             .transform = transform_options(options)}),
      out_(out) {
  CHECK(steps_ > 0, train.place(), " has ", train_.batches(), " batches of ", options.batch_size,
        " images, fewer than one step of --grad-accum-steps ", options.grad_accum_steps,
        "; give a smaller --batch-size or fewer");
}

void Trainer::resume(const Archive& archive, bool force) {
  load_model(model_, archive, options_.model);
  if (compute_.dtype != DType::f32) model_.make_shadows(compute_.dtype);
  optimizer_.begin_again();
  progress_ = load_optimizer(optimizer_, archive);
  saved_once_ = true;

  const DataCounts then = data_counts(archive);
  auto same = [&](int64_t before, int64_t now, const char* what) {
    CHECK(force || then.classes == 0 || before == now, archive.path, ": the run began with ",
          before, " ", what, ", ", options_.data_dir, " has ", now,
          "; give it back its data, or --force-resume to go on with these");
  };
  same(then.classes, counts_.classes, "classes"),
      same(then.train_images, counts_.train_images, "training images"),
      same(then.test_images, counts_.test_images, "validation images");
  EpochSums& now = progress_.now;
  if (then.train_images != counts_.train_images && then.classes > 0)
    now = {};  // forced: that epoch, in another order now, begins again
  if (now.steps == 0 || now.images == now.steps * images_a_step(options_)) return;
  CHECK(force, archive.path, ": stands after ", now.steps, " steps of ", now.images / now.steps,
        " images in epoch ", progress_.epoch + 1, ", a step is ", images_a_step(options_),
        " now; give back --batch-size and --grad-accum-steps, or --force-resume to begin that "
        "epoch again");
  now = {};
}

bool Trainer::run(const RunFolder& folder) {
  StopSignals catch_signals;
  folder_ = folder;
  folder_.truncate_log(progress_.epoch);
  if (progress_.epoch >= options_.epochs)
    out_ << "all " << options_.epochs << " epochs are done; --epochs adds more" << std::endl;
  if (progress_.epoch > 0) try_to_save([&] { folder_.refresh(); });
  line_ = ProgressLine(options_.log_interval,
                       (options_.epochs - progress_.epoch) * steps_ - progress_.now.steps);
  while (progress_.epoch < options_.epochs && !stopped_) {
    if (!train_epoch()) continue;
    if (std::optional<EpochLog> log = evaluate_epoch()) finish_epoch(std::move(*log));
  }
  return saved_all_;
}

// The steps of an epoch that are left. False when a signal stopped it before its end.
bool Trainer::train_epoch() {
  const Schedule schedule = schedule_of(options_);
  EpochSums& now = progress_.now;
  const double seconds_before = now.seconds;
  const int64_t parts = options_.grad_accum_steps, images_before = now.images;
  Stopwatch clock;
  train_.start(progress_.epoch, now.steps * parts);
  while (now.steps < steps_) {
    std::vector<data::Batch> batches;
    for (int64_t i = 0; i < parts; ++i) batches.push_back(*train_.next());
    const int64_t t = progress_.epoch * steps_ + now.steps;
    const double lr = options_.sched_on_updates ? lr_of_step(schedule, t, steps_)
                                                : lr_of_epoch(schedule, progress_.epoch);
    if (t == 0) draw_first_batch(batches[0]);
    judge(step_(batches, t, lr));
    ++now.steps, now.images += images_a_step(options_), now.lr += lr;
    const double seconds = clock.seconds(), rate = double(now.images - images_before) / seconds;
    now.seconds = seconds_before + seconds;
    line_.show({.epoch = progress_.epoch,
                .epochs = options_.epochs,
                .step = now.steps - 1,
                .steps = steps_,
                .loss = last_loss_,
                .mean_loss = now.loss / double(std::max<int64_t>(now.judged - now.skipped, 1)),
                .lr = lr,
                .images_per_s = rate,
                .waiting = train_.wait_seconds() / seconds,
                .mfu = model_flops_utilization(multiply_adds_, rate, peak_)});
    if (StopSignals::requested()) return stop(), false;
    if (options_.recovery_interval > 0 && now.steps % options_.recovery_interval == 0 &&
        now.steps < steps_) {
      judge(step_.finish());
      try_to_save([&] { save("last.safetensors", true); });
    }
  }
  judge(step_.finish());
  line_.clear();
  return true;
}

// augmented.png: the images of the run's first batch as crop, mirror and the rest left them, each
// under its class (mixing comes later, on the device).
void Trainer::draw_first_batch(const data::Batch& batch) {
  try_to_save([&] {
    std::vector<data::Tile> tiles;
    for (data::Image& image : data::batch_pictures(batch, transform_options(options_), 24))
      tiles.push_back(
          {std::move(image), classes_[size_t(batch.labels.data<int64_t>()[tiles.size()])]});
    data::write_png(folder_ / "augmented.png", data::image_grid(tiles));
  });
}

void Trainer::judge(const std::vector<Verdict>& verdicts) {
  EpochSums& now = progress_.now;
  for (const Verdict& v : verdicts) {
    const int64_t step = progress_.epoch * steps_ + now.judged++;
    last_loss_ = double(v.loss);
    if (v.finite()) {
      now.loss += last_loss_, progress_.skipped_in_a_row = 0;
      continue;
    }
    ++now.skipped, ++progress_.skipped_in_a_row;
    const std::string what =
        !std::isfinite(v.loss) ? str("the loss is ", non_finite(v.loss))
        : v.bad_parameter >= 0
            ? str("the gradient of ", optimizer_.slots()[v.bad_parameter].name, " is not finite")
            : "the norm of the gradients is infinite";
    line_.clear();
    std::cerr << "step " << step << " skipped: " << what << " (" << progress_.skipped_in_a_row
              << " in a row, --max-skipped-steps " << options_.max_skipped_steps << ")"
              << std::endl;
    CHECK(progress_.skipped_in_a_row <= options_.max_skipped_steps, what, " at step ", step, ", ",
          progress_.skipped_in_a_row, " in a row: ", last_checkpoint());
  }
}

// A signal asked for it: everything that is needed to go on is saved.
void Trainer::stop() {
  stopped_ = true;
  judge(step_.finish());
  line_.clear();
  note_bad_images();
  try_to_save([&] { save("last.safetensors", true); });
  const bool between = progress_.now.steps == 0;
  out_ << "stopped by " << StopSignals::name() << " after "
       << (between ? str("epoch ", progress_.epoch)
                   : str("step ", progress_.now.steps, " of ", steps_, " in epoch ",
                         progress_.epoch + 1))
       << "; go on with --resume " << folder_.path() << std::endl;
}

// Nothing when a signal came while it ran: the epoch's steps stay done, its evaluation is made
// again.
std::optional<EpochLog> Trainer::evaluate_epoch() {
  const EpochSums& now = progress_.now;
  const double n = double(std::max<int64_t>(now.steps, 1)),
               good = double(std::max<int64_t>(now.judged - now.skipped, 1));
  EpochLog log{.epoch = progress_.epoch,
               .n_parameters = model_.parameter_count(),
               .train_loss = now.loss / good,
               .train_lr = now.lr / n,
               .seconds = now.seconds,
               .images_per_s = double(now.images) / now.seconds,
               .skipped_steps = now.skipped};
  auto measure = [&] {
    Metrics m = evaluate(
        model_, forward_, test_, compute_, transform_options(options_), "--validation-batch-size",
        [](const data::Batch&, const Tensor&) { return !StopSignals::requested(); });
    if (!StopSignals::requested())
      CHECK(std::isfinite(m.loss()), "the test loss is ", non_finite(m.loss()), " after epoch ",
            log.epoch, ": ", last_checkpoint());
    return m;
  };
  const Metrics m = measure();
  log.test_loss = m.loss(), log.test_acc1 = m.acc1(), log.test_acc5 = m.acc5();
  if (options_.model_ema && !StopSignals::requested())
    with_averages([&] {
      const Metrics a = measure();
      log.test_ema_loss = a.loss(), log.test_ema_acc1 = a.acc1(), log.test_ema_acc5 = a.acc5();
    });
  if (StopSignals::requested()) return stop(), std::nullopt;
  return log;
}

void Trainer::finish_epoch(EpochLog log) {
  note_bad_images();
  log.bad_images = progress_.now.bad_images;
  const bool best = best_top1(log) > progress_.best_acc1;
  if (best)
    progress_.best_acc1 = best_top1(log), progress_.best_epoch = log.epoch,
    progress_.best_is_average = best_top1(log) > log.test_acc1;
  ++progress_.epoch, progress_.now = {};

  std::ostringstream text;
  text << std::fixed << std::setprecision(4) << "epoch " << log.epoch + 1 << "/" << options_.epochs
       << "  train loss " << log.train_loss << "  test loss " << log.test_loss
       << std::setprecision(2) << "  top-1 " << log.test_acc1 << " %";
  if (log.test_ema_acc1) text << " (average " << *log.test_ema_acc1 << " %)";
  text << "  top-5 " << log.test_acc5 << " %  ";
  if (auto difference = top1_difference(log, folder_.compare()))
    text << std::showpos << *difference << std::noshowpos << " to " << folder_.compare().name
         << "  ";
  text << std::setprecision(1) << log.images_per_s << " img/s  " << log.seconds << " s"
       << (best ? "  best" : "");
  out_ << text.str() << std::endl;

  // The log first and the last checkpoint at the end: a run that is killed in between does the
  // epoch again and takes its line back.
  try_to_save([&] { folder_.append(log); });
  if (best) try_to_save([&] { save_weights("best.safetensors", log); });
  if (options_.checkpoint_hist > 0) try_to_save([&] { keep_history(log); });
  try_to_save([&] { save("last.safetensors", true); });
}

// The better of the two, the weights or their average.
void Trainer::save_weights(const std::string& name, const EpochLog& log) {
  if (best_top1(log) > log.test_acc1)
    with_averages([&] { save(name, false, "average"); });
  else
    save(name, false);
}

// Of the epochs in the log the best --checkpoint-hist, each in a file of its own; of equals the
// earlier.
void Trainer::keep_history(const EpochLog& log) {
  namespace fs = std::filesystem;
  auto file = [](int64_t epoch) { return str("checkpoint-", epoch, ".safetensors"); };
  std::vector<EpochLog> ranked = read_log(folder_ / "log.jsonl");
  std::stable_sort(ranked.begin(), ranked.end(), [](const EpochLog& a, const EpochLog& b) {
    return best_top1(a) > best_top1(b);
  });
  for (size_t rank = 0; rank < ranked.size(); ++rank)
    if (int64_t(rank) >= options_.checkpoint_hist)
      fs::remove(folder_ / file(ranked[rank].epoch));
    else if (ranked[rank].epoch == log.epoch)
      save_weights(file(log.epoch), log);
}

// f on a model that holds the averages.
void Trainer::with_averages(const std::function<void()>& f) {
  struct Swapped {
    Optimizer& optimizer;
    explicit Swapped(Optimizer& o) : optimizer(o) { optimizer.average().swap(); }
    ~Swapped() { optimizer.average().swap(); }
  } swapped(optimizer_);
  f();
}

// What a message about a run gone wrong ends with.
std::string Trainer::last_checkpoint() const {
  return str("training stopped, ",
             saved_once_ ? str("the last checkpoint is kept in ", folder_.path())
                         : "there is no checkpoint yet",
             "; lower --lr, lengthen --warmup-epochs, or limit the gradients with --clip-grad 1");
}

// Those met for the first time since the last call.
void Trainer::note_bad_images() {
  for (auto [loader, seen] : {std::pair{&train_, &bad_seen_[0]}, std::pair{&test_, &bad_seen_[1]}})
    for (; *seen < loader->bad().size(); ++*seen) {
      const data::BadImage& bad = loader->bad()[*seen];
      progress_.now.bad_images.push_back(bad.path + ": " + bad.reason);
      std::cerr << "bad image, replaced by the next: " << progress_.now.bad_images.back() << "\n";
    }
}

void Trainer::save(const std::string& name, bool resumable, const std::string& weights) {
  Archive archive = model_archive(model_, {options_.model, classes_, to_json(options_), weights});
  if (resumable) add_optimizer(archive, optimizer_, progress_, counts_);
  write_safetensors(folder_ / name, archive);
  saved_once_ |= resumable;
}

void Trainer::try_to_save(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    std::cerr << "warning: " << e.what() << "; training goes on, what was saved before is kept"
              << std::endl;
    saved_all_ = false;
  }
}

}  // namespace rmt::train

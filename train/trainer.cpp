#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "train/memory.h"
#include "train/model_file.h"
#include "train/schedule.h"

namespace rmt {

static const char* non_finite(double x) { return std::isnan(x) ? "nan" : "infinite"; }  // printed, a nan may carry a sign

LoaderOptions loader_options(const TrainOptions& o, bool train, const Compute& compute) {
  LoaderOptions l;
  l.batch_size = train || o.validation_batch_size == 0 ? o.batch_size : o.validation_batch_size;
  l.workers = int(o.workers);
  l.seed = o.seed;
  l.train = train;
  l.repeats = train ? o.aug_repeats : 1;
  l.bytes = compute.device == Device::cuda;
  l.max_bad = o.max_bad_images;
  l.transform = transform_options(o);
  return l;
}

Metrics evaluate(nn::Module& model, const Forward& forward, Loader& loader, const Compute& compute, const TransformOptions& transform, const char* flag,
                 const std::function<void(const Batch&, const Tensor& logits)>& seen) {
  NoGrad off;
  model.mode().training = false;
  Metrics metrics;
  auto logits = [&](const Batch& batch) { return forward(compute.images(batch, transform)).to(Device::cpu).to(DType::f32); };
  loader.start(0);
  while (auto batch = loader.next()) try {
      const Tensor z = logits(*batch);
      metrics.add(z, batch->labels);
      if (seen) seen(*batch, z);
    } catch (const OutOfMemory& e) {
      const Tensor& x = batch->images;
      advise(e, str("evaluation of ", x.dim(0), " images of ", x.dim(1), " x ", x.dim(2)), flag, x.dim(0), [&](int64_t n) { logits(first(*batch, n)); });
    }
  return metrics;
}

Trainer::Trainer(nn::Module& model, Forward forward, const Dataset& train, const Dataset& test, const TrainOptions& options, std::ostream& out,
                 const Compute& compute)
    : model_(model),
      forward_(std::move(forward)),
      options_(options),
      compute_(compute),
      train_(train, loader_options(options, true, compute)),
      test_(test, loader_options(options, false, compute)),
      classes_(train.classes()),
      optimizer_(model.parameters(), {.weight_decay = options.weight_decay}),
      step_(model, forward_, optimizer_, compute,
            {.smoothing = options.smoothing, .graph = options.cuda_graph, .seed = options.seed, .transform = transform_options(options)}),
      out_(out) {}

void Trainer::resume(const Archive& archive) {
  load_model(model_, archive, options_.model);
  if (compute_.dtype != DType::f32) model_.make_shadows(compute_.dtype);
  progress_ = load_optimizer(optimizer_, archive);
}

bool Trainer::run(const RunFolder& folder) {
  folder_ = folder;
  folder_.truncate_log(progress_.epoch);
  if (progress_.epoch >= options_.epochs) out_ << "all " << options_.epochs << " epochs are done; --epochs adds more" << std::endl;
  line_ = ProgressLine(options_.log_interval, (options_.epochs - progress_.epoch) * train_.batches());
  for (int64_t epoch = progress_.epoch; epoch < options_.epochs; ++epoch) {
    EpochLog log = train_epoch(epoch);
    Metrics test = evaluate(model_, forward_, test_, compute_, transform_options(options_), "--validation-batch-size");
    CHECK(std::isfinite(test.loss()), "the test loss is ", non_finite(test.loss()), " after epoch ", epoch, ": ", last_checkpoint());
    finish_epoch(std::move(log), test);
  }
  return saved_all_;
}

EpochLog Trainer::train_epoch(int64_t epoch) {
  const Schedule schedule = schedule_of(options_);
  const int64_t steps = train_.batches();
  double loss_sum = 0, lr_sum = 0, loss = 0, lr = 0;
  int64_t images = 0, i = 0, known = 0;  // steps, and losses known so far
  auto note = [&](const std::vector<double>& losses) {
    for (double value : losses) check_loss(value, epoch * steps + known, lr), loss_sum += value, loss = value, ++known;
  };
  Stopwatch clock;
  train_.start(epoch);
  for (; auto batch = train_.next(); ++i) {
    int64_t t = epoch * steps + i;
    lr = options_.sched_on_updates ? lr_of_step(schedule, t, steps) : lr_of_epoch(schedule, epoch);
    note(step_(*batch, t, lr));
    lr_sum += lr, images += batch->labels.numel();
    double seconds = clock.seconds();
    line_.show({epoch, options_.epochs, i, steps, loss, loss_sum / double(std::max<int64_t>(known, 1)), lr, double(images) / seconds,
                train_.wait_seconds() / seconds});
  }
  note(step_.finish());
  line_.clear();
  double n = double(std::max<int64_t>(i, 1)), seconds = clock.seconds();
  return {.epoch = epoch,
          .n_parameters = model_.parameter_count(),
          .train_loss = loss_sum / n,
          .train_lr = lr_sum / n,
          .seconds = seconds,
          .images_per_s = double(images) / seconds};
}

void Trainer::check_loss(double loss, int64_t t, double lr) const {
  CHECK(std::isfinite(loss), "the loss is ", non_finite(loss), " at step ", t, ", learning rate ", lr, ": ", last_checkpoint());
}

void Trainer::finish_epoch(EpochLog log, const Metrics& test) {
  log.test_loss = test.loss(), log.test_acc1 = test.acc1(), log.test_acc5 = test.acc5();
  note_bad_images(log);
  bool best = log.test_acc1 > progress_.best_acc1;
  progress_.epoch = log.epoch + 1;
  if (best) progress_.best_acc1 = log.test_acc1, progress_.best_epoch = log.epoch;

  std::ostringstream text;
  text << std::fixed << std::setprecision(4) << "epoch " << log.epoch + 1 << "/" << options_.epochs << "  train loss " << log.train_loss << "  test loss "
       << log.test_loss << std::setprecision(2) << "  top-1 " << log.test_acc1 << " %  top-5 " << log.test_acc5 << " %  " << std::setprecision(1)
       << log.images_per_s << " img/s  " << log.seconds << " s" << (best ? "  best" : "");
  out_ << text.str() << std::endl;

  // The log first and the last checkpoint at the end: a run that is killed in between does the epoch again and takes its line back.
  try_to_save([&] { folder_.append(log); });
  if (best) try_to_save([&] { save("best.safetensors", false); });
  try_to_save([&] { save("last.safetensors", true); });
}

// What a message about a run gone wrong ends with.
std::string Trainer::last_checkpoint() const {
  std::string kept =
      progress_.epoch ? str("the last checkpoint, of epoch ", progress_.epoch - 1, ", is kept in ", folder_.path()) : "there is no checkpoint yet";
  return str("training stopped, ", kept, "; lower --lr or lengthen --warmup-epochs");
}

// Those met for the first time in this epoch.
void Trainer::note_bad_images(EpochLog& log) {
  for (auto [loader, seen] : {std::pair{&train_, &bad_seen_[0]}, std::pair{&test_, &bad_seen_[1]}})
    for (; *seen < loader->bad().size(); ++*seen) {
      const BadImage& bad = loader->bad()[*seen];
      log.bad_images.push_back(bad.path + ": " + bad.reason);
      std::cerr << "bad image, replaced by the next: " << log.bad_images.back() << "\n";
    }
}

void Trainer::save(const std::string& name, bool resumable) {
  Archive archive = model_archive(model_, {options_.model, classes_, to_json(options_)});
  if (resumable) add_optimizer(archive, optimizer_, progress_);
  write_safetensors(folder_ / name, archive);
}

void Trainer::try_to_save(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    std::cerr << "warning: " << e.what() << "; training goes on, what was saved before is kept" << std::endl;
    saved_all_ = false;
  }
}

}  // namespace rmt

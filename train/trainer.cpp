#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <iostream>

#include "nn/models/registry.h"
#include "train/agreement.h"
#include "train/part_options.h"
#include "train/stop.h"

namespace rmt::train {

// --- the loop ---

bool Trainer::run(const RunFolder& folder) {
  const StopSignals catch_signals;
  check_processes();
  saving_.open(folder);
  report_.begin_run(progress_);
  while (progress_.epoch < options_.epochs && !stopped_) {
    begin_epoch();
    while (progress_.now.steps < steps_ && !stopped_) {
      const int64_t step = progress_.epoch * steps_ + progress_.now.steps;
      const double lr = learning_rate(step);
      const std::vector<data::Batch> batches = next_batches(step);
      count(train_step_(batches, step, lr));  // forward, loss, backward, update: step.cpp
      note_step(lr);                          // the progress line
      stop_or_save();                         // a signal, or --recovery-interval
    }
    if (stopped_) break;
    count(train_step_.finish());  // a GPU tells of a step while it runs the next one
    if (std::optional<EpochLog> log = evaluate_epoch()) finish_epoch(std::move(*log));
  }
  return saving_.saved_all();
}

double Trainer::learning_rate(int64_t step) const {
  return options_.sched_on_updates ? lr_of_step(schedule_, step, steps_)
                                   : lr_of_epoch(schedule_, progress_.epoch);
}

// --- what the loop is made of ---

namespace {

// The first process alone shows progress.
TrainOptions report_options(TrainOptions o, const Processes& processes) {
  if (!processes.is_first()) o.log_interval = 0;
  return o;
}

std::string classifier_of(const nn::Module& model) {
  const auto* classifier = dynamic_cast<const nn::Classifier*>(&model);
  return classifier ? classifier->classifier() : "head";
}

// The name of a number that is not finite: printed as it is, a nan may carry a sign.
const char* non_finite(double x) { return std::isnan(x) ? "nan" : "infinite"; }

}  // namespace

Trainer::Trainer(nn::Module& model, std::unique_ptr<Task> task, const TrainOptions& options,
                 std::ostream& out, const Compute& compute, const std::string& classifier)
    : model_(model),
      task_(std::move(task)),
      options_(options),
      compute_(compute),
      schedule_(schedule_of(options)),
      counts_(task_->counts()),
      steps_(task_->training().batches() / options.grad_accum_steps),
      optimizer_(
          model.parameters(), optimizer_options(options),
          parameter_rules(model.parameters(), options, classifier, batch_norms(model.state())),
          model.state()),
      train_step_(model, nullptr, optimizer_, compute,
                  {.graph = options.cuda_graph && task_->recordable(),
                   .objective = [this](const Tensor& images,
                                       const data::Batch& b) { return task_->losses(images, b); },
                   .seed = options.seed,
                   .transform = task_->transform()}),
      report_(report_options(options, *compute.processes), steps_, counts_.classes, out),
      saving_(model, optimizer_, progress_, options, task_->classes(), counts_,
              compute.processes->is_first()),
      bad_train_(options.max_bad_images, *compute.processes),
      bad_test_(options.max_bad_images, *compute.processes) {
  CHECK(steps_ > 0, task_->place(), " has ", counts_.train_images, " images, ",
        task_->training().batches(), " batches of --batch-size ", options.batch_size,
        options.processes > 1 ? " in each process" : "", ", fewer than one step of ",
        "--grad-accum-steps ", options.grad_accum_steps, "; give a smaller --batch-size or fewer");
  CHECK(options.processes == compute.processes->size(), "trainer: options.processes is ",
        options.processes, ", there are ", compute.processes->size());
  if (options.sync_bn && options.processes > 1) model.mode().processes = compute.processes;
}

Trainer::Trainer(nn::Module& model, Forward forward, const data::Dataset& train,
                 const data::Dataset& test, const TrainOptions& options, std::ostream& out,
                 const Compute& compute, const Loss& loss, const data::LabelMaps* labels)
    : Trainer(model,
              std::make_unique<Classification>(model, forward, train, test, options, compute, loss,
                                               labels),
              options, out, compute, classifier_of(model)) {}

Trainer::Trainer(nn::Classifier& model, const data::Dataset& train, const data::Dataset& test,
                 const TrainOptions& options, std::ostream& out, const Compute& compute,
                 const Loss& loss, const data::LabelMaps* labels)
    : Trainer(
          model, [&model](const Tensor& images) { return model.forward(images); }, train, test,
          options, out, compute, loss, labels) {
  CHECK(nn::knows_model(options.model), "trainer: options.model is \"", options.model,
        "\", under which no model is registered (nn/models/registry.h); a checkpoint of that name "
        "could not be read again");
}

void Trainer::resume(const Archive& archive, bool force) {
  load_model(model_, archive, options_.model);
  if (compute_.dtype != DType::f32) model_.make_shadows(compute_.dtype);
  optimizer_.begin_again();
  progress_ = load_optimizer(optimizer_, archive);
  saving_.resumed();

  if (!force) check_same_data(archive, task_->classes(), counts_, options_.data_dir);
  const DataCounts then = data_counts(archive);
  EpochSums& now = progress_.now;
  // Here the run is forced on: other images come in another order, so their epoch begins again.
  const bool other_sum =
      !then.train_checksum.empty() && then.train_checksum != counts_.train_checksum;
  if (then.classes > 0 && (then.train_images != counts_.train_images || other_sum)) now = {};
  if (now.steps == 0 || now.images == now.steps * images_a_step(options_)) return;
  CHECK(force, archive.path, ": stands after ", now.steps, " steps of ", now.images / now.steps,
        " images in epoch ", progress_.epoch + 1, ", a step is ", images_a_step(options_),
        " now; give back --batch-size, --grad-accum-steps and the number of processes, or "
        "--force-resume to begin that epoch again");
  now = {};
}

void Trainer::check_processes() {
  if (options_.processes == 1) return;
  std::vector<Tensor> weights;
  for (const nn::Entry& e : model_.state()) weights.push_back(*e.tensor);
  std::string classes;
  for (const std::string& name : task_->classes()) classes += name + "\n";
  check_agreement(*compute_.processes,
                  {{"options", to_json(options_)},
                   {"training images", str(counts_.train_images, counts_.train_checksum, classes)},
                   {"validation images", str(counts_.test_images, counts_.test_checksum)},
                   {"devices or numbers", str(compute_.device, compute_.dtype)},
                   {"weights", hash_of(weights)},
                   {"progress", str(progress_.epoch, " ", progress_.now.steps)}});
}

// Starts the loader after the batches that the epoch's finished steps have used: none, unless a
// resumed run goes on in the middle of an epoch.
void Trainer::begin_epoch() {
  report_.begin_epoch(progress_.now);
  task_->training().start(progress_.epoch, progress_.now.steps * options_.grad_accum_steps);
}

// The batches of one step, which the run folder shows if it is the run's first.
std::vector<data::Batch> Trainer::next_batches(int64_t step) {
  std::vector<data::Batch> batches;
  for (int64_t i = 0; i < options_.grad_accum_steps; ++i)
    batches.push_back(*task_->training().next());
  if (step == 0) saving_.first_batch(task_->pictures(batches[0], 24));
  return batches;
}

// Counts a step that was begun, and shows it; its loss is counted when it is known, by count().
void Trainer::note_step(double lr) {
  EpochSums& now = progress_.now;
  ++now.steps;
  now.images += images_a_step(options_);
  now.lr += lr;
  for (const auto& [name, value] : train_step_.parts())
    if (std::isfinite(value)) now.parts[name] += value;
  report_.step(progress_.epoch, now, lr, last_loss_, task_->training().wait_seconds());
}

// Adds the losses of the steps that moved the parameters. A step with a loss or a gradient that is
// not finite was skipped; too many of these in a row end the run.
void Trainer::count(const std::vector<Verdict>& verdicts) {
  EpochSums& now = progress_.now;
  for (const Verdict& v : verdicts) {
    const int64_t step = progress_.epoch * steps_ + now.judged++;
    last_loss_ = double(v.loss);
    if (v.finite()) {
      now.loss += last_loss_;
      progress_.skipped_in_a_row = 0;
      saving_.step_counted();
      continue;
    }
    ++now.skipped;
    ++progress_.skipped_in_a_row;
    const std::string what =
        !std::isfinite(v.loss) ? str("the loss is ", non_finite(v.loss))
        : v.bad_parameter >= 0
            ? str("the gradient of ", optimizer_.slots()[v.bad_parameter].name, " is not finite")
            : "the norm of the gradients is infinite";
    report_.skipped(step, what, progress_.skipped_in_a_row);
    CHECK(progress_.skipped_in_a_row <= options_.max_skipped_steps, what, " at step ", step, ", ",
          progress_.skipped_in_a_row, " in a row: ", saving_.advice());
  }
}

// Between two steps: stops if a signal asked for it, saves if --recovery-interval says so.
void Trainer::stop_or_save() {
  const int64_t steps = progress_.now.steps;
  if (asked_to_stop()) return stop();
  if (options_.recovery_interval == 0 || steps % options_.recovery_interval != 0) return;
  if (steps == steps_) return;  // the end of the epoch saves
  count(train_step_.finish());
  saving_.inside_epoch();
}

// Has any process got a signal? All are asked, and so all stop at the same place.
bool Trainer::asked_to_stop() const { return any(*compute_.processes, StopSignals::requested()); }

// Ends the run between two steps or epochs, and saves all that is needed to go on from there.
void Trainer::stop() {
  stopped_ = true;
  count(train_step_.finish());
  report_.clear();
  note_bad_images();
  const bool saved = saving_.last();
  const bool between = progress_.now.steps == 0;
  report_.line() << "stopped by " << StopSignals::name() << " after "
                 << (between ? str("epoch ", progress_.epoch)
                             : str("step ", progress_.now.steps, " of ", steps_, " in epoch ",
                                   progress_.epoch + 1))
                 << (saved ? "" : ", which is not saved")
                 << (saving_.has_checkpoint() ? "; go on with --resume " + saving_.folder().path()
                                              : "; there is no checkpoint yet")
                 << std::endl;
}

// Tests the weights and, where the run keeps one, their average. A signal in the meantime stops the
// run and leaves nothing: the epoch's steps stay done, and the resumed run tests again.
std::optional<EpochLog> Trainer::evaluate_epoch() {
  report_.clear();
  const EpochSums& now = progress_.now;
  const double steps = double(std::max<int64_t>(now.steps, 1));
  const double counted = double(std::max<int64_t>(now.judged - now.skipped, 1));
  EpochLog log{.epoch = progress_.epoch,
               .n_parameters = model_.parameter_count(),
               .train_loss = now.loss / counted,
               .train_lr = now.lr / steps,
               .seconds = now.seconds,
               .images_per_s = double(now.images) / now.seconds,
               .skipped_steps = now.skipped};
  for (const auto& [name, sum] : now.parts) log.parts.push_back({name, sum / counted});
  const bool tested = test(log);
  if (!asked_to_stop() && tested) return log;
  stop();
  return std::nullopt;
}

// Both results into the log; false where a signal has ended it early.
bool Trainer::test(EpochLog& log) {
  TestedWeights weights(optimizer_);
  const auto results = task_->test(weights, [] { return !StopSignals::requested(); });
  if (!results) return false;
  for (const TestResult& r : *results)
    CHECK(std::isfinite(r.loss), "the test loss is ", non_finite(r.loss), " after epoch ",
          progress_.epoch, ": ", saving_.advice());
  log.test = (*results)[0];
  if (results->size() > 1) log.test_ema = (*results)[1];
  return true;
}

// Prints, logs and saves the epoch, and moves on to the next one.
void Trainer::finish_epoch(EpochLog log) {
  note_bad_images();
  log.bad_images = progress_.now.bad_images;
  const bool best = best_score(log) > progress_.best_acc1;
  if (best) {
    progress_.best_acc1 = best_score(log);
    progress_.best_epoch = log.epoch;
    progress_.best_is_average = best_score(log) > log.test.score();
  }
  ++progress_.epoch;
  progress_.now = {};
  report_.epoch(log, best, saving_.folder().compare());
  saving_.epoch(log, best);
}

// Logs and prints the bad images of both loaders, in whichever process, that were met since the
// last call.
void Trainer::note_bad_images() {
  for (auto [loader, images] :
       {std::pair{&task_->training(), &bad_train_}, std::pair{&task_->validation(), &bad_test_}})
    for (const data::BadImage& bad : images->next(*loader)) {
      progress_.now.bad_images.push_back(bad.path + ": " + bad.reason);
      std::cerr << "bad image, replaced by the next: " << printable(progress_.now.bad_images.back())
                << "\n";
    }
}

}  // namespace rmt::train

#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <sstream>

#include "core/error.h"

namespace rmt::train {
namespace {

// t, warmup and total in the same unit.
double lr_at(const Schedule& s, double t, double warmup, double total) {
  if (t < warmup) return s.warmup_lr + t * (s.lr - s.warmup_lr) / warmup;
  return s.min_lr + 0.5 * (s.lr - s.min_lr) * (1 + std::cos(std::numbers::pi * t / total));
}

// Of poly and step.
double falling_lr(const Schedule& s, int64_t step, int64_t steps_per_epoch) {
  const double t = double(step), T = s.epochs * double(steps_per_epoch);
  double lr = s.lr;
  if (s.falling == Falling::poly)
    lr = (s.lr - s.min_lr) * std::pow(1 - t / T, s.power) + s.min_lr;
  else
    for (int64_t epoch : s.milestones)
      if (step >= epoch * steps_per_epoch) lr *= 0.1;
  if (step < s.warmup_steps) lr *= 1 - (1 - t / double(s.warmup_steps)) * (1 - s.warmup_ratio);
  return lr;
}

}  // namespace

std::vector<int64_t> milestones_of(const std::string& text) {
  std::vector<int64_t> epochs;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    const bool digits = !part.empty() && part.size() < 10 &&
                        part.find_first_not_of("0123456789") == std::string::npos;
    CHECK(digits && (epochs.empty() || std::stoll(part) > epochs.back()), "--milestones ", text,
          ": give epochs that grow, separated by commas, as in 8,11");
    epochs.push_back(std::stoll(part));
  }
  return epochs;
}

Schedule schedule_of(const TrainOptions& options) {
  const TrainOptions o = resolved(options);
  return {.lr = o.lr,
          .min_lr = o.min_lr,
          .warmup_lr = o.warmup_lr,
          .epochs = double(o.epochs),
          .warmup_epochs = o.warmup_epochs,
          .falling = o.sched == "poly"   ? Falling::poly
                     : o.sched == "step" ? Falling::step
                                         : Falling::cosine,
          .power = o.poly_power,
          .milestones = milestones_of(o.milestones),
          .warmup_steps = o.warmup_steps,
          .warmup_ratio = o.warmup_ratio};
}

double lr_of_epoch(const Schedule& s, int64_t epoch) {
  return lr_at(s, double(std::max<int64_t>(epoch - 1, 0)), s.warmup_epochs, s.epochs);
}

double lr_of_step(const Schedule& s, int64_t step, int64_t steps_per_epoch) {
  if (s.falling != Falling::cosine) return falling_lr(s, step, steps_per_epoch);
  double n = double(steps_per_epoch);
  return lr_at(s, double(step), s.warmup_epochs * n, s.epochs * n);
}

std::string schedule_table(const TrainOptions& options) {
  const Schedule s = schedule_of(options);
  std::string table;
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    char line[64];
    std::snprintf(line, sizeof line, "%lld %.10g\n", static_cast<long long>(epoch),
                  options.sched_on_updates ? lr_of_step(s, epoch, 1) : lr_of_epoch(s, epoch));
    table += line;
  }
  return table;
}

}  // namespace rmt::train

#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>

namespace rmt::train {
namespace {

// t, warmup and total in the same unit.
double lr_at(const Schedule& s, double t, double warmup, double total) {
  if (t < warmup) return s.warmup_lr + t * (s.lr - s.warmup_lr) / warmup;
  return s.min_lr + 0.5 * (s.lr - s.min_lr) * (1 + std::cos(std::numbers::pi * t / total));
}

}  // namespace

Schedule schedule_of(const TrainOptions& options) {
  const TrainOptions o = resolved(options);
  return {o.lr, o.min_lr, o.warmup_lr, double(o.epochs), o.warmup_epochs};
}

double lr_of_epoch(const Schedule& s, int64_t epoch) {
  return lr_at(s, double(std::max<int64_t>(epoch - 1, 0)), s.warmup_epochs, s.epochs);
}

double lr_of_step(const Schedule& s, int64_t step, int64_t steps_per_epoch) {
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

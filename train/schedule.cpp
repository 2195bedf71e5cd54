#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace rmt {
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

double lr_of_epoch(const Schedule& s, int64_t epoch) { return lr_at(s, double(std::max<int64_t>(epoch - 1, 0)), s.warmup_epochs, s.epochs); }

double lr_of_step(const Schedule& s, int64_t step, int64_t steps_per_epoch) {
  double n = double(steps_per_epoch);
  return lr_at(s, double(step), s.warmup_epochs * n, s.epochs * n);
}

}  // namespace rmt

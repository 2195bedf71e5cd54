// The learning rate as a pure function of progress (RMT.md 4.2). Both are a linear warm-up from
// warmup_lr to lr, then the cosine from lr to min_lr over the whole run; the cosine is not shifted
// by the warm-up.
#pragma once
#include "train/options.h"

namespace rmt::train {

struct Schedule {
  double lr = 2e-3, min_lr = 1e-5, warmup_lr = 1e-6;
  double epochs = 300, warmup_epochs = 5;
};

// The one of a run, its rules worked out.
Schedule schedule_of(const TrainOptions& options);

// The official code's rate in epoch e = 0, 1, ...: constant within the epoch and one epoch late,
// because it sets the rate after the epoch and with that epoch's own index; epochs 0 and 1 both run
// at warmup_lr.
double lr_of_epoch(const Schedule& schedule, int64_t epoch);

// "epoch rate" a line for every epoch of the run: its rate where the rate moves by epochs, else
// that of its first step.
std::string schedule_table(const TrainOptions& options);

// The rate of optimizer step t = 0, 1, ... of epochs * steps_per_epoch.
double lr_of_step(const Schedule& schedule, int64_t step, int64_t steps_per_epoch);

}  // namespace rmt::train

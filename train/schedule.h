// The learning rate as a pure function of progress (nn/rmt/README.md, "The recipe"): a linear
// warm-up, then a cosine over the whole run, which the warm-up does not shift.
//
//      lr |     .---.
//         |    /     `-.          t < warm-up:  warmup_lr + (lr - warmup_lr) t / warm-up
//         |   /         `.        after it:     min_lr + (lr - min_lr) (1 + cos(pi t / T)) / 2
//         |  /            `-.
//  min_lr | /                `---
//         +------|--------------|-- t
//             warm-up           T
//
// t counts steps, or epochs as the official code does; T is their number in the run.
//
// Segmentation and detection have others (--sched), counted in steps:
//
//   poly   r(t) = (lr - min_lr) (1 - t / T)^power + min_lr
//   step   r(t) = lr / 10^k, k of the milestones (epochs) reached
//
// and their warm-up multiplies r(t) by 1 - (1 - t / T_w) (1 - ratio) in its T_w steps.
#pragma once
#include <vector>

#include "train/options.h"

namespace rmt::train {

enum class Falling { cosine, poly, step };

struct Schedule {
  double lr = 2e-3;
  double min_lr = 1e-5;
  double warmup_lr = 1e-6;
  double epochs = 300;
  double warmup_epochs = 5;
  // Of poly and step.
  Falling falling = Falling::cosine;
  double power = 0.9;
  std::vector<int64_t> milestones = {};
  int64_t warmup_steps = 0;
  double warmup_ratio = 0.001;
};

// "8,11" -> {8, 11}. Error, which names --milestones, for anything but epochs that grow.
std::vector<int64_t> milestones_of(const std::string& text);

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

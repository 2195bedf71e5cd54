// How each parameter learns: the official weight-decay groups (RMT.md 4.1), and for fine-tuning
// frozen parameters and a rate that falls from the head down.
#pragma once
#include "nn/module.h"
#include "train/options.h"

namespace rmt::train {

struct ParameterRule {
  double lr_scale = 1;  // times the schedule's rate
  double weight_decay = 0;
  bool frozen = false;  // no gradient, no weight decay, no moving average
};

// The official groups (RMT.md 4.1): vectors, scalars and everything called bias are spared. gamma_1
// and gamma_2, of shape (1, 1, 1, C), do decay.
bool decays(const std::string& name, const Shape& shape);

// One rule a parameter, in their order.
//   weight_decay  the options', of those that decay
//   frozen        those that options.freeze names: beginnings of dotted names, by whole parts
//   ("layers.0" is not "layers.01"), or "body": all but the head lr_scale      layer_decay ^
//   (distance from the head), counted as timm counts for models of stages: the stem is layer 0, the
//   blocks are 1 to n in their
//                 order, a downsampling goes with the first block of the stage that it leads to,
//                 and proj, norm and head are layer n + 1, with scale 1
// Error when a name of options.freeze is the beginning of none (it tells the nearest), or when
// nothing is left to learn.
std::vector<ParameterRule> parameter_rules(const std::vector<nn::Entry>& parameters,
                                           const TrainOptions& options);

// The table of it for people, a line a group: what is in it, tensors, numbers, weight decay, rate.
std::string describe_groups(const std::vector<nn::Entry>& parameters,
                            const std::vector<ParameterRule>& rules);

}  // namespace rmt::train

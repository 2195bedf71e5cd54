// How each parameter learns: with weight decay or without, as in the official code
// (nn/rmt/README.md, "The recipe"), and for fine-tuning frozen, or at a rate that falls from the
// head down.
#pragma once
#include <set>
#include <string>

#include "nn/module.h"
#include "train/options.h"

namespace rmt::train {

struct ParameterRule {
  double lr_scale = 1;  // times the schedule's rate
  double weight_decay = 0;
  bool frozen = false;  // no gradient, no weight decay, no moving average
};

// Whether weight decay applies to a parameter. Vectors, scalars and everything called bias are
// spared, and so are the position embeddings and the class token of transformers; gamma_1 and
// gamma_2 do decay, since their shape is (1, 1, 1, C).
bool decays(const std::string& name, const Shape& shape);

// The layers among these parameters and buffers that keep running statistics: the batch norms.
std::set<std::string> batch_norms(const std::vector<nn::Entry>& state);

// One rule for each parameter, in their order.
//   weight_decay  the options' for those that decay, 0 for the others; --no-decay-of says what
//                 decays: decays() unless it is set
//   frozen        those that options.freeze names: beginnings of dotted names, by whole parts
//                 ("layers.0" does not name "layers.01"), or "body": all but the head; and
//                 with --bn frozen the batch norms whose names begin with "backbone."
//   lr_scale      layer_decay ^ (distance from the head), counted as timm counts for models of
//                 stages: the stem is layer 0, the blocks are 1 to n in their order, a downsampling
//                 goes with the first block of the stage that it leads to, and proj, norm and head
//                 are layer n + 1, with scale 1. Blocks are numbered parts, "blocks.3" or
//                 "layers.0.blocks.3". What stands before the first one is the stem, whose parts
//                 may be numbered if it is called "patch_embed" or "stem"; what stands between two
//                 goes with the second; the classifier is the head wherever it stands. So a
//                 constructor should add its parts in the order in which an image passes them
// Error when options.freeze has a name with which no parameter's begins (it tells the nearest), or
// when nothing is left to learn.
// `classifier` is the layer that --freeze body spares, the head (nn/classifier.h); `norms` the
// model's batch_norms(), for --bn and --no-decay-of.
std::vector<ParameterRule> parameter_rules(const std::vector<nn::Entry>& parameters,
                                           const TrainOptions& options,
                                           const std::string& classifier = "head",
                                           const std::set<std::string>& norms = {});

// These rules as a table for people. A line is a group of parameters that learn alike: weight
// decay, rate, number of tensors and of their elements, what they are.
std::string describe_groups(const std::vector<nn::Entry>& parameters,
                            const std::vector<ParameterRule>& rules);

}  // namespace rmt::train

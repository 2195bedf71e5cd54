// Recipes: named settings of a training run, laid under the flags that are given. Their values
// stand in the rows of train/settings.def, with the reasons at its head.
//   official      the official code's defaults, at the 2048 images a step of its logs
//   paper         what the paper states otherwise: 1024 images a step, a rate that moves every step
//   small-data    for tens of thousands of small images on a few cores
//   token-labels  the official code's for the models that are trained with token labels
//   finetune      for pretrained weights (--initial-checkpoint) on one's own images
#pragma once
#include <string>
#include <vector>

#include "train/options.h"

namespace rmt::train {

std::vector<std::string> recipe_names();

// The options with all that the recipe sets. Error, naming the nearest, for an unknown name.
TrainOptions with_recipe(const std::string& name, const TrainOptions& options);

// For people: all that the recipe sets, as flags; in a second line those flags whose values in
// `options` are others, with both values.
std::string describe_recipe(const std::string& name, const TrainOptions& options);

}  // namespace rmt::train

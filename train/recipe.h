// Recipes: named settings of a training run, laid under the flags that are given. train/recipe.cpp
// is the table, a row a flag.
//   official    the official code's defaults, at the 2048 images a step that its logs tell of
//   (RMT.md 4) paper       the same where the paper says nothing else: 1024 images a step, and the
//   rate moves with every step small-data  for tens of thousands of small images on a few cores
//   finetune    for pretrained weights (--initial-checkpoint) on one's own images
#pragma once
#include <string>
#include <vector>

#include "train/options.h"

namespace rmt::train {

std::vector<std::string> recipe_names();

// The options with all that the recipe sets. Error, naming the nearest, for an unknown name.
TrainOptions with_recipe(const std::string& name, const TrainOptions& options);

// For people: what the recipe set, as flags, and in a second line those of them that `options` have
// otherwise, with both values.
std::string describe_recipe(const std::string& name, const TrainOptions& options);

}  // namespace rmt::train

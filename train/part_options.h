// What a run's options ask of its parts: the loader's settings and the optimizer's.
#pragma once
#include "core/processes/processes.h"
#include "data/loader.h"
#include "train/optimizer.h"
#include "train/options.h"

namespace rmt::train {

// Of the loader of training images, or of that for evaluation. `labels`: the label maps of the
// training images; Error unless the options have what these need. Of several processes each has a
// part of the images.
data::LoaderOptions loader_options(const TrainOptions& options, bool train,
                                   const data::LabelMaps* labels = nullptr,
                                   const Processes& processes = alone());

OptimizerOptions optimizer_options(const TrainOptions& options);

}  // namespace rmt::train

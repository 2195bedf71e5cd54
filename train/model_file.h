// From options to a model, and from a file to a model with its weights.
#pragma once
#include <memory>

#include "data/transform.h"
#include "nn/rmt/model.h"
#include "train/checkpoint.h"
#include "train/options.h"

namespace rmt {

// The named model with the options' switches set. Error for an unknown name or switch.
nn::RmtConfig model_config(const TrainOptions& options, int64_t num_classes);
TransformOptions transform_options(const TrainOptions& options);

struct ModelFile {
  TrainOptions options;  // as the file records them; defaults for a file from elsewhere
  std::vector<std::string> classes;
  std::unique_ptr<nn::Rmt> model;

  std::string class_name(int64_t k) const { return size_t(k) < classes.size() ? classes[size_t(k)] : str("class ", k); }
};

// Reads a checkpoint, or the best one of a run folder. `model` names the architecture of a file that does not say it.
ModelFile load_model_file(const std::string& path, const std::string& model = "");

}  // namespace rmt

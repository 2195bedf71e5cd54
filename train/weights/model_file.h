// From options to a model, and from a file to a model with its weights.
#pragma once
#include <memory>
#include <optional>

#include "data/images/transform.h"
#include "nn/models/registry.h"
#include "nn/rmt/model.h"
#include "train/checkpoint.h"
#include "train/options.h"

namespace rmt::train {

// The options as a model's constructor is told them (nn/models/registry.h).
nn::ModelSettings model_settings(const TrainOptions& options, int64_t num_classes);
// The named model with the options' switches set, its parameters not initialised. Error for an
// unknown name or switch, and for one that the model does not have.
std::unique_ptr<nn::Classifier> make_model(const TrainOptions& options, int64_t num_classes);
// The same of a model of the RMT family as data.
nn::RmtConfig model_config(const TrainOptions& options, int64_t num_classes);
data::TransformOptions transform_options(const TrainOptions& options);

// Which model an archive holds: the one called `model`; where that is empty, the one that the file
// names; where it names none, the RMT that has its shapes (train/weights/recognise.h). Error,
// before anything is made of that size, for a name that this program does not know, for a file that
// holds less than half of the model's parameters, and for weights that are not finite.
struct ModelKind {
  // As the file records them, else the defaults; with this model and its switches in any case.
  TrainOptions options;
  int64_t num_classes = 0;
  std::optional<nn::RmtConfig> by_shapes;  // where the file does not name its model

  std::unique_ptr<nn::Classifier> make() const;
};
ModelKind model_kind(const Archive& archive, const std::string& model = "");

struct ModelFile {
  TrainOptions options;  // as the file records them; defaults for a file from elsewhere
  std::vector<std::string> classes;
  int64_t num_classes = 0;
  std::unique_ptr<nn::Classifier> model;
  // What the file is, in a line for people: "best.pth: rmt_t by its shapes, 1000 classes; weights
  // of \"model_ema\" (beside: model)".
  std::string origin;

  std::string class_name(int64_t k) const {
    return size_t(k) < classes.size() ? classes[size_t(k)] : str("class ", k);
  }
  // The model as an RMT, for what looks into one. Error, which says `what` asks, for another one.
  nn::Rmt& rmt(const std::string& what) const;
};

// Reads a checkpoint, the best one of a run folder, the model of a folder of rmt-convert's, or a
// file of PyTorch's (train/weights/pth.h): the bytes tell which it is. `model` names the
// architecture; empty: as the file says, or else by its shapes (train/weights/recognise.h).
ModelFile load_model_file(const std::string& path, const std::string& model = "");
ModelFile model_from(const Archive& archive, const std::string& model = "");

// The size of image to use: `asked`, or where that is 0 the one that the file records. Error for a
// recorded one above kMaxRecordedSize, which nobody has asked for.
constexpr int64_t kMaxRecordedSize = 2048;
void set_image_size(ModelFile& file, int64_t asked);

// The path of that file: best.safetensors or model.safetensors when `path` is a folder.
std::string weights_path(const std::string& path);

}  // namespace rmt::train

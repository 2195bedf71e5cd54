// A model as others expect to find it on a model hub: a folder of
//   model.safetensors   f32, the official parameter names
//   config.json         architecture, classes, and what an image must look like, in the fields of
//   timm/models/_hub.py README.md           the model card: YAML for the hub's search, then how to
//   load the weights, for people
#pragma once
#include "train/weights/model_file.h"

namespace rmt::train {

// The model's tensors alone, floating-point ones in f32, without what training needs. Of the
// metadata stays what rebuilds the model and names its classes; the folder of the training images
// does not.
Archive published_weights(const Archive& archive);

std::string hub_config(const ModelFile& file);
std::string hub_card(const ModelFile& file, const std::string& title);

// The three files' names and contents are written into `folder`, which is made. Error before
// anything is written when one of them exists, unless `force`.
void write_hub_folder(const std::string& folder, const Archive& archive, const ModelFile& file,
                      bool force);

// Error when there is something at `path` already, unless `force`.
void check_unused(const std::string& path, bool force);

}  // namespace rmt::train

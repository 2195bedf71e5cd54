// A model as others expect to find it on a model hub: a folder of
//   model.safetensors   f32, under the official parameter names
//   config.json         architecture, classes, and what an image must look like, in the fields of
//                       timm/models/_hub.py
//   README.md           the model card: YAML for the hub's search, then how to load the weights
#pragma once
#include "train/weights/model_file.h"

namespace rmt::train {

// The model's tensors alone, floating-point ones in f32, without what training needs. Of the
// metadata it keeps what rebuilds the model and names its classes, and leaves out the paths of the
// machine that trained it.
Archive published_weights(const Archive& archive);

std::string hub_config(const ModelFile& file);                          // config.json
std::string hub_card(const ModelFile& file, const std::string& title);  // README.md

// Makes `folder` and writes the three files into it. Error, before anything is written, when one of
// them exists, unless `force`.
void write_hub_folder(const std::string& folder, const Archive& archive, const ModelFile& file,
                      bool force);

// Error when there is something at `path` already, unless `force`.
void check_unused(const std::string& path, bool force);

}  // namespace rmt::train

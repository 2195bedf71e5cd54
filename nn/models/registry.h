// Models by name: what `--model NAME` may say, and what a checkpoint's "architecture" means. A
// model is one line, a name and a constructor. Those of the library are listed in registry.cpp; a
// program adds its own before main() begins:
//
//   static const nn::RegisterModel perceptron(
//       "perceptron", "one linear layer", [](const nn::ModelSettings& s) {
//         return std::make_unique<Perceptron>(s.img_size, s.num_classes);
//       });
//
// From then on training, resuming, fine-tuning, evaluation and conversion find it by that name, in
// this program. `make MODELS=perceptron.cpp` links such a file into all of the programs.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "nn/classifier.h"
#include "nn/rmt/config.h"

namespace rmt::nn {

// What a constructor is told. A model that has no use for a setting which is not at its default
// says so: the calls below are how.
struct ModelSettings {
  int64_t num_classes = 1000;
  int64_t img_size = 224;  // side of the images, for models with a position embedding
  double drop_path = -1;   // of the last block; below 0: the model's own
  bool recompute = false;  // blocks are computed again in backward, to save memory

  // Sets what the ablations switch (nn/rmt/config.h), for the models that have Manhattan attention.
  std::function<void(RmtConfig&)> ablate = [](RmtConfig&) {};
  // The flag of an ablation that is set, as in "--no-decay"; "" where none is.
  std::string ablation = {};

  // Error where an ablation, recomputing or drop path is asked of a model without such a thing.
  void expect_no_ablation(const std::string& model) const;
  void expect_no_recompute(const std::string& model) const;
  void expect_no_drop_path(const std::string& model) const;
};

// The config with what the settings say.
RmtConfig configured(RmtConfig config, const ModelSettings& settings);

struct ModelEntry {
  std::string name;   // letters, digits, '_', '-' and '.'
  std::string about;  // a few words, for lists
  std::function<std::unique_ptr<Classifier>(const ModelSettings&)> make;
};

// Makes a model known. Error for a name that is taken, empty, or of other characters.
void register_model(const ModelEntry& entry);

struct RegisterModel {
  RegisterModel(const std::string& name, const std::string& about,
                std::function<std::unique_ptr<Classifier>(const ModelSettings&)> make) {
    register_model({name, about, std::move(make)});
  }
};

// All of them, the library's first.
const std::vector<ModelEntry>& known_models();
bool knows_model(const std::string& name);

// The model of that name, its parameters not initialised. Error for an unknown name, which lists
// the known ones, and for settings that the model does not have.
std::unique_ptr<Classifier> make_model(const std::string& name, const ModelSettings& settings);

}  // namespace rmt::nn

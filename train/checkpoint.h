// Checkpoints: one safetensors file each. The model's parameters and buffers stand under their own names, so that any program that reads safetensors finds
// the official state_dict there; what training needs beside them stands under "optimizer.", and in the metadata.
#pragma once
#include "train/optimizer.h"
#include "train/safetensors.h"

namespace rmt {

// How far a run has come, between two epochs.
struct Progress {
  int64_t epoch = 0;      // epochs done
  double best_acc1 = -1;  // highest test_acc1 of them, in per cent; -1 before the first
  int64_t best_epoch = -1;
};

// What a file is and where it came from.
struct Description {
  std::string architecture;          // rmt_t, ...
  std::vector<std::string> classes;  // names, in the order of the logits
  std::string options;               // JSON of the TrainOptions that made it; empty for a file from elsewhere
};

Archive model_archive(nn::Module& model, const Description& description);
void add_optimizer(Archive& archive, AdamW& optimizer, const Progress& progress);

// Copies the archive's tensors into the model: all of them, or none and an Error that names the first key that differs and both shapes. Floating-point
// types are converted; "optimizer." is passed over. `architecture` is the model's, for the message.
void load_model(nn::Module& model, const Archive& archive, const std::string& architecture);
// Restores the optimizer and returns how far the run had come; Error when the archive has no optimizer or another model's.
Progress load_optimizer(AdamW& optimizer, const Archive& archive);

Description describe(const Archive& archive);

}  // namespace rmt

// Checkpoints: one safetensors file each. The model's parameters and buffers stand under their own
// names, so that any program that reads safetensors finds the official state_dict there; what
// training needs beside them stands under "optimizer.", and in the metadata.
#pragma once
#include <map>
#include <string>

#include "train/optimizer.h"
#include "train/weights/safetensors.h"

namespace rmt::train {

// What the steps of an epoch have added up to so far.
struct EpochSums {
  double loss = 0;                      // of the steps that counted
  std::map<std::string, double> parts;  // of the loss (train/objective.h), of all steps
  double lr = 0;
  double seconds = 0;
  int64_t steps = 0;
  int64_t images = 0;
  int64_t judged = 0;                   // steps whose verdict is known
  int64_t skipped = 0;                  // of them those that did not count (guard.h)
  std::vector<std::string> bad_images;  // "path: reason"
};

// How far a run has come: between two steps.
struct Progress {
  int64_t epoch = 0;  // epochs done, evaluation included
  EpochSums now;      // of the one after them
  int64_t skipped_in_a_row = 0;
  double best_acc1 = -1;  // highest top-1 of the epochs, in per cent; -1 before the first
  int64_t best_epoch = -1;
  bool best_is_average = false;  // it was reached by the averaged weights
};

// What a run reads. One that goes on must find the same.
struct DataCounts {
  int64_t classes = 0;
  int64_t train_images = 0;
  int64_t test_images = 0;
  std::string train_checksum = {}, test_checksum = {};  // data::checksum; "" in older files
};

// What a file is and where it came from.
struct Description {
  std::string architecture;          // rmt_t, ...
  std::vector<std::string> classes;  // names, in the order of the logits
  std::string options;  // JSON of the TrainOptions that made it; empty for a file from elsewhere
  std::string weights = "";  // "average" where they are the moving average, else empty
};

Archive model_archive(nn::Module& model, const Description& description);
void add_optimizer(Archive& archive, Optimizer& optimizer, const Progress& progress,
                   const DataCounts& data);

// Copies the archive's tensors into the model: all of them, or none and an Error that names the
// first key that differs and both shapes. Floating-point types are converted; "optimizer." is
// passed over. `architecture` is the model's, for the message.
void load_model(nn::Module& model, const Archive& archive, const std::string& architecture);
// Restores the optimizer, averages included, and returns how far the run had come; Error when the
// archive has no optimizer, another one (AdamW, SGD) or another model's. An archive without
// averages leaves them as they are.
Progress load_optimizer(Optimizer& optimizer, const Archive& archive);
DataCounts data_counts(const Archive& archive);
// Error, which names what differs, when the archive's run began with other classes or images than
// those in `place`. Older archives know less of theirs.
void check_same_data(const Archive& archive, const std::vector<std::string>& classes,
                     const DataCounts& now, const std::string& place);

Description description_of(const Archive& archive);

}  // namespace rmt::train

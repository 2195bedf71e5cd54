// Checkpoints of segmentation and detection: files whose options name a head (--head).
#pragma once
#include <functional>

#include "train/checkpoint.h"
#include "train/options.h"

namespace rmt::train {

struct DenseFile {
  Archive archive;
  TrainOptions options;              // as the file records them; model and head in any case
  std::vector<std::string> classes;  // names; of a file without them "class 0" ...
  bool named = true;                 // does the file name its classes?
  std::string origin;                // for people: the file, the model and how many classes
};

// How many classes the weights of such a head are for.
using ClassCount = std::function<int64_t(const Archive& archive, const std::string& head)>;

// Reads a checkpoint, the best one of a run folder, or official weights, which say nothing of
// themselves: `model` and `head` name them then, and `classes_in` counts the classes. Error for a
// file of another kind, which says by which program it is read, and for a head that is none of
// `heads`.
DenseFile read_dense_file(const std::string& path, const std::string& model,
                          const std::string& head, const std::vector<std::string>& heads,
                          const ClassCount& classes_in);

}  // namespace rmt::train

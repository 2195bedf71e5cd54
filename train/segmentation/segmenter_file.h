// A segmentation model from options, and from a file.
#pragma once
#include <memory>

#include "data/annotated.h"
#include "nn/segmentation/segmenter.h"
#include "train/compute.h"
#include "train/weights/dense_file.h"

namespace rmt::train {

// The options' head on their backbone; parameters are not initialised.
std::unique_ptr<nn::Segmenter> make_segmenter(const TrainOptions& options, int64_t classes);

struct SegmenterFile {
  TrainOptions options;
  std::vector<std::string> classes;
  std::unique_ptr<nn::Segmenter> model;
  std::string origin;  // what the file is, in a line for people
  bool named = true;   // does it name its classes? Otherwise they are "class 0" ...
};

// A checkpoint, the best one of a run folder, or official weights, which `model` and `head` name
// (train/weights/dense_file.h). Error for a file of another kind.
SegmenterFile load_segmenter(const std::string& path, const std::string& model = "",
                             const std::string& head = "");

// The class of every pixel of a photograph. The model is where compute.prepare() brought it.
data::LabelImage predict(SegmenterFile& file, const Compute& compute, const data::Image& image);

}  // namespace rmt::train

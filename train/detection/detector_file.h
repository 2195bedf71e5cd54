// A detector from options, and from a file.
#pragma once
#include <memory>

#include "data/images/image.h"
#include "nn/detection/detector.h"
#include "train/compute.h"
#include "train/detection/picture.h"
#include "train/weights/dense_file.h"

namespace rmt::train {

// The options' detector on its backbone; parameters are not initialised.
std::unique_ptr<nn::Detector> make_detector(const TrainOptions& options, int64_t classes);

// The names of its layers that have a row, or several, for each class.
std::vector<std::string> class_layers_of_detector(nn::Module& detector);

struct DetectorFile {
  TrainOptions options;
  std::vector<std::string> classes;
  std::unique_ptr<nn::Detector> model;
  std::string origin;  // what the file is, in a line for people
  bool named = true;   // does it name its classes? Otherwise they are "class 0" ...
};

// A checkpoint, the best one of a run folder, or official weights, which `model` and `head` name
// (train/weights/dense_file.h). Error for a file of another kind.
DetectorFile load_detector(const std::string& path, const std::string& model = "",
                           const std::string& head = "");

// What it finds in a photograph, the best first. The model is where compute.prepare() brought it.
std::vector<DrawnObject> find_objects(DetectorFile& file, const Compute& compute,
                                      const data::Image& image);

// One JSON object: image, and objects, a list of {class, score, box: [x, y, width, height]}.
std::string objects_json(const std::string& image, const std::vector<DrawnObject>& objects,
                         const std::vector<std::string>& classes);

}  // namespace rmt::train

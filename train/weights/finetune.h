// Fine-tuning: training that starts from weights which were trained on other images, perhaps of
// other classes or another size. No parameter's shape depends on the size of the images
// (nn/rmt/README.md, "The models"), so that only the head can differ.
#pragma once
#include "nn/classifier.h"
#include "train/groups.h"
#include "train/weights/model_file.h"

namespace rmt::train {

struct Pretrained {
  Archive weights;
  TrainOptions options;  // of its model; of its images too where the file records them
  bool knows_images;     // whether the file does
  std::vector<std::string> classes;
};

// Any file or folder that load_model_file() reads. `model` is what weights are taken for that do
// not say it and are no RMT's, as timm's are; "": such weights are an Error.
Pretrained read_pretrained(const std::string& path, const std::string& model = "");

// The options with the model and its switches of those weights and, where they are known, size,
// crop, mean and deviation of their images.
TrainOptions with_model_of(const Pretrained& pretrained, TrainOptions options);

// Copies the weights into an initialised model for images of these classes. The head's rows come
// along, put into the order of `classes` when the file names the same ones, and as they are when it
// names none and has as many; otherwise the model's own new head stays. So it goes with a token
// head ("aux_head") where both have one. Everything else must fit: else Error with the first key
// and both shapes. Returns lines for people: where the weights came from, what became of the heads,
// another image size.
std::vector<std::string> start_from(nn::Classifier& model, const Pretrained& pretrained,
                                    const std::vector<std::string>& classes,
                                    const TrainOptions& options);

// Error for flags of fine-tuning without weights to start from.
void check_fine_tuning(const TrainOptions& options);

// Freezes those of the parameters whose rules say so (autograd/tape.h, nn/norm.h).
void freeze(const std::vector<nn::Entry>& parameters, const std::vector<ParameterRule>& rules);

}  // namespace rmt::train

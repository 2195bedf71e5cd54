// What rmt-eval tells of a model beyond three numbers: where it errs most surely, and the result as
// JSON.
#pragma once
#include "data/dataset.h"
#include "data/images/image_grid.h"
#include "train/metrics.h"
#include "train/weights/model_file.h"

namespace rmt::train {

struct Mistake {
  int64_t index = 0;  // of the image in its dataset
  int64_t label = 0, predicted = 0;
  double confidence = 0;  // softmax of the predicted class, 0 to 1
};

// The n surest wrong answers, each image once.
class WorstMistakes {
 public:
  explicit WorstMistakes(int64_t n) : most_(size_t(n)) {}
  void add(const data::Batch& batch, const Tensor& logits);         // logits (B, K) f32 on the host
  const std::vector<Mistake>& sorted() const { return mistakes_; }  // the surest first

 private:
  size_t most_;
  std::vector<Mistake> mistakes_;
};

// "cat not dog 98 %": predicted, true, how sure.
std::string caption(const Mistake& mistake, const ModelFile& file);

// The mistakes as the network saw them, with their captions.
data::Image mistakes_picture(const std::vector<Mistake>& mistakes, const data::Dataset& images,
                             const ModelFile& file);

// One object under the names of timm's validate.py, in per cent: model, top1, top1_err, top5,
// top5_err, param_count (millions), img_size, crop_pct, interpolation; then loss, images,
// bad_images, data_dir and seconds.
std::string evaluation_json(const Metrics& metrics, const ModelFile& file, int64_t bad_images,
                            double seconds);

}  // namespace rmt::train

// Where a model errs most surely, for people to look at: wrong labels, two things on one image, or
// a class that it has learned by its background.
#pragma once
#include "data/dataset.h"
#include "data/images/image_grid.h"
#include "data/loader.h"
#include "train/weights/model_file.h"

namespace rmt::train {

struct Mistake {
  int64_t index = 0;  // of the image in its dataset
  int64_t label = 0;
  int64_t predicted = 0;
  double confidence = 0;  // softmax of the predicted class, 0 to 1
};

// The n surest wrong answers, each image once.
class WorstMistakes {
 public:
  explicit WorstMistakes(int64_t n) : most_(n) {}
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

}  // namespace rmt::train

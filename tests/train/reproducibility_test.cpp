// The bits of a training run depend neither on the threads that compute nor on those that load.
#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "core/parallel.h"
#include "data/loader.h"
#include "data/sets/drawings.h"
#include "data/sets/image_folder.h"
#include "nn/rmt/model.h"
#include "ops/cross_entropy.h"
#include "tests/train/folder.h"
#include "train/compute.h"
#include "train/optimizer.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

// The losses of 20 steps, then every parameter and running statistic.
std::vector<float> train(const ImageFolder& folder, int compute_threads, int loader_threads) {
  int before = threads();
  set_threads(compute_threads);
  nn::RmtConfig config = nn::rmt_config("rmt_n");
  config.num_classes = int64_t(folder.classes().size());
  config.drop_path = 0.2;
  nn::Rmt model(config);
  model.init(1);
  Optimizer optimizer(model.parameters(), {});
  LoaderOptions options;
  options.batch_size = 6, options.workers = loader_threads;
  options.transform.image_size = 64;
  Loader loader(folder, options);
  std::vector<float> bits;
  int64_t step = 0;
  for (int64_t epoch = 0; step < 20; ++epoch) {
    loader.start(epoch);
    for (; step < 20; ++step) {
      auto batch = loader.next();
      if (!batch) break;
      model.mode() = {.training = true, .seed = 3, .step = step};
      Tensor loss = ops::cross_entropy(model.forward(Compute{}.images(*batch, options.transform)),
                                       ops::smooth_one_hot(batch->labels, config.num_classes, 0.1));
      bits.push_back(loss.item<float>());
      model.zero_grad();
      backward(loss);
      optimizer.step(1e-3);
    }
  }
  set_threads(before);
  for (const nn::Entry& e : model.state())
    if (e.tensor->dtype() == DType::f32)
      for (float v : e.tensor->to_vector<float>()) bits.push_back(v);
  return bits;
}

}  // namespace

TEST(Reproducibility, TwentyStepsForAnyNumberOfThreadsAndWorkers) {
  TemporaryFolder place;
  std::string root = place / "drawings";
  draw_dataset(root, {.train_images = 80, .val_images = 10});
  ImageFolder folder(root, "train");
  std::vector<float> one = train(folder, 1, 1);
  EXPECT_NE(one[0], one[19]);
  for (auto [compute, load] : {std::pair{2, 1}, {1, 4}, {2, 4}, {3, 0}})
    EXPECT_TRUE(train(folder, compute, load) == one)
        << compute << " threads, " << load
        << " workers";  // == on floats: also every bit, but for the sign of 0
}

}  // namespace rmt::test

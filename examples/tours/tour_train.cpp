// Seventh tour: a training, whole, on one page. Images, model, loss, backward, AdamW, a checkpoint;
// what train/trainer.cpp adds to this loop is the outside world: signals, resumes, logs, GPUs.
//   build/bin/tour_train      draws 1000 images below build/tour_train
#include <cstdio>

#include "autograd/backward.h"
#include "data/loader.h"
#include "data/sets/drawings.h"
#include "nn/rmt/model.h"
#include "ops/cross_entropy.h"
#include "ops/normalize.h"
#include "train/metrics.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/weights/safetensors.h"

using namespace rmt;
// Bytes (B, S, S, 3) -> numbers of about mean 0 and deviation 1, colour by colour.
static Tensor numbers(const data::Batch& batch) {
  const ops::NormalizeOptions colours{{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
  return ops::normalize(batch.images, batch.mirror, colours, DType::f32);
}

static double top1(nn::Rmt& model, data::Loader& images) {
  NoGrad off;  // nothing is recorded
  model.mode().training = false;
  train::Metrics metrics;
  images.start(0);
  while (auto batch = images.next()) metrics.add(model.forward(numbers(*batch)), batch->labels);
  return metrics.acc1();
}

int main() {
  // The images, and loaders that make batches of them.
  data::draw_dataset("build/tour_train", {.train_images = 1000, .val_images = 200, .size = 32});
  const auto training = data::open_dataset("build/tour_train", "train");
  const auto validation = data::open_dataset("build/tour_train", "val", training->classes());
  const data::TransformOptions transform{.image_size = 32, .scale_min = 0.5, .crop_pct = 1};
  data::Loader train_loader(*training, {.batch_size = 50, .seed = 1, .transform = transform});
  data::Loader test_loader(*validation, {.batch_size = 50, .train = false, .transform = transform});

  // The model: the smallest RMT, with ten classes, and its first weights.
  nn::RmtConfig config = nn::rmt_config("rmt_n");
  config.num_classes = 10;
  nn::Rmt model(config);
  model.init(1);
  train::Optimizer optimizer(model.parameters(), {.adamw = {.weight_decay = 0.05}});

  const train::Schedule schedule{.lr = 2e-3, .epochs = 10, .warmup_epochs = 1};
  int64_t step = 0;
  for (int epoch = 0; epoch < 10; ++epoch) {
    double sum = 0;
    model.mode().training = true;
    train_loader.start(epoch);
    while (auto batch = train_loader.next()) {
      const Tensor target = ops::smooth_one_hot(batch->labels, 10, 0.1);  // (B, 10)
      const Tensor logits = model.forward(numbers(*batch));               // (B, 10)
      const Tensor loss = ops::cross_entropy(logits, target);             // ()
      model.zero_grad();
      backward(loss);
      optimizer.step(train::lr_of_step(schedule, step++, train_loader.batches()));
      sum += double(loss.item<float>());
    }
    std::printf("epoch %d  loss %.4f\n", epoch + 1, sum / double(train_loader.batches()));
  }
  const double learned = top1(model, test_loader);

  // A checkpoint is the list of the model's tensors under their names. Another model reads it.
  const std::string file = "build/tour_train/model.safetensors";
  train::Archive archive;
  for (const nn::Entry& e : model.state()) archive.tensors[e.name] = *e.tensor;
  train::write_safetensors(file, archive);
  nn::Rmt again(config);
  const train::Archive read = train::read_safetensors(file);
  for (const nn::Entry& e : again.state()) e.tensor->copy_from(read.at(e.name));
  const double reread = top1(again, test_loader);
  std::printf("top-1 of 200 drawings %.1f %%, chance is 10; of the model that was read back %.1f\n",
              learned, reread);
  return learned > 30 && reread == learned ? 0 : 1;
}

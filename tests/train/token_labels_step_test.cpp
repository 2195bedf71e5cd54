// A training step with token labels on the GPU: its losses are the CPU's, and the recorded step's
// bits are those of one that is not recorded.
#include <gtest/gtest.h>

#include "tests/check_op.h"
#include "tests/device.h"
#include "tests/train/tiny_model.h"
#include "train/token_labels.h"
#include "train/trainer.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

using TokenLabelsOnGpu = OnDevice;

// Images with label maps of 3 x 3 cells, crops of them, and a box of MixToken.
Batch labelled_batch(int64_t B, int64_t S, int64_t K, uint64_t seed) {
  Random random(seed, Purpose::test);
  Batch b;
  b.images = Tensor::empty({B, S, S, 3}, DType::u8);
  for (int64_t i = 0; i < b.images.numel(); ++i)
    b.images.data<uint8_t>()[i] = uint8_t(random.below(256));
  b.mirror = Tensor::zeros({B}, DType::u8);
  b.labels = Tensor::zeros({B}, DType::i64);
  b.label_values = randn({B, 3, 3, 2}, seed).to(DType::f32);
  b.label_classes = Tensor::empty({B, 3, 3, 2}, DType::i32);
  for (int64_t i = 0; i < B * 9; ++i) {
    const int32_t k = int32_t(random.below(uint64_t(K)));
    b.label_classes.data<int32_t>()[2 * i] = k;
    b.label_classes.data<int32_t>()[2 * i + 1] = (k + 1) % int32_t(K);
  }
  std::vector<double> boxes;
  for (int64_t i = 0; i < B; ++i) {
    const double left = random.uniform(0, 0.5), top = random.uniform(0, 0.5);
    for (double x : {left, top, left + 0.4, top + 0.5}) boxes.push_back(x);
  }
  b.label_boxes = Tensor::from<double>(boxes, {B, 4});
  b.mix = Tensor::from<double>({1, 0.75, double(seed % 2), 0, 1, 1}, {6});
  return b;
}

// Losses of `steps` steps, and the weights behind them.
std::pair<std::vector<double>, std::vector<float>> trained(const Compute& compute, bool graph,
                                                           int64_t steps) {
  nn::RmtConfig config = tiny();
  config.token_head = nn::TokenHead::tokens;
  config.num_classes = 5;
  nn::Rmt model(config);
  model.init(4);
  compute.prepare(model);
  // As in step_test.cpp: with a large eps gradients that are rounding alone move nothing.
  Optimizer optimizer(model.parameters(), {.adamw = {.eps = 1e-3}});
  TrainStep step(model, nullptr, optimizer, compute,
                 {.graph = graph, .objective = token_labels(model, {}), .seed = 11});
  std::vector<double> losses;
  auto note = [&](const std::vector<Verdict>& verdicts) {
    for (const Verdict& v : verdicts) losses.push_back(double(v.loss));
  };
  for (int64_t i = 0; i < steps; ++i) note(step(labelled_batch(4, 64, 5, uint64_t(i)), i, 1e-3));
  note(step.finish());
  std::vector<float> weights;
  for (const nn::Entry& e : model.parameters())
    for (float w : e.tensor->to(Device::cpu).to_vector<float>()) weights.push_back(w);
  return {losses, weights};
}

}  // namespace

// The loss is about 1.5 log 5 = 2.4. f32 sums in another order are within 1e-6 of the truth in the
// logits and 1e-5 in the gradients (tests/nn/parity_test.cpp), and four steps carry that along.
TEST_F(TokenLabelsOnGpu, TheStepIsTheCpus) {
  const Compute gpu{Device::cuda, DType::f32};
  const auto [here, weights] = trained({}, false, 4);
  const auto [there, weights_there] = trained(gpu, true, 4);
  ASSERT_EQ(here.size(), 4u);
  ASSERT_EQ(there.size(), 4u);
  for (size_t i = 0; i < here.size(); ++i) EXPECT_NEAR(here[i], there[i], 2e-5) << "step " << i;
  const auto [not_recorded, same_weights] = trained(gpu, false, 4);
  EXPECT_EQ(not_recorded, there);
  EXPECT_EQ(same_weights, weights_there);
}

TEST_F(TokenLabelsOnGpu, InBf16) {
  const auto losses = trained({Device::cuda, DType::bf16}, true, 3).first;
  const auto exact = trained({}, false, 3).first;
  // 8 significant bits: an error of a few thousandths in each of the logits that a loss is a mean
  // of, and of their order in the loss.
  for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], exact[i], 0.02);
}

}  // namespace rmt::test

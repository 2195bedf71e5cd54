// Small transformers of the plain kind: gradients with all that training switches on, windows
// against their definition, and the GPU's kernels.
#include <gtest/gtest.h>

#include <set>

#include "core/cuda/graph.h"
#include "nn/models/swin.h"
#include "nn/models/vit.h"
#include "tests/device.h"
#include "tests/nn/gradient_along.h"

namespace rmt::test {
namespace {

using nn::ModelSettings, nn::Swin, nn::SwinConfig, nn::Vit, nn::VitConfig, nn::Windows;

VitConfig small_vit(bool class_token) {
  return {.name = "vit",
          .patch = 0,
          .channels = 16,
          .blocks = 3,
          .heads = 2,
          .class_token = class_token};
}
// At 44 x 44: maps of 11, 6, 3 and 2 tokens a side, windows of 3, 3, 3 and 2.
SwinConfig small_swin() {
  return {
      .name = "swin", .channels = 8, .blocks = {2, 2, 1, 2}, .heads = {1, 2, 2, 4}, .window = 3};
}
ModelSettings training(bool recompute) {
  return {.num_classes = 7, .img_size = 44, .drop_path = 0.4, .recompute = recompute};
}

// A call for each small model, made with the settings.
void for_each_small(const ModelSettings& s, const std::function<void(nn::Classifier&)>& f) {
  ModelSettings whole_patches = s;
  whole_patches.img_size = 40;
  for (bool class_token : {true, false}) {
    SCOPED_TRACE(class_token ? "vit, class token" : "vit, mean");
    Vit vit(small_vit(class_token), whole_patches);
    f(vit);
  }
  SCOPED_TRACE("swin");
  Swin swin(small_swin(), s);
  f(swin);
}
Tensor images_for(nn::Classifier& model) {
  const int64_t S = dynamic_cast<Swin*>(&model) ? 44 : 40;
  return randn({2, S, S, 3}, 5);
}

}  // namespace

TEST(Transformers, GradientAlongARandomDirection) {
  for (bool recompute : {false, true})
    for_each_small(training(recompute), [](nn::Classifier& model) {
      prepare(model);
      expect_gradient_along_a_direction(model, images_for(model), randn({2, 7}, 6));
    });
}

// A model that recomputes repeats what it did, so every bit of its gradients is the same.
TEST(Transformers, RecomputingChangesNoGradient) {
  std::vector<std::vector<double>> gradients[2];
  for (bool recompute : {false, true})
    for_each_small(training(recompute), [&](nn::Classifier& model) {
      prepare(model);
      backward(ops::sum(model.forward(images_for(model))));
      for (const nn::Entry& e : model.parameters())
        gradients[recompute].push_back(grad(*e.tensor).to_vector<double>());
    });
  EXPECT_EQ(gradients[0], gradients[1]);
}

TEST(Transformers, DropPathGrowsFromBlockToBlock) {
  Swin swin(nn::swin_t(), {});
  int64_t index = 0;
  std::set<int64_t> numbers;
  for (const nn::SwinStage* stage : swin.stages)
    for (const auto* block : stage->blocks) {
      EXPECT_DOUBLE_EQ(block->drop.rate, 0.2 * double(index++) / 11);
      EXPECT_TRUE(numbers.insert(block->drop.block).second)
          << "two blocks would drop the same samples";
    }
  EXPECT_EQ(index, 12);
  Vit deit(nn::deit_s(), {});
  EXPECT_EQ(deit.blocks[0]->drop.rate, 0);
  EXPECT_DOUBLE_EQ(deit.blocks[5]->drop.rate, 0.1 * 5 / 11);
  EXPECT_EQ(deit.blocks[11]->drop.rate, 0.1);
  EXPECT_EQ(Swin(nn::swin_s(), {}).stages[3]->blocks[1]->drop.rate, 0.3);
}

// Every token comes to one place of one window, and back to its own.
TEST(Windows, JoinUndoesCut) {
  for (int64_t side : {1, 2, 3, 6, 7, 11})
    for (bool shifted : {false, true}) {
      const Windows windows(side, 3, shifted);
      const Tensor map = randn({2, side, side, 5}, uint64_t(side));
      const Tensor parts = windows.cut(map);
      EXPECT_EQ(parts.shape(),
                (Shape{2 * windows.count() * windows.count(), windows.w * windows.w, 5}));
      EXPECT_EQ(windows.join(parts).to_vector<double>(), map.to_vector<double>());
      EXPECT_EQ(windows.shift, shifted && side > 3 ? 1 : 0);
    }
}

// Two tokens of a shifted window see each other when they are as far apart on the map as they are
// in the window, that is, when no end of the map lies between them.
TEST(Windows, MaskSeparatesTheTwoEndsOfTheMap) {
  const int64_t side = 9, w = 3, L = w * w;
  const Windows windows(side, w, true);
  Tensor numbers = Tensor::empty({1, side, side, 1}, DType::f64);
  for (int64_t i = 0; i < side * side; ++i) numbers.data<double>()[i] = double(i);
  const std::vector<double> token = windows.cut(numbers).to_vector<double>();
  const std::vector<float> mask = windows.mask().to_vector<float>();
  const std::vector<int64_t> offsets = windows.offsets().to_vector<int64_t>();
  for (int64_t n = 0; n < 9; ++n)
    for (int64_t i = 0; i < L; ++i)
      for (int64_t j = 0; j < L; ++j) {
        const int64_t a = int64_t(token[size_t(n * L + i)]), b = int64_t(token[size_t(n * L + j)]);
        const bool near = std::abs(a / side - b / side) < w && std::abs(a % side - b % side) < w;
        EXPECT_EQ(mask[size_t((n * L + i) * L + j)], near ? 0 : -100);
        if (!near) continue;
        EXPECT_EQ(offsets[size_t(i * L + j)],
                  (a / side - b / side + w - 1) * (2 * w - 1) + (a % side - b % side + w - 1));
      }
  EXPECT_FALSE(Windows(side, w, false).mask().defined());
  EXPECT_FALSE(Windows(3, w, true).mask().defined());
}

struct TransformersOnDevice : OnDevice {};

// In f32 errors are roundings of 6e-8 through a dozen layers. In bf16 they are of 2^-9 = 2e-3, of
// which some tens add up in a root of squares.
TEST_F(TransformersOnDevice, LogitsAndGradientsAreTheCpus) {
  ModelSettings s = training(false);
  s.drop_path = 0;
  for (auto [dtype, tolerance] : {std::pair{DType::f32, 1e-5}, {DType::bf16, 0.05}})
    for_each_small(s, [dtype = dtype, tolerance = tolerance](nn::Classifier& model) {
      prepare(model);
      const Tensor images = images_for(model), u = randn({2, 7}, 6);
      const Tensor y = model.forward(images);
      backward(y, u);
      std::vector<Tensor> expected;
      for (const nn::Entry& e : model.parameters()) expected.push_back(grad(*e.tensor));

      model.zero_grad();
      model.to(DType::f32);
      model.to(Device::cuda);
      if (dtype == DType::bf16) model.make_shadows(dtype);
      const Tensor on_gpu = model.forward(images.to(dtype).to(Device::cuda));
      backward(on_gpu, u.to(dtype).to(Device::cuda));
      EXPECT_EQ(on_gpu.dtype(), dtype);
      EXPECT_LE(relative_error(on_gpu.to(Device::cpu), y), tolerance);
      const std::vector<nn::Entry> parameters = model.parameters();
      double difference = 0, norm = 0;  // of all gradients together
      for (size_t p = 0; p < parameters.size(); ++p) {
        const Tensor ours = grad(*parameters[p].tensor).to(Device::cpu).to(DType::f64);
        EXPECT_EQ(grad(*parameters[p].tensor).dtype(), DType::f32) << parameters[p].name;
        for (int64_t i = 0; i < ours.numel(); ++i) {
          const double e = expected[p].data<double>()[i], d = ours.data<double>()[i] - e;
          difference += d * d;
          norm += e * e;
        }
      }
      EXPECT_LE(std::sqrt(difference / norm), tolerance);
      std::printf("    logits %.1e, gradients %.1e\n", relative_error(on_gpu.to(Device::cpu), y),
                  std::sqrt(difference / norm));
    });
}

// What a forward pass keeps on the device is there after the first, so that the second can be
// recorded, which copies nothing from the host (core/cuda/graph.h).
TEST_F(TransformersOnDevice, ForwardCanBeRecorded) {
  for_each_small(training(false), [](nn::Classifier& model) {
    const Tensor images = images_for(model).to(DType::f32).to(Device::cuda);
    model.init(3);
    model.to(Device::cuda);
    const NoGrad off;
    const std::vector<float> expected = model.forward(images).to_vector<float>();
    cuda::Graph graph;
    Tensor y;
    graph.capture([&] { y = model.forward(images); });
    graph.launch();
    EXPECT_EQ(y.to_vector<float>(), expected);
  });
}

}  // namespace rmt::test

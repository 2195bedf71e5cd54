// Too little memory on the GPU: the message names a batch that fits, and it does.
#include "train/memory.h"

#include <gtest/gtest.h>

#include "data/sets/image_folder.h"
#include "tests/check_op.h"
#include "tests/device.h"
#include "tests/train/folder.h"
#include "tests/train/small_images.h"
#include "tests/train/tiny_model.h"
#include "train/trainer.h"
#include "train/weights/model_file.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

using Memory = OnDevice;
constexpr size_t kMiB = size_t(1) << 20;

// The number behind "<flag> " in a message.
int64_t advice(const std::string& message, const std::string& flag) {
  const size_t at = message.find(flag + " ");
  return at == std::string::npos ? -1 : std::stoll(message.substr(at + flag.size() + 1));
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const OutOfMemory& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_F(Memory, TheBatchThatFitsIsFoundByTrying) {
  const size_t unit = cuda::emulated() ? kMiB / 8 : 8 * kMiB;
  LittleMemory little(100 * unit);
  int tries = 0;
  auto run = [&](int64_t n) {
    ++tries;
    const Tensor fixed = Tensor::empty({int64_t(20 * unit)}, DType::u8, Device::cuda),
                 images = Tensor::empty({n, int64_t(2 * unit)}, DType::u8, Device::cuda);
  };
  EXPECT_EQ(batch_that_fits(200, run), (92 - 20) / 2);  // of 92 %
  EXPECT_LE(tries, 5) << "100, 50 and 25 images, and half of the last";
  EXPECT_EQ(batch_that_fits(30, run), 29) << "never the batch that did not fit";
  EXPECT_EQ(batch_that_fits(2, run), 1);
  EXPECT_EQ(batch_that_fits(1, run), 0);
  EXPECT_EQ(
      batch_that_fits(
          100, [&](int64_t) { Tensor::empty({int64_t(101 * unit)}, DType::u8, Device::cuda); }),
      0);
}

TEST_F(Memory, ATrainingStepThatDoesNotFitSaysWhichBatchDoes) {
  const int64_t S = cuda::emulated() ? 32 : 224, B = 24;
  nn::Rmt model(tiny());
  model.init(1);
  const Compute gpu{Device::cuda, DType::f32};
  gpu.prepare(model);
  Optimizer optimizer(model.parameters(), {});
  TrainStep step(model, [&](const Tensor& x) { return model.forward(x); }, optimizer, gpu, {});
  const Batch batch{Tensor::full({B, S, S, 3}, 100, DType::u8),
                    Tensor::zeros({B}, DType::u8),
                    Tensor::zeros({B}, DType::i64),
                    {}};
  const std::vector<float> before = model.head.weight.to_vector<float>();

  LittleMemory little(cuda::emulated() ? 2 * kMiB : 400 * kMiB);
  const std::string message = message_of([&] { step(batch, 0, 1e-3); });
  for (const std::string& part :
       {str("a training step of ", B, " images of ", S, " x ", S), std::string("asked for"),
        std::string("free"), std::string("fits")})
    EXPECT_NE(message.find(part), std::string::npos) << "\"" << part << "\" is not in: " << message;
  const int64_t n = advice(message, "--batch-size");
  ASSERT_TRUE(0 < n && n < B) << message;
  EXPECT_EQ(model.head.weight.to_vector<float>(), before) << "the step that failed moved the model";
  for (int64_t i = 0; i < 4; ++i)
    EXPECT_NO_THROW(step(first_images(batch, n), i, 1e-3)) << message << ", step " << i;
  EXPECT_NE(model.head.weight.to_vector<float>(), before);
  EXPECT_NE(message_of([&] { step(first_images(batch, n + 1 + n / 4), 4, 1e-3); }), "")
      << "a quarter more than " << n << " images fit as well";
}

TEST_F(Memory, AnEvaluationThatDoesNotFitSaysWhichBatchDoes) {
  TemporaryFolder folder;
  draw_small_images(folder.path());
  const ImageFolder images(folder.path(), "val");
  const Compute gpu{Device::cuda, DType::f32};
  nn::Rmt model(tiny());
  model.init(1);
  gpu.prepare(model);
  TrainOptions o;
  o.img_size = cuda::emulated() ? 64 : 1024;
  o.batch_size = 8;
  o.workers = 1;
  auto run = [&](int64_t batch) {
    o.batch_size = batch;
    Loader loader(images, loader_options(o, false));
    evaluate(
        model, [&](const Tensor& x) { return model.forward(x); }, loader, gpu, transform_options(o),
        "--validation-batch-size");
  };
  LittleMemory little(cuda::emulated() ? kMiB : 256 * kMiB);
  const std::string message = message_of([&] { run(8); });
  EXPECT_NE(message.find(str("evaluation of 8 images of ", o.img_size, " x ")), std::string::npos)
      << message;
  const int64_t n = advice(message, "--validation-batch-size");
  ASSERT_TRUE(0 < n && n < 8) << message;
  EXPECT_NO_THROW(run(n));
}

}  // namespace rmt::test

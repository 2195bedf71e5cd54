// The whole way of a training batch: loader, RandomErasing, Mixup or CutMix, targets, on the CPU
// and (emulated) GPU; and the loss that an untrained model has under soft targets.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "data/sets/image_folder.h"
#include "nn/rmt/model.h"
#include "ops/cross_entropy.h"
#include "ops/mix_images.h"
#include "tests/data/folder_maker.h"
#include "tests/device.h"
#include "tests/train/small_images.h"
#include "train/compute.h"

namespace rmt::test {
using namespace data;
using namespace train;
namespace {

LoaderOptions options() {
  LoaderOptions o;
  o.batch_size = 6;
  o.workers = 2;
  o.seed = 5;
  o.transform.image_size = 20;
  o.transform.erasing.probability = 0.5;
  o.mix = {.mixup = 0.8, .cutmix = 1};
  return o;
}

struct Seen {
  Tensor images, targets;  // on the CPU, f32
};

Seen mixed(const Batch& b, const Compute& compute, const TransformOptions& t) {
  const Tensor mix = b.mix.to(compute.device);
  return {
      ops::mix_images(compute.images(b, t), mix).to(Device::cpu).to(DType::f32),
      ops::smooth_one_hot(b.labels.to(compute.device), 2, 0.1, DType::f32, mix).to(Device::cpu)};
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.raw(), b.raw(), a.nbytes()) == 0;
}

}  // namespace

// A batch's bytes, finished by each of the devices: every step of images rounds alike on both, so
// their bits are equal in f32. Targets are a product and a sum in
// double, rounded once.
TEST(MixPath, TheGpuSeesWhatTheCpuSees) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  TemporaryFolder folder;
  draw_small_images(folder.path());
  ImageFolder data(folder.path(), "train");
  Loader loader(data, options());
  const Compute cpu{Device::cpu, DType::f32}, gpu{Device::cuda, DType::f32};
  int64_t cut = 0, mixups = 0, erased = 0;
  for (int64_t epoch : {0, 1, 2}) {
    loader.start(epoch);
    while (const auto batch = loader.next()) {
      const Batch& b = *batch;
      const Seen want = mixed(b, cpu, options().transform);
      const Seen got = mixed(b, gpu, options().transform);
      EXPECT_TRUE(same_bits(got.images, want.images)) << "epoch " << epoch;
      for (int64_t i = 0; i < want.targets.numel(); ++i)
        EXPECT_NEAR(got.targets.data<float>()[i], want.targets.data<float>()[i], 0x1p-24);
      ++(b.mix.data<double>()[0] < 1 ? mixups : cut);
      for (int64_t i = 0; i < 6; ++i) erased += b.erase.data<int64_t>()[i * 5 + 2] > 0;
    }
  }
  EXPECT_TRUE(mixups > 0 && cut > 0 && erased > 10) << mixups << " " << cut << " " << erased;
}

// With labels drawn from all K classes alike and targets whose rows sum to 1, a loss is lse_b -
// mean_k z_bk on average, whatever the mixing: after n labels within 5 s / sqrt n of it, s the
// deviation of a logit. And that is near log K: an untrained head is N(0, 0.02^2) without bias, so
// given its input f (P) the logits are N(0, s^2) with s = 0.02 |f|, and lse - mean is log K + s^2
// / 2. f_c is the mean over the map of silu(n), n of mean 0 and variance 1 over the batch: were n
// normal, E silu = 0.2066 and E silu^2 = 0.3558, so that s^2 / 2 lies between 0.0002 0.2066^2 P
// (all positions alike) = 0.009, what the official logs begin with (6.916 = log 1000 + 0.008), and
// 0.0002 0.3558 P = 0.073 (one position). K classes tell a variance to a deviation of sqrt(2 / K)
// of it.
TEST(MixPath, AnUntrainedModelsLossIsLogK) {
  const int64_t B = 16, K = 1000, draws = 500;
  Random random(8, Purpose::test);
  Tensor x = Tensor::empty({B, 64, 64, 3});
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = float(random.normal());
  auto mix_of = [&](int64_t n) {
    const Mix m = mix_of_batch({.mixup = 0.8, .cutmix = 1}, 1, 0, n, 64, 64);
    return Tensor::from<double>({m.image_lambda, m.target_lambda, double(m.box.x), double(m.box.y),
                                 double(m.box.width), double(m.box.height)},
                                {6});
  };
  NoGrad off;
  for (const char* name : {"rmt_n", "rmt_t"}) {
    nn::RmtConfig config = nn::rmt_config(name);
    config.num_classes = K;
    nn::Rmt model(config);
    model.init(3);
    model.mode().training = true;
    const Tensor logits = model.forward(ops::mix_images(x, mix_of(0)));
    double expected = 0, variance = 0, loss = 0;  // means over the batch
    for (int64_t b = 0; b < B; ++b) {
      const float* z = logits.data<float>() + b * K;
      double sum = 0, squares = 0, exps = 0;
      for (int64_t k = 0; k < K; ++k)
        sum += double(z[k]), squares += double(z[k]) * double(z[k]), exps += std::exp(double(z[k]));
      expected += (std::log(exps) - sum / K) / B, variance += (squares / K - sum / K * sum / K) / B;
    }
    for (int64_t n = 0; n < draws; ++n) {
      Tensor labels = Tensor::empty({B}, DType::i64);
      for (int64_t b = 0; b < B; ++b) labels.data<int64_t>()[b] = random.below(K);
      loss += double(ops::cross_entropy(logits,
                                        ops::smooth_one_hot(labels, K, 0.1, DType::f32, mix_of(n)))
                         .item<float>()) /
              double(draws);
    }
    EXPECT_NEAR(loss, expected, 5 * std::sqrt(variance / double(B * draws))) << name;
    const double P = double(config.projection), least = 0.0002 * 0.2066 * 0.2066 * P,
                 most = 0.0002 * 0.3558 * P, chance = 5 * std::sqrt(2. / double(K));
    EXPECT_GT(expected - std::log(double(K)), least * (1 - chance)) << name;
    EXPECT_LT(expected - std::log(double(K)), most * (1 + chance)) << name;
    RecordProperty(name, str(loss));
  }
}

}  // namespace rmt::test

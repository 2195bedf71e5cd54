// Mixup and CutMix: the op and the targets, alone and against timm's own results under the draws
// that it made (tests/golden/timm_mixup.py).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/cuda/graph.h"
#include "data/images/mixup.h"
#include "ops/cross_entropy.h"
#include "ops/mix_images.h"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
using namespace data;
namespace {

Tensor tensor(const Mix& m) {
  return Tensor::from<double>({m.image_lambda, m.target_lambda, double(m.box.x), double(m.box.y),
                               double(m.box.width), double(m.box.height)},
                              {6});
}

// As it is called for x, wherever that is.
Op mix_by(const Mix& m, int64_t unit = 1) {
  return [mix = tensor(m), unit](Inputs in) {
    return ops::mix_images(in[0], mix.to(in[0].device()), unit);
  };
}

std::vector<double> naive(const Tensor& x, const Mix& m, int64_t unit = 1) {
  const int64_t B = x.dim(0), H = x.dim(1), W = x.dim(2), C = x.dim(3);
  auto at = [&](int64_t b, int64_t h, int64_t w, int64_t c) {
    return x.data<double>()[((b * H + h) * W + w) * C + c];
  };
  std::vector<double> y;
  for (int64_t b = 0; b < B; ++b)
    for (int64_t h = 0; h < H; ++h)
      for (int64_t w = 0; w < W; ++w)
        for (int64_t c = 0; c < C; ++c) {
          const int64_t column = w / unit, row = h / unit;  // of the square of this pixel
          const bool inside = column >= m.box.x && column < m.box.x + m.box.width &&
                              row >= m.box.y && row < m.box.y + m.box.height;
          const double lambda = inside ? 0 : m.image_lambda;
          y.push_back(lambda * at(b, h, w, c) + (1 - lambda) * at(B - 1 - b, h, w, c));
        }
  return y;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu), y = b.to(Device::cpu);
  return x.dtype() == y.dtype() && x.shape() == y.shape() &&
         std::memcmp(x.raw(), y.raw(), y.nbytes()) == 0;
}

std::vector<Device> devices() {
  std::vector<Device> all{Device::cpu};
  if (cuda::available()) all.push_back(Device::cuda);
  return all;
}

}  // namespace

// Mixup, CutMix, both at once, the whole image, nothing; images whose numbers do and do not divide
// into 16 bytes.
TEST(MixImages, Op) {
  for (Shape shape : {Shape{2, 1, 1, 1}, Shape{2, 7, 13, 3}, Shape{6, 16, 8, 3}, Shape{4, 5, 8, 4},
                      Shape{2, 49, 57, 3}, Shape{0, 5, 5, 3}}) {
    const int64_t H = shape[1], W = shape[2];
    for (const Mix& m : {Mix{0.3, 0.3, {0, 0, 0, 0}}, Mix{1, 0.7, {W / 3, H / 4, W / 2, H / 3}},
                         Mix{0.6, 0.2, {W / 2, H / 2, W - W / 2, H - H / 2}},
                         Mix{1, 0, {0, 0, W, H}}, Mix{0, 0, {0, 0, 0, 0}}, Mix{}})
      check_op("mix_images", mix_by(m), {randn(shape)},
               {.reference = [=](Inputs in) { return naive(in[0], m); }, .max_probes = 50});
  }
}

// A box of squares of unit x unit pixels, on maps that are a whole number of squares and that are
// not.
TEST(MixImages, ABoxInSquares) {
  for (Shape shape : {Shape{4, 56, 56, 3}, Shape{2, 17, 26, 5}})
    for (int64_t unit : {2, 8}) {
      const int64_t h = shape[1] / unit, w = shape[2] / unit;
      for (const Mix& m : {Mix{1, 0.7, {w / 3, h / 4, w / 2, h / 2}}, Mix{0.3, 0.2, {1, 0, 1, h}},
                           Mix{1, 0, {0, 0, w, h}}, Mix{1, 1, {0, 0, 0, 0}}})
        check_op("mix_images", mix_by(m, unit), {randn(shape)},
                 {.reference = [=](Inputs in) { return naive(in[0], m, unit); }, .max_probes = 50});
    }
}

// What is not mixed comes out as it went in, whatever its partner is; what comes out of a box is a
// copy.
TEST(MixImages, CopiesAreExact) {
  for (Device device : devices())
    for (DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      if (device == Device::cpu && dtype == DType::bf16) continue;
      Tensor x = randn({2, 6, 8, 3}).to(DType::f32), first = x.slice(0, 1);
      first.fill(NAN);
      x = x.to(dtype).to(device);
      auto run = [&](const Mix& m) { return ops::mix_images(x, tensor(m).to(device)); };
      EXPECT_TRUE(same_bits(run({}), x)) << dtype << " on " << device;
      const Tensor swapped = run({1, 0, {0, 0, 8, 6}});
      EXPECT_TRUE(same_bits(swapped.slice(0, 1), x.slice(1, 2))) << dtype << " on " << device;
      EXPECT_TRUE(same_bits(swapped.slice(1, 2), x.slice(0, 1))) << dtype << " on " << device;
    }
}

TEST(MixImages, DevicesAgreeBitForBit) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  for (DType dtype : {DType::f32, DType::f64})
    for (Shape shape : {Shape{4, 16, 8, 3}, Shape{2, 7, 5, 3}})
      for (const Mix& m : {Mix{0.3, 0.3, {0, 0, 0, 0}}, Mix{1, 0.7, {1, 2, 3, 4}}}) {
        const Tensor x = randn(shape).to(dtype), y = ops::mix_images(x, tensor(m));
        EXPECT_TRUE(same_bits(ops::mix_images(x.to(Device::cuda), tensor(m).to(Device::cuda)), y))
            << dtype;
        Tensor room = Tensor::empty({x.numel() + 1}, dtype, Device::cuda),
               shifted = room.slice(1, x.numel() + 1).view(shape);
        shifted.copy_from(x);  // not on 16 bytes
        EXPECT_TRUE(same_bits(ops::mix_images(shifted, tensor(m).to(Device::cuda)), y)) << dtype;
      }
}

TEST(MixImages, ARecordingMixesEachBatchInItsOwnWay) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  const Tensor x = randn({4, 8, 8, 3}).to(DType::f32),
               labels = Tensor::from<int64_t>({3, 1, 0, 2}, {4});
  const Tensor on_gpu = x.to(Device::cuda), labels_on_gpu = labels.to(Device::cuda);
  Tensor mix = tensor({}).to(Device::cuda), y, t;
  cuda::Graph graph;
  graph.capture([&] {
    y = ops::mix_images(on_gpu, mix),
    t = ops::smooth_one_hot(labels_on_gpu, 4, 0.1, DType::f32, mix);
  });
  for (const Mix& m : {Mix{0.25, 0.25, {0, 0, 0, 0}}, Mix{1, 0.5, {2, 1, 4, 3}}, Mix{}}) {
    mix.copy_from(tensor(m));
    graph.launch();
    EXPECT_TRUE(same_bits(y, ops::mix_images(x, tensor(m))));
    EXPECT_LE(relative_error(t.to(Device::cpu),
                             ops::smooth_one_hot(labels, 4, 0.1, DType::f32, tensor(m))),
              0x1p-23);
  }
}

// The targets' lambda is the share of pixels that stay: counted in a batch in which each image has
// a number of its own.
TEST(MixImages, CutMixsLambdaIsWhatStays) {
  const int64_t H = 24, W = 17;
  Tensor x = Tensor::empty({4, H, W, 3});
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = float(i / (H * W * 3));
  int64_t clipped = 0;
  for (uint64_t i = 0; i < 300; ++i) {
    Random random(1, Purpose::test, 0, i);
    const Mix m = draw_mix({.cutmix = 1}, H, W, random);
    const std::vector<float> y = ops::mix_images(x, tensor(m)).to_vector<float>();
    int64_t own[4] = {};
    for (size_t k = 0; k < y.size(); ++k)
      own[k / size_t(H * W * 3)] += y[k] == float(k / size_t(H * W * 3));
    for (int64_t n : own) ASSERT_DOUBLE_EQ(double(n) / double(H * W * 3), m.target_lambda);
    clipped += m.box.width * H != m.box.height * W;
  }
  EXPECT_GT(clipped, 30) << "boxes over the edge are among them";
}

namespace {

// The pictures of tests/golden/timm_mixup.py.
Tensor picture(int64_t B, int64_t H, int64_t W) {
  Tensor x = Tensor::empty({B, H, W, 3});
  for (int64_t i = 0; i < x.numel(); ++i) {
    const int64_t c = i % 3, w = i / 3 % W, h = i / 3 / W % H, b = i / 3 / W / H;
    x.data<float>()[i] =
        float((b * 7919 + h * 104729 + w * 1299709 + c * 15485863) % 2003 - 1000) / 512;
  }
  return x;
}

std::vector<float> numbers(std::istream& in, const std::string& what) {
  std::string line, word;
  std::getline(in, line);
  std::istringstream words(line);
  words >> word;
  CHECK(word == what, "timm_mixup.txt: ", word, ", expected ", what);
  std::vector<float> all;
  while (words >> word) all.push_back(std::strtof(word.c_str(), nullptr));
  return all;
}

}  // namespace

// CutMix copies, so its pixels are equal. Mixup: timm rounds lambda x_b, (1 - lambda) x_b' and
// their sum, ours the second and the sum; |x| < 2, so the two differ by less than 2 (1 + 2)
// roundings of 2^-24. Targets: timm rounds lambda, the two numbers, their products and the sum to
// f32, ours the sum: 6 roundings.
TEST(MixImages, EqualsTimm) {
  std::ifstream golden("tests/golden/timm_mixup.txt");
  ASSERT_TRUE(golden) << "run the tests from the project's root";
  int64_t cases = 0;
  for (std::string line; std::getline(golden, line);) {
    std::istringstream in(line);
    std::string kind, eps, lambda, corrected;
    int64_t B, H, W, K, cut, y, x;
    if (in >> kind, kind != "mix") continue;
    ASSERT_TRUE(in >> B >> H >> W >> K >> eps >> cut >> lambda >> y >> x >> corrected) << line;
    const double l = std::strtod(lambda.c_str(), nullptr);
    const Mix m = cut ? cutmix(l, x, y, H, W) : Mix{l, l, {0, 0, 0, 0}};
    ASSERT_EQ(m.target_lambda, std::strtod(corrected.c_str(), nullptr)) << line;
    const std::vector<float> targets = numbers(golden, "targets"),
                             pixels = numbers(golden, "pixels");

    Tensor labels = Tensor::empty({B}, DType::i64);
    for (int64_t b = 0; b < B; ++b) labels.data<int64_t>()[b] = (7 * b * b + 3) % K;
    for (Device device : devices()) {
      const Tensor mix = tensor(m).to(device);
      const std::vector<float> t =
          ops::smooth_one_hot(labels.to(device), K, std::strtod(eps.c_str(), nullptr), DType::f32,
                              mix)
              .to_vector<float>();
      const int64_t shown = std::min<int64_t>(K, 32);
      ASSERT_EQ(targets.size(), size_t(B * shown));
      for (int64_t i = 0; i < B * shown; ++i) {
        const float want = targets[size_t(i)];
        ASSERT_NEAR(t[size_t(i / shown * K + i % shown)], want, double(want) * 6 * 0x1p-24) << line;
      }
      const std::vector<float> got =
          ops::mix_images(picture(B, H, W).to(device), mix).to_vector<float>();
      ASSERT_EQ(pixels.size(), (got.size() + 12) / 13);
      for (size_t i = 0; i < pixels.size(); ++i)
        ASSERT_NEAR(got[i * 13], pixels[i], cut ? 0 : 6 * 0x1p-24) << line;
    }
    ++cases;
  }
  EXPECT_EQ(cases, 20);
}

TEST(MixImages, Errors) {
  const Tensor x = randn({4, 5, 6, 3}), mix = tensor({});
  expect_error([&] { ops::mix_images({}, mix); }, {"mix_images", "x is undefined"});
  expect_error(
      [&] {
        ops::mix_images(x.view({4, 30, 3}), mix);
      },
      {"mix_images", "(4, 30, 3)", "(B, H, W, C)"});
  expect_error([&] { ops::mix_images(x.slice(0, 3), mix); },
               {"mix_images", "3 images do not pair", "even batch size"});
  expect_error([&] { ops::mix_images(x, Tensor::zeros({6})); },
               {"mix_images", "mix is f32", "f64 (6)"});
  expect_error([&] { ops::mix_images(x, leaf(mix)); }, {"mix_images", "mix has no gradient"});
  expect_error([&] { ops::mix_images(x, tensor({1.5, 1, {}})); }, {"mix_images", "lambda 1.5"});
  expect_error([&] { ops::mix_images(x, tensor({NAN, 1, {}})); }, {"mix_images", "nan"});
  expect_error(
      [&] {
        ops::mix_images(x, tensor({1, 1, {5, 0, 2, 5}}));
      },
      {"mix_images", "box 2 x 5 at (5, 0)", "6 x 5 image"});
  expect_error(
      [&] {
        ops::mix_images(x, tensor({1, 1, {0, -1, 2, 2}}));
      },
      {"box 2 x 2 at (0, -1)"});
  expect_error([&] { ops::mix_images(x, mix, 0); }, {"mix_images", "squares of 0 pixels"});
  expect_error(
      [&] {
        ops::mix_images(x, tensor({1, 1, {2, 0, 2, 2}}), 2);
      },
      {"mix_images", "box 2 x 2 at (2, 0)", "6 x 5 image of 3 x 2.5 squares"});
}

// On a GPU nobody looks: a box outside is cut off, and nothing outside is read.
TEST(MixImages, ABoxOutsideOnTheGpuIsCutOff) {
  if (!cuda::available()) GTEST_SKIP() << cuda::why_not();
  const Tensor x = randn({2, 5, 8, 3}).to(DType::f32);
  const Tensor y =
      ops::mix_images(x.to(Device::cuda), tensor({1, 1, {6, 3, 100, 100}}).to(Device::cuda));
  EXPECT_TRUE(same_bits(y, ops::mix_images(x, tensor({1, 1, {6, 3, 2, 2}}))));
}

}  // namespace rmt::test

// ops::normalize finishes what data/images/transform.h begins: its floats are those of the formula
// in plain loops, bit for bit, on either device.
#include <gtest/gtest.h>

#include <cstring>

#include "data/images/transform.h"
#include "ops/normalize.h"
#include "tests/check_op.h"
#include "tests/device.h"

namespace rmt::test {
using namespace data;
namespace {

constexpr int64_t kSide = 13;

Image noise(int64_t width, int64_t height, uint64_t seed) {
  Image image{width, height, std::vector<uint8_t>(size_t(width * height * 3))};
  Random random(seed, Purpose::test);
  for (uint8_t& v : image.rgb) v = uint8_t(random.below(256));
  return image;
}

TransformOptions transform() {
  TransformOptions t;
  t.image_size = kSide;
  return t;
}

ops::NormalizeOptions options(const TransformOptions& t) {
  return {{t.mean[0], t.mean[1], t.mean[2]}, {t.deviation[0], t.deviation[1], t.deviation[2]}};
}

std::vector<Device> devices() {
  std::vector<Device> all{Device::cpu};
  if (cuda::available()) all.push_back(Device::cuda);
  return all;
}

struct Case {
  Tensor pixels, mirror, expected, erase;  // (B, S, S, 3) u8, (B) u8, (B, S, S, 3) f32, (B, 5) i64
};

// The definition: y_hwc = (x_hw'c / 255 - mean_c) / deviation_c, w' = S - 1 - w where it is
// mirrored, and then the rectangle is filled with noise.
void define(const uint8_t* x, bool mirror, const std::optional<Erasing>& e,
            const TransformOptions& t, float* y) {
  for (int64_t h = 0; h < kSide; ++h)
    for (int64_t w = 0; w < kSide; ++w)
      for (int64_t c = 0; c < 3; ++c) {
        const uint8_t byte = x[(h * kSide + (mirror ? kSide - 1 - w : w)) * 3 + c];
        const bool inside = e && h >= e->box.y && h < e->box.y + e->box.height && w >= e->box.x &&
                            w < e->box.x + e->box.width;
        y[(h * kSide + w) * 3 + c] =
            inside ? normals(e->key, Purpose::erase, h * kSide + w)[size_t(c)]
                   : (float(byte) / 255.f - t.mean[size_t(c)]) / t.deviation[size_t(c)];
      }
}

// Of B images: their bytes, and their floats by definition.
Case make(int64_t B, bool train, double erasing = 0) {
  TransformOptions t = transform();
  t.erasing.probability = erasing;
  Case c{Tensor::empty({B, kSide, kSide, 3}, DType::u8), Tensor::zeros({B}, DType::u8),
         Tensor::empty({B, kSide, kSide, 3}), Tensor::zeros({B, 5}, DType::i64)};
  for (int64_t b = 0; b < B; ++b) {
    const Image image = noise(20 + b, 31 - b, uint64_t(b));
    const Random random(1, Purpose::augment, 0, uint64_t(b));
    uint8_t* pixels = c.pixels.slice(b, b + 1).data<uint8_t>();
    float* expected = c.expected.slice(b, b + 1).data<float>();
    if (train) {
      Random copy = random;
      const TrainDraws draws = draw_train(image.width, image.height, t, copy);
      c.mirror.data<uint8_t>()[b] = train_pixels(image, t, draws, pixels);
      if (const auto& e = draws.erasing)
        c.erase.slice(b, b + 1).copy_from(Tensor::from<int64_t>(
            {e->box.x, e->box.y, e->box.width, e->box.height, int64_t(e->key)}, {1, 5}));
      define(pixels, c.mirror.data<uint8_t>()[b], draws.erasing, t, expected);
    } else {
      eval_pixels(image, t, pixels);
      define(pixels, false, {}, t, expected);
    }
  }
  return c;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(Device::cpu);
  return x.dtype() == b.dtype() && x.shape() == b.shape() &&
         std::memcmp(x.raw(), b.raw(), b.nbytes()) == 0;
}

}  // namespace

TEST(Normalize, IsItsDefinitionBitForBit) {
  const ops::NormalizeOptions o = options(transform());
  const Case train = make(7, true), eval = make(3, false);
  int64_t mirrored = 0;
  for (int64_t b = 0; b < 7; ++b) mirrored += train.mirror.data<uint8_t>()[b];
  ASSERT_TRUE(0 < mirrored && mirrored < 7)
      << mirrored << " of 7 are mirrored: both kinds are wanted";
  for (Device device : devices())
    for (DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      if (device == Device::cpu && dtype == DType::bf16) continue;  // the CPU computes in f32
      auto run = [&](const Case& c, const Tensor& mirror) {
        return ops::normalize(c.pixels.to(device), mirror.to(device), o, dtype);
      };
      EXPECT_TRUE(same_bits(run(train, train.mirror), train.expected.to(dtype)))
          << "training, " << dtype << " on " << device;
      EXPECT_TRUE(same_bits(run(eval, eval.mirror), eval.expected.to(dtype)))
          << "evaluation, " << dtype << " on " << device;
      EXPECT_TRUE(same_bits(run(eval, {}), eval.expected.to(dtype)))
          << "no mirror, " << dtype << " on " << device;
    }
}

// The noise too, in every order of threads; and a rectangle that leaves the image ends at its
// border.
TEST(Normalize, ErasesBitForBit) {
  const ops::NormalizeOptions o = options(transform());
  Case c = make(24, true, 0.5);
  int64_t erased = 0, both = 0;
  for (int64_t b = 0; b < 24; ++b) {
    const bool e = c.erase.data<int64_t>()[b * 5 + 2] > 0;
    erased += e, both += e && c.mirror.data<uint8_t>()[b];
  }
  ASSERT_TRUE(0 < both && both < erased && erased < 24)
      << erased << " of 24 erased, " << both << " of these mirrored";
  for (Device device : devices())
    for (DType dtype : {DType::f32, DType::f64, DType::bf16}) {
      if (device == Device::cpu && dtype == DType::bf16) continue;
      for_thread_orders([&] {
        const Tensor y =
            ops::normalize(c.pixels.to(device), c.mirror.to(device), o, dtype, c.erase.to(device));
        EXPECT_TRUE(same_bits(y, c.expected.to(dtype))) << dtype << " on " << device;
      });
    }
  Tensor outside = Tensor::empty({24, 5}, DType::i64);
  for (int64_t b = 0; b < 24; ++b) {
    const std::array<int64_t, 5> row{b % 2 ? -3 : 9, b % 3 ? -2 : 10, b % 5 ? 8 : int64_t(1) << 40,
                                     9, b};
    std::copy(row.begin(), row.end(), outside.data<int64_t>() + b * 5);
  }
  const Tensor y = ops::normalize(c.pixels, c.mirror, o, DType::f32, outside);
  EXPECT_FALSE(same_bits(y, ops::normalize(c.pixels, c.mirror, o, DType::f32)));
  if (cuda::available()) {
    auto gpu = [](const Tensor& x) { return x.to(Device::cuda); };
    EXPECT_TRUE(
        same_bits(ops::normalize(gpu(c.pixels), gpu(c.mirror), o, DType::f32, gpu(outside)), y));
  }
}

TEST(Normalize, EveryByteInEveryChannel) {
  const TransformOptions t = transform();
  Tensor x = Tensor::empty({1, 1, 256, 3}, DType::u8);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<uint8_t>()[i] = uint8_t(i / 3);
  for (Device device : devices()) {
    const std::vector<float> y =
        ops::normalize(x.to(device), Tensor::full({1}, 1, DType::u8, device), options(t),
                       DType::f32)
            .to_vector<float>();
    for (size_t i = 0; i < y.size(); ++i) {
      const float byte = float(255 - i / 3);
      ASSERT_EQ(y[i], (byte / 255.f - t.mean[i % 3]) / t.deviation[i % 3])
          << byte << " on " << device;
    }
  }
}

TEST(Normalize, EmptyBatchAndRefusals) {
  const ops::NormalizeOptions o = options(transform());
  for (Device device : devices()) {
    EXPECT_EQ(
        ops::normalize(Tensor::empty({0, 5, 5, 3}, DType::u8, device), {}, o, DType::f32).shape(),
        (Shape{0, 5, 5, 3}));
    const Tensor x = Tensor::zeros({2, 5, 5, 3}, DType::u8, device);
    expect_error([&] { ops::normalize(x.to(DType::f32), {}, o, DType::f32); },
                 {"normalize", "f32", "expected u8 (B, H, W, 3)"});
    expect_error(
        [&] {
          ops::normalize(x.view({2, 3, 5, 5}), {}, o, DType::f32);
        },
        {"(2, 3, 5, 5)"});
    expect_error([&] { ops::normalize(x, Tensor::zeros({3}, DType::u8, device), o, DType::f32); },
                 {"normalize", "mirror", "(3)"});
    expect_error(
        [&] {
          ops::normalize(x, {}, o, DType::f32, Tensor::zeros({2, 4}, DType::i64, device));
        },
        {"normalize", "erase", "(2, 4)", "(2, 5)"});
  }
}

}  // namespace rmt::test

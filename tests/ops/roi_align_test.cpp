#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "core/cuda/device.h"
#include "ops/roi_align.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

// x (B, H, W, C) of image b at row y, column x and channel c, between the four cells around.
double sample(const Tensor& map, int64_t b, double y, double x, int64_t c) {
  const int64_t H = map.dim(1), W = map.dim(2), C = map.dim(3);
  if (y < -1 || y > double(H) || x < -1 || x > double(W)) return 0;
  y = std::clamp(y, 0., double(H - 1));
  x = std::clamp(x, 0., double(W - 1));
  const int64_t i = int64_t(y), j = int64_t(x);
  const double fy = y - double(i), fx = x - double(j);
  const auto at = [&](int64_t row, int64_t column) {
    row = std::min(row, H - 1), column = std::min(column, W - 1);
    return map.data<double>()[((b * H + row) * W + column) * C + c];
  };
  return (1 - fy) * ((1 - fx) * at(i, j) + fx * at(i, j + 1)) +
         fy * ((1 - fx) * at(i + 1, j) + fx * at(i + 1, j + 1));
}

// Sample by sample; the last input is the boxes.
Naive naive(std::vector<int64_t> strides, int64_t P) {
  return [=](Inputs in) {
    const Tensor& rois = in.back();
    const int64_t levels = int64_t(in.size()) - 1, C = in[0].dim(3);
    std::vector<double> y;
    for (int64_t r = 0; r < rois.dim(0); ++r) {
      const double* roi = rois.data<double>() + 5 * r;
      const double size = std::sqrt((roi[3] - roi[1]) * (roi[4] - roi[2]));
      const int64_t level =
          std::clamp<int64_t>(int64_t(std::floor(std::log2(size / 56 + 1e-6))), 0, levels - 1);
      const double stride = double(strides[size_t(level)]);
      const double left = roi[1] / stride - 0.5, top = roi[2] / stride - 0.5;
      const double bin_w = (roi[3] - roi[1]) / stride / double(P),
                   bin_h = (roi[4] - roi[2]) / stride / double(P);
      const int64_t g_x = int64_t(std::ceil(bin_w)), g_y = int64_t(std::ceil(bin_h));
      for (int64_t p = 0; p < P; ++p)
        for (int64_t q = 0; q < P; ++q)
          for (int64_t c = 0; c < C; ++c) {
            double sum = 0;
            for (int64_t m = 0; m < g_y; ++m)
              for (int64_t n = 0; n < g_x; ++n)
                sum += sample(in[size_t(level)], int64_t(roi[0]),
                              top + bin_h * (double(p) + (double(m) + 0.5) / double(g_y)),
                              left + bin_w * (double(q) + (double(n) + 0.5) / double(g_x)), c);
            y.push_back(sum / std::max(1., double(g_y * g_x)));
          }
    }
    return y;
  };
}

// R boxes in images of about `size` pixels, of all sizes, some of them over the edge; numbers that
// f32 has.
Tensor some_rois(int64_t R, int64_t B, double size) {
  Tensor rois = Tensor::empty({R, 5}, DType::f64);
  Random random(7, Purpose::test);
  for (int64_t r = 0; r < R; ++r) {
    double* roi = rois.data<double>() + 5 * r;
    roi[0] = double(random.below(B));
    for (int k = 1; k < 3; ++k) {
      roi[k] = std::floor((random.uniform() * 1.2 - 0.2) * size);
      roi[k + 2] = roi[k] + std::floor(std::pow(random.uniform(), 2) * size);
    }
  }
  return rois;
}

// Maps of a pyramid over images of H x W pixels, then the boxes.
std::vector<Tensor> inputs(const std::vector<int64_t>& strides, int64_t B, int64_t H, int64_t W,
                           int64_t C, const Tensor& rois) {
  std::vector<Tensor> in;
  for (int64_t s : strides)
    in.push_back(randn({B, (H + s - 1) / s, (W + s - 1) / s, C}, uint64_t(s)));
  in.push_back(rois);
  return in;
}

Op op(std::vector<int64_t> strides, int64_t P) {
  return [=](Inputs in) {
    return ops::roi_align({in.begin(), in.end() - 1}, strides, in.back(), P);
  };
}

// What torchvision makes of the input of AsTorchvision (tests/golden/make_dense_op_golden.py), to
// 13 decimals: in the order of y, each number of channel 0 less twice that of channel 1; and every
// seventh number of the gradient.
constexpr double kTiles[] = {
    0.0220116178246,  -0.0963946483002, 0.1711907602011,  -0.0208511534002, 0.1077786565479,
    -0.1952870763003, 0.0864056912615,  -0.1514256295888, 0.2154534709027,  0.0000000000000,
    0.1344245134268,  -0.1216238513887, 0.0000000000000,  -0.0478178365879, 0.0081797173194,
    0.0000000000000,  0.3425449774296,  -0.2519191434317, 0.5502822395520,  0.5390327728034,
    0.5277833060547,  0.6007396708218,  0.6205895274067,  0.6404393839916,  0.6511971020916,
    0.7021462820100,  0.7530954619285,  0.0000000000000,  0.0000000000000,  0.0000000000000,
    0.0000000000000,  0.0000000000000,  0.0000000000000,  0.0000000000000,  0.0000000000000,
    0.0000000000000,  -0.0101464244916, -0.0062911976253, 0.0057322183129,  -0.0096322941872,
    -0.0102593015671, -0.0000399211084, -0.0008593880842, -0.0089112435650, -0.0102280136060};
constexpr double kEverySeventh[] = {
    0.0000000000000, 0.0000000000000,  0.0000000000000, 0.0000000000000, 0.0201788470018,
    0.0998952821869, 0.0000000000000,  0.0000000000000, 0.1348999669312, 0.1165674603175,
    0.0000000000000, 0.3353863536155,  0.5317115850970, 0.0000000000000, 0.2932098765432,
    0.5204337522046, 0.0000000000000,  0.0000000000000, 0.5893821649030, 0.8127480158730,
    0.0000000000000, 0.1311728395062,  0.1835248567019, 0.0000000000000, 0.0000000000000,
    0.0000000000000, 0.0000000000000,  0.0000000000000, 0.0000000000000, 0.0000000000000,
    0.0000000000000, 0.4435947963170,  0.7976713634673, 0.8139764694940, 0.7077534993490,
    0.9510672433036, 0.9639195033482,  1.0398821149554, 0.9382149832589, 0.9700578962054,
    0.9948992047991, 0.8603341238839,  1.1357088890726, 1.0480433872768, 1.0608956473214,
    1.6464769115594, 15.7588152204241, 1.1019839332217, 1.2328967543506, 1.6107840832369,
    1.0603114536830, 1.0994524274554,  1.7595450946824, 1.1309988839286, 1.1865321568080,
    1.5964753758129, 1.2849591864620,  1.1309988839286, 0.9816632952009, 2.2716101770328,
    0.9656720842634, 1.0362461635045};

}  // namespace

TEST(RoiAlign, Op) {
  struct Case {
    std::vector<int64_t> strides;
    int64_t B, H, W, C, R, P;
  };
  for (const Case& c : std::vector<Case>{{{4}, 1, 4, 4, 1, 1, 1},
                                         {{8}, 2, 57, 49, 5, 7, 3},
                                         {{32, 64, 128, 256}, 2, 512, 448, 13, 13, 5},
                                         {{32, 64}, 1, 256, 128, 40, 7, 2},
                                         {{1}, 2, 13, 7, 1, 3, 9},
                                         {{8, 16}, 3, 57, 49, 16, 25, 2},
                                         {{8}, 2, 57, 49, 4, 0, 3}}) {
    const size_t levels = c.strides.size();
    std::vector<bool> maps(levels + 1, true), boxes(levels + 1, false);
    maps[levels] = false;
    boxes[levels] = true;
    check_op(str("roi_align to ", c.P), op(c.strides, c.P),
             inputs(c.strides, c.B, c.H, c.W, c.C, some_rois(c.R, c.B, double(c.H))),
             {.reference = naive(c.strides, c.P),
              .differentiable = maps,
              .parameters = boxes,
              .may_be_zero = true,
              .max_probes = 40});
  }
}

// As torchvision.ops.roi_align with aligned = True, sampling_ratio = 0. The tolerances are the
// rounding to 13 decimals and that of sums of numbers up to 1, and of gradients up to 16.
TEST(RoiAlign, AsTorchvision) {
  Tensor x = Tensor::empty({2, 9, 12, 2}, DType::f64);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = std::sin(double(i) * 0.7);
  const Tensor rois =
      Tensor::from<double>({0,  10, 12, 60, 50, 1,  -20, 30.5, 33.25, 90,   1,  40, 40,
                            43, 42, 0,  25, 30, 25, 60,  1,    3.5,   1.25, 95, 71},
                           {5, 5});
  x = leaf(x);
  const Tensor y = ops::roi_align({x}, {8}, rois, 3);
  for (size_t i = 0; i < std::size(kTiles); ++i)
    EXPECT_NEAR(y.data<double>()[2 * i] - 2 * y.data<double>()[2 * i + 1], kTiles[i], 1e-13) << i;
  Tensor dy = Tensor::empty(y.shape(), DType::f64);
  for (int64_t i = 0; i < dy.numel(); ++i) dy.data<double>()[i] = double(i + 1) / 7;
  backward(y, dy);
  for (size_t i = 0; i < std::size(kEverySeventh); ++i)
    EXPECT_NEAR(grad(x).data<double>()[7 * i], kEverySeventh[i], 1e-12) << i;
}

// sqrt(w h) of 56 2^k begins level k; the 1e-6 brings the size before it, 0.00005 pixels short, to
// the same level, as it was meant to do for sizes that are off by a rounding.
TEST(RoiAlign, ChoosesTheLevelByTheSizeOfTheBox) {
  std::vector<Tensor> maps;
  for (int level = 0; level < 4; ++level)
    maps.push_back(Tensor::full({1, 64 >> level, 64 >> level, 1}, level, DType::f64));
  const auto level_of = [&](double w, double h) {
    const Tensor roi = Tensor::from<double>({0, 64, 64, 64 + w, 64 + h}, {1, 5});
    return ops::roi_align(maps, {16, 32, 64, 128}, roi, 1).item<double>();
  };
  EXPECT_NEAR(level_of(10, 10), 0, 1e-12);
  EXPECT_NEAR(level_of(111.9, 111.9), 0, 1e-12);
  EXPECT_NEAR(level_of(111.99995, 111.99995), 1, 1e-12);
  EXPECT_NEAR(level_of(56, 224), 1, 1e-12);
  EXPECT_NEAR(level_of(223.9, 223.9), 1, 1e-12);
  EXPECT_NEAR(level_of(224, 224), 2, 1e-12);
  EXPECT_NEAR(level_of(448, 448), 3, 1e-12);
  EXPECT_NEAR(level_of(900, 900), 3, 1e-12);
}

TEST(RoiAlign, OnlyTheMapsThatWantAGradientGetOne) {
  const Tensor wanted = leaf(randn({1, 8, 8, 2})), other = randn({1, 4, 4, 2});
  const Tensor rois = Tensor::from<double>({0, 3, 3, 200, 200, 0, 2, 3, 30, 40}, {2, 5});
  backward(ops::roi_align({wanted, other}, {8, 16}, rois, 2), randn({2, 2, 2, 2}));
  EXPECT_TRUE(grad(wanted).defined());
}

TEST(RoiAlign, OnTheGpuAnInvalidBoxIsNan) {
  if (!cuda::available()) return;
  const Tensor x = leaf(Tensor::full({2, 8, 8, 4}, 1, DType::f32, Device::cuda));
  const Tensor rois =
      Tensor::from<float>({0, 8,   8, 24, 24, 2, 8, 8, 24, 24,  0.5, 8, 8, 24, 24,  //
                           1, NAN, 8, 24, 24, 1, 8, 8, 24, 1e7f},
                          {5, 5});
  const Tensor y = ops::roi_align({x}, {8}, rois.to(Device::cuda), 2);
  for (size_t i = 0; i < 80; ++i) EXPECT_EQ(std::isnan(y.detach().to_vector<float>()[i]), i >= 16);
  backward(y, Tensor::full({5, 2, 2, 4}, 1, DType::f32, Device::cuda));
  float sum = 0;
  for (float d : grad(x).to_vector<float>()) sum += d;
  EXPECT_EQ(sum, 16);  // of the one box that is valid, whose weights of a bin sum to 1
}

TEST(RoiAlign, Errors) {
  const Tensor x = randn({2, 8, 8, 4}), rois = Tensor::zeros({3, 5}, DType::f64);
  expect_error([&] { ops::roi_align({}, {}, rois, 2); }, {"roi_align", "0 maps"});
  expect_error([&] { ops::roi_align({x}, {4, 8}, rois, 2); }, {"1 maps and 2 strides"});
  expect_error([&] { ops::roi_align({x}, {0}, rois, 2); }, {"stride 0"});
  expect_error(
      [&] {
        ops::roi_align({x, randn({2, 4, 4, 5})}, {4, 8}, rois, 2);
      },
      {"map 1 is f64 (2, 4, 4, 5)"});
  expect_error([&] { ops::roi_align({randn({8, 8, 4})}, {4}, rois, 2); }, {"(8, 8, 4)"});
  expect_error([&] { ops::roi_align({x}, {4}, randn({3, 4}), 2); }, {"rois is f64 (3, 4)"});
  expect_error([&] { ops::roi_align({x}, {4}, rois.to(DType::f32), 2); }, {"rois is f32"});
  expect_error([&] { ops::roi_align({x}, {4}, leaf(rois), 2); }, {"rois have no gradient"});
  expect_error([&] { ops::roi_align({x}, {4}, rois, 0); }, {"0 x 0"});
  rois.data<double>()[5] = 2;
  expect_error([&] { ops::roi_align({x}, {4}, rois, 2); }, {"box 1 is {2, 0", "0 ... 1"});
  rois.data<double>()[5] = 1;
  rois.data<double>()[13] = NAN;
  expect_error([&] { ops::roi_align({x}, {4}, rois, 2); }, {"box 2", "nan"});
}

}  // namespace rmt::test

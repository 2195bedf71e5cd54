#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "ops/giou_loss.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

constexpr std::array<double, 4> kStds = {0.1, 0.1, 0.2, 0.2};

std::vector<double> naive(Inputs in) {
  double sum = 0;
  for (int64_t i = 0; i < in[0].dim(0); ++i) {
    const double *d = in[0].data<double>() + 4 * i, *a = in[1].data<double>() + 4 * i,
                 *t = in[2].data<double>() + 4 * i;
    const double w = a[2] - a[0], h = a[3] - a[1], limit = std::log(1000. / 16);
    const double x = (a[0] + a[2]) / 2 + w * d[0] * kStds[0],
                 y = (a[1] + a[3]) / 2 + h * d[1] * kStds[1];
    const double bw = w * std::exp(std::clamp(d[2] * kStds[2], -limit, limit)),
                 bh = h * std::exp(std::clamp(d[3] * kStds[3], -limit, limit));
    const double b[4] = {x - bw / 2, y - bh / 2, x + bw / 2, y + bh / 2};
    const double I = std::max(std::min(b[2], t[2]) - std::max(b[0], t[0]), 0.) *
                     std::max(std::min(b[3], t[3]) - std::max(b[1], t[1]), 0.);
    const double U = std::max(bw * bh + (t[2] - t[0]) * (t[3] - t[1]) - I, 1e-6);
    const double E = std::max((std::max(b[2], t[2]) - std::min(b[0], t[0])) *
                                  (std::max(b[3], t[3]) - std::min(b[1], t[1])),
                              1e-6);
    sum += 1 - (I / U - (E - U) / E);
  }
  return {sum / 2.5};
}

// Boxes near their targets, which overlap in all ways, or far from them.
std::vector<Tensor> inputs(int64_t N, double apart) {
  const Tensor boxes = randn({N, 4}, 2, 0, 3), targets = randn({N, 4}, 3, 0, 3);
  for (int64_t i = 0; i < N; ++i)
    for (double* box : {boxes.data<double>() + 4 * i, targets.data<double>() + 4 * i})
      for (int k = 0; k < 2; ++k) {
        box[k] = float(box[k] + (box == boxes.data<double>() + 4 * i ? apart : 0));
        box[k + 2] = float(box[k] + 8 + std::fabs(box[k + 2]));
      }
  return {randn({N, 4}, 1), boxes, targets};
}

Tensor loss(Inputs in) { return ops::giou_loss(in[0], in[1], in[2], kStds, 2.5); }

}  // namespace

TEST(GiouLoss, Op) {
  for (double apart : {0., 9., 40.})
    for (int64_t N : {1, 7, 57, 300})
      check_op("giou_loss", loss, inputs(N, apart),
               {.reference = naive,
                .differentiable = {true, false, false},
                .parameters = {false, true, true},
                .max_probes = 100});
}

// As torchvision.ops.generalized_box_iou_loss after the decoding (tests/golden/
// make_dense_op_golden.py): boxes that overlap, lie apart and contain each other, and one whose
// width is held at the clamp, without a gradient.
TEST(GiouLoss, AsTorchvision) {
  const Tensor boxes =
      Tensor::from<double>({10, 20, 50, 60, 0, 0, 8, 8, 30, 30, 90, 70, 5, 5, 6, 7}, {4, 4});
  const Tensor targets =
      Tensor::from<double>({15, 18, 47, 70, 20, 30, 28, 41, 40, 35, 60, 60, 1, 2, 300, 9}, {4, 4});
  const Tensor deltas = leaf(Tensor::from<double>(
      {0.5, -1, 0.25, 2, 1, 1, -1, 0.5, 0.25, -0.5, 0, 0.75, 0.5, 1, 25, -1}, {4, 4}));
  const Tensor y = ops::giou_loss(deltas, boxes, targets, kStds, 2);
  EXPECT_NEAR(y.item<double>(), 2.0783421044858, 1e-13);
  backward(y);
  const std::vector<double> expected = {
      0.0000000000000,  -0.0452489067521, 0.0599706789554,  -0.0139532249356,
      -0.0020498741663, -0.0013360252914, -0.0037064927520, -0.0039082514741,
      0.0000000000000,  0.0000000000000,  0.0179314161755,  0.0179314161755,
      -0.0001473321810, 0.0000000000000,  0.0000000000000,  -0.0046050112342};
  for (size_t i = 0; i < 16; ++i)
    EXPECT_NEAR(grad(deltas).to_vector<double>()[i], expected[i], 1e-13) << i;
}

// A perfect box has the loss 0. It is at a kink of each maximum and minimum, where each side is
// given one half of the derivative, so that these cancel.
TEST(GiouLoss, OfEqualBoxesIsZeroAndSoIsItsGradient) {
  const Tensor boxes = Tensor::from<double>({2, 4, 10, 20}, {1, 4});
  const Tensor deltas = leaf(Tensor::zeros({1, 4}, DType::f64));
  const Tensor y = ops::giou_loss(deltas, boxes, boxes, kStds, 1);
  EXPECT_NEAR(y.item<double>(), 0, 1e-15);
  backward(y);
  for (double d : grad(deltas).to_vector<double>()) EXPECT_NEAR(d, 0, 1e-15);
}

// Of boxes without an area, U and E are held at 1e-6: the loss is finite, and so is its gradient.
TEST(GiouLoss, IsFiniteForBoxesWithoutAnArea) {
  const Tensor point = Tensor::from<double>({5, 5, 5, 5}, {1, 4});
  const Tensor deltas = leaf(Tensor::full({1, 4}, 0.5, DType::f64));
  const Tensor y = ops::giou_loss(deltas, point, point, kStds, 1);
  EXPECT_EQ(y.item<double>(), 1);
  backward(y);
  EXPECT_EQ(grad(deltas).to_vector<double>(), std::vector<double>(4, 0.));
}

TEST(GiouLoss, OfNoBoxesIsZero) {
  const Tensor none = Tensor::zeros({0, 4}, DType::f64), deltas = leaf(none.clone());
  const Tensor y = ops::giou_loss(deltas, none, none, kStds, 1);
  EXPECT_EQ(y.item<double>(), 0);
  backward(y);
  EXPECT_EQ(grad(deltas).shape(), Shape({0, 4}));
}

TEST(GiouLoss, Errors) {
  const Tensor x = randn({5, 4});
  expect_error([&] { ops::giou_loss({}, x, x, kStds, 1); }, {"deltas is undefined"});
  expect_error([&] { ops::giou_loss(randn({5, 3}), x, x, kStds, 1); }, {"(5, 3)", "(N, 4)"});
  expect_error([&] { ops::giou_loss(x, randn({4, 4}), x, kStds, 1); }, {"boxes is f64 (4, 4)"});
  expect_error([&] { ops::giou_loss(x, x, x.to(DType::f32), kStds, 1); }, {"targets is f32"});
  expect_error([&] { ops::giou_loss(x, leaf(x), x, kStds, 1); }, {"no gradient"});
  expect_error([&] { ops::giou_loss(x, x, x, kStds, 0); }, {"normaliser 0"});
}

}  // namespace rmt::test

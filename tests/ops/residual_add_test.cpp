#include <gtest/gtest.h>

#include "autograd/backward.h"
#include "ops/residual_add.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

// in: x, f, gamma or undefined, s or undefined
std::vector<double> naive(Inputs in) {
  const int64_t C = in[0].shape()[-1], B = in[0].dim(0);
  std::vector<double> y = in[0].to_vector<double>();
  for (int64_t i = 0; i < in[0].numel(); ++i) {
    const double gamma = in[2].defined() ? in[2].data<double>()[i % C] : 1,
                 s = in[3].defined() ? in[3].data<double>()[i / (in[0].numel() / B)] : 1;
    y[size_t(i)] += s * gamma * in[1].data<double>()[i];
  }
  return y;
}

Tensor residual_add(Inputs in) { return ops::residual_add(in[0], in[1], in[2], in[3]); }

Tensor drop_path(int64_t B) {  // 0, 1.25, 1.25, 0, ...
  Tensor s = Tensor::full({B}, 1.25, DType::f64);
  for (int64_t b = 0; b < B; b += 3) s.data<double>()[b] = 0;
  return s;
}

}  // namespace

TEST(ResidualAdd, Op) {
  // Several channels wherever there are many rows: dgamma's error is measured against its norm, and
  // one sum of many signs alone may be small by chance.
  for (Shape shape : {Shape{2, 13}, Shape{2, 1}, Shape{5, 7, 7, 3}, Shape{2, 3, 5, 57},
                      Shape{3, 49, 32}, Shape{2, 640}, Shape{7, 211, 40}})
    for (bool with_gamma : {false, true})
      for (bool with_s : {false, true}) {
        const int64_t C = shape[-1];
        Tensor gamma = with_gamma ? randn(with_s ? Shape{1, 1, 1, C} : Shape{C}, 3) : Tensor(),
               s = with_s ? drop_path(shape[0]) : Tensor();
        check_op("residual_add", residual_add, {randn(shape, 1), randn(shape, 2), gamma, s},
                 {.reference = naive,
                  .differentiable = {true, true, with_gamma, false},
                  .parameters = {false, false, true, true},
                  .max_probes = 30});
      }
}

TEST(ResidualAdd, EmptyBatch) {
  check_op("residual_add", residual_add,
           {randn({0, 7, 13}), randn({0, 7, 13}), randn({13}), randn({0})},
           {.differentiable = {true, true, true, false},
            .parameters = {false, false, true, true},
            .may_be_zero = true});
}

TEST(ResidualAdd, EachGradientAlone) {
  for (int i = 0; i < 3; ++i) {
    std::vector<bool> differentiable(4, false);
    differentiable[size_t(i)] = true;
    check_op("residual_add", residual_add,
             {randn({3, 7, 13}, 1), randn({3, 7, 13}, 2), randn({13}, 3), drop_path(3)},
             {.reference = naive,
              .differentiable = differentiable,
              .parameters = {false, false, true, true}});
  }
}

TEST(ResidualAdd, GradientOfTheShortcutIsNotCopied) {
  Tensor x = leaf(randn({3, 7, 13})), f = leaf(randn({3, 7, 13}, 2)), dy = randn({3, 7, 13}, 3);
  backward(ops::residual_add(x, f, {}, drop_path(3)), dy);
  EXPECT_EQ(grad(x).raw(), dy.raw());
  EXPECT_NE(grad(f).raw(), dy.raw());
  clear_grad(f);
  backward(ops::residual_add(x.detach(), f), dy);
  EXPECT_EQ(grad(f).raw(), dy.raw());
}

TEST(ResidualAdd, ABranchOfItself) {  // x + s gamma x: both gradients meet at x
  auto op = [](Inputs in) { return ops::residual_add(in[0], in[0], in[1], in[2]); };
  check_op("residual_add", op, {randn({3, 7, 13}, 1), randn({13}, 3), drop_path(3)},
           {.differentiable = {true, true, false}, .parameters = {false, true, true}});
}

TEST(ResidualAdd, Errors) {
  Tensor x = randn({3, 7, 13}), gamma = randn({13}), s = randn({3});
  expect_error([&] { ops::residual_add({}, x); }, {"residual_add", "x is undefined"});
  expect_error([&] { ops::residual_add(x, {}); }, {"residual_add", "f is undefined"});
  expect_error([&] { ops::residual_add(gamma, gamma); }, {"residual_add", "(13)", "(B, ..., C)"});
  expect_error(
      [&] {
        ops::residual_add(x, randn({3, 13}));
      },
      {"residual_add", "f is f64 (3, 13)", "expected f64 (3, 7, 13)"});
  expect_error([&] { ops::residual_add(x, x, randn({7})); },
               {"residual_add", "gamma is f64 (7)", "expected 13 elements"});
  expect_error([&] { ops::residual_add(x, x, gamma.to(DType::f32)); },
               {"residual_add", "gamma is f32", "of f64"});
  expect_error([&] { ops::residual_add(x, x, gamma, randn({7})); },
               {"residual_add", "s is f64 (7)", "expected f64 (3)"});
  expect_error([&] { ops::residual_add(x, x, gamma, leaf(s)); },
               {"residual_add", "s has no gradient"});
}

}  // namespace rmt::test

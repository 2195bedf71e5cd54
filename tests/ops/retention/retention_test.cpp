// The op in its three forms against its definition, by check_op; that the forms agree; and why only
// something without a softmax has a recurrent form.
#include "ops/retention/retention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "tests/check_op.h"

namespace rmt::test {
namespace {

using ops::RetentionForm, ops::RetentionOptions;

constexpr RetentionForm kForms[] = {RetentionForm::parallel, RetentionForm::chunkwise,
                                    RetentionForm::recurrent};
constexpr double kEps32 = 0x1p-24;

// log(1 - 2^(-2 - 6 i / heads)), as RMT's; rounded to float.
Tensor decays(int64_t heads) {
  Tensor d = Tensor::empty({heads}, DType::f64);
  for (int64_t i = 0; i < heads; ++i)
    d.data<double>()[i] = float(std::log1p(-std::exp2(-2 - 6 * double(i) / double(heads))));
  return d;
}

// q, k (B, L, heads D), v (B, L, heads E), decay (heads)
std::vector<Tensor> inputs_for(int64_t B, int64_t L, int64_t heads, int64_t D, int64_t E) {
  return {randn({B, L, heads * D}, 1), randn({B, L, heads * D}, 2), randn({B, L, heads * E}, 3),
          decays(heads)};
}

Tensor retain(Inputs in, const RetentionOptions& o) {
  return ops::retention(in[0], in[1], in[2], in[3], o);
}

// y_n = sum over m <= n of gamma^(n-m) (q_n . k_m) v_m, for each head.
std::vector<double> define(Inputs in, int64_t heads) {
  const int64_t B = in[0].dim(0), L = in[0].dim(1), C = in[0].dim(2), Cv = in[2].dim(2);
  const int64_t D = C / heads, E = Cv / heads;
  std::vector<double> y(size_t(B * L * Cv));
  for (int64_t b = 0; b < B; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t n = 0; n < L; ++n)
        for (int64_t m = 0; m <= n; ++m) {
          const double* q = in[0].data<double>() + (b * L + n) * C + h * D;
          const double* k = in[1].data<double>() + (b * L + m) * C + h * D;
          const double* v = in[2].data<double>() + (b * L + m) * Cv + h * E;
          double score = std::exp(in[3].data<double>()[h] * double(n - m));
          double product = 0;
          for (int64_t d = 0; d < D; ++d) product += q[d] * k[d];
          score *= product;
          for (int64_t e = 0; e < E; ++e) y[size_t((b * L + n) * Cv + h * E + e)] += score * v[e];
        }
  return y;
}

// y, dq, dk, dv for dy = u.
std::vector<Tensor> results(Inputs in, const Tensor& u, const RetentionOptions& o) {
  std::vector<Tensor> x = {leaf(in[0]), leaf(in[1]), leaf(in[2]), in[3]};
  const Tensor y = retain(x, o);
  backward(y, u);
  return {y.detach(), grad(x[0]), grad(x[1]), grad(x[2])};
}

}  // namespace

TEST(Retention, Op) {
  struct Case {
    int64_t B, L, heads, D, E, chunk;
  };
  int number = 0;  // of the form of a case: an emulated GPU leaves out every fourth
  for (Case c : {Case{2, 1, 1, 1, 1, 64},
                 {1, 7, 2, 4, 3, 3},
                 {2, 13, 3, 2, 5, 4},
                 {1, 49, 1, 8, 16, 7},
                 {1, 57, 2, 5, 7, 16},
                 {1, 57, 1, 33, 1, 40},
                 {1, 13, 1, 3, 37, 1},
                 {0, 7, 2, 4, 4, 2},
                 {2, 0, 2, 4, 4, 2}})
    for (RetentionForm form : kForms) {
      const RetentionOptions o{c.heads, form, c.chunk};
      CheckOptions options;
      options.reference = [&](Inputs in) { return define(in, c.heads); };
      options.differentiable = {true, true, true, false};
      options.parameters = {false, false, false, true};
      // A term is a product of sqrt D or sqrt E roundings and a power of gamma that has up to
      // n - m <= 57 of its own where it is made by multiplication.
      options.f32_tolerance = 64 * kEps32;
      options.max_probes = 20;
      options.on_gpu = number++ % 4 != 3;
      check_op(
          str("retention, form ", int(form), ", chunk ", c.chunk),
          [&](Inputs in) { return retain(in, o); }, inputs_for(c.B, c.L, c.heads, c.D, c.E),
          options);
    }
}

TEST(Retention, FormsAgree) {
  const std::vector<Tensor> in = inputs_for(2, 200, 4, 8, 12);
  const Tensor u = randn(in[2].shape(), 9);
  const std::vector<Tensor> expected = results(in, u, {4, RetentionForm::parallel});
  for (int64_t chunk : {1, 49, 64, 1000})
    for (RetentionForm form : kForms) {
      const std::vector<Tensor> r = results(in, u, {4, form, chunk});
      for (size_t i = 0; i < r.size(); ++i)
        EXPECT_LE(relative_error(r[i], expected[i]), 1e-10) << int(form) << ", " << i;
    }
}

// Without decay nothing is forgotten: y_n = q_n (k_0^T v_0 + ... + k_n^T v_n).
TEST(Retention, WithoutDecayIsLinearAttention) {
  const Tensor one = Tensor::full({1, 300, 1}, 1, DType::f64);
  for (RetentionForm form : kForms) {
    const Tensor y = ops::retention(one, one, one, Tensor::zeros({1}, DType::f64), {1, form, 37});
    for (int64_t n = 0; n < 300; ++n) EXPECT_EQ(y.data<double>()[n], double(n + 1)) << int(form);
  }
}

TEST(Retention, MapsAreReadInRasterOrder) {
  const std::vector<Tensor> in = inputs_for(2, 35, 2, 4, 6);
  for (RetentionForm form : kForms) {
    const Tensor y = ops::retention(in[0].view({2, 5, 7, 8}), in[1].view({2, 5, 7, 8}),
                                    in[2].view({2, 5, 7, 12}), in[3], {2, form, 8});
    EXPECT_EQ(y.shape(), Shape({2, 5, 7, 12}));
    EXPECT_EQ(y.to_vector<double>(), retain(in, {2, form, 8}).to_vector<double>());
  }
}

// What comes later changes no bit of what came before.
TEST(Retention, TheFutureHasNoEffect) {
  for (RetentionForm form : kForms) {
    std::vector<Tensor> in = inputs_for(1, 40, 1, 4, 4);
    const std::vector<double> before = retain(in, {1, form, 16}).to_vector<double>();
    for (int64_t i = 0; i < 4; ++i) {
      in[1].data<double>()[21 * 4 + i] += 1e3;
      in[2].data<double>()[21 * 4 + i] -= 1e3;
    }
    const std::vector<double> after = retain(in, {1, form, 16}).to_vector<double>();
    for (size_t i = 0; i < 21 * 4; ++i) EXPECT_EQ(before[i], after[i]) << int(form) << ", " << i;
  }
}

TEST(Retention, Errors) {
  const Tensor x = Tensor::zeros({2, 5, 8}), v = Tensor::zeros({2, 5, 4}), d = Tensor::zeros({2});
  auto call = [](const Tensor& q, const Tensor& k, const Tensor& value, const Tensor& decay,
                 RetentionOptions o) { return [=] { ops::retention(q, k, value, decay, o); }; };
  expect_error(call({}, x, v, d, {2}), {"retention", "q is undefined"});
  expect_error(call(Tensor::zeros({5, 8}), x, v, d, {2}), {"q is (5, 8)", "(B, L, C)"});
  expect_error(call(x, Tensor::zeros({2, 4, 8}), v, d, {2}), {"k is f32 (2, 4, 8)", "(2, 5, 8)"});
  expect_error(call(x, x, Tensor::zeros({2, 4, 4}), d, {2}), {"v is f32 (2, 4, 4)", "(2, 5, 4)"});
  expect_error(call(x, x, Tensor::zeros({2, 5, 4}, DType::f64), d, {2}), {"v is f64", "f32"});
  expect_error(call(x, x, v, Tensor::zeros({3}), {3}), {"8 channels", "4 of v", "3 heads"});
  expect_error(call(x, x, v, d, {0}), {"0 heads"});
  expect_error(call(x, x, v, Tensor::zeros({4}), {2}), {"decay is f32 (4)", "(2)"});
  expect_error(call(x, x, v, {}, {2}), {"decay is undefined"});
  expect_error(call(x, x, v, leaf(d), {2}), {"decay has no gradient", "detach"});
  expect_error(call(x, x, v, d, {2, RetentionForm::chunkwise, 0}), {"chunks of 0", "at least 1"});
}

}  // namespace rmt::test

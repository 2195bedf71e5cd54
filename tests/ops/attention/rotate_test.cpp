#include "ops/attention/rotate.h"

#include "ops/attention/rotary.h"
#include "tests/ops/attention/attention_inputs.h"

namespace rmt::test {

TEST(Rotate, Op) {
  auto naive = [](Inputs in) {
    const int64_t D = in[1].dim(1), C = in[0].dim(3), L = in[0].dim(1) * in[0].dim(2);
    const double *x = in[0].data<double>(), *table = in[1].data<double>();
    std::vector<double> y(size_t(in[0].numel()));
    for (int64_t i = 0; i < in[0].numel(); i += 2) {
      const double* angle = table + i / C % L * D + i % D;
      y[size_t(i)] = x[i] * angle[0] - x[i + 1] * angle[1];
      y[size_t(i + 1)] = x[i + 1] * angle[0] + x[i] * angle[1];
    }
    return y;
  };
  struct Case {
    int64_t B, H, W, heads, D;
  };
  for (Case c : {Case{1, 1, 1, 1, 2},
                 {2, 7, 7, 3, 6},
                 {2, 1, 13, 1, 32},
                 {1, 57, 1, 2, 10},
                 {0, 7, 7, 2, 4}})
    check_op("rotate", [](Inputs in) { return ops::rotate(in[0], in[1]); },
             {randn({c.B, c.H, c.W, c.heads * c.D}), rotary_of(c.H, c.W, c.D)},
             {.reference = naive,
              .differentiable = {true, false},
              .parameters = {false, true},
              .max_probes = 50});
}

// What manhattan_attention does inside.
TEST(Rotate, IsTheRotationOfAttention) {
  const std::vector<Tensor> in = inputs_for(2, 5, 7, 2, 6);
  const ops::ManhattanOptions o{2};
  const Tensor expected = attend(in, o);
  const Tensor y = ops::manhattan_attention(ops::rotate(in[0], in[4]), ops::rotate(in[1], in[4]),
                                            in[2], in[3], {}, o);
  expect_near(y, expected, 1e-13, "rotated outside");
}

TEST(Rotate, Errors) {
  const Tensor x = Tensor::zeros({2, 3, 5, 8}), table = Tensor::zeros({15, 4});
  expect_error([&] { ops::rotate({}, table); }, {"rotate", "x is"});
  expect_error([&] { ops::rotate(Tensor::zeros({3, 5, 8}), table); }, {"x is (3, 5, 8)"});
  expect_error([&] { ops::rotate(x, {}); }, {"rotary is undefined"});
  expect_error([&] { ops::rotate(x, Tensor::zeros({15, 3})); }, {"(15, 3)", "D even"});
  expect_error([&] { ops::rotate(x, Tensor::zeros({15, 6})); }, {"8 channels", "(15, 6)"});
  expect_error([&] { ops::rotate(x, Tensor::zeros({14, 4})); }, {"(14, 4)", "(15, 4)"});
  expect_error([&] { ops::rotate(x, Tensor::zeros({15, 4}, DType::f64)); }, {"f64", "f32"});
  expect_error([&] { ops::rotate(x, leaf(table)); }, {"rotary has no gradient", "detach"});
}

}  // namespace rmt::test

// The gradient of a whole model: all parameters move along a random direction d, and
// (f(w + h d) - f(w - h d)) / 2h is compared with d . df/dw.
#pragma once
#include <gtest/gtest.h>

#include <cmath>

#include "autograd/backward.h"
#include "nn/classifier.h"
#include "ops/mul.h"
#include "ops/sum.h"
#include "tests/check_op.h"

namespace rmt::test {

// Adds `by` times the directions to the parameters.
inline void move(nn::Module& model, const std::vector<Tensor>& directions, double by) {
  const std::vector<nn::Entry> parameters = model.parameters();
  for (size_t p = 0; p < parameters.size(); ++p)
    for (int64_t i = 0; i < directions[p].numel(); ++i)
      parameters[p].tensor->data<double>()[i] += by * directions[p].data<double>()[i];
}

// In f64 and in training, with weights that are larger than the initial ones, so that every part
// matters to the result.
inline void prepare(nn::Module& model) {
  model.init(3);
  for (nn::Entry& e : model.parameters()) {
    Tensor noise = randn(e.tensor->shape(), std::hash<std::string>()(e.name), 0, 0.15);
    for (int64_t i = 0; i < noise.numel(); ++i)
      e.tensor->data<float>()[i] += float(noise.data<double>()[i]);
  }
  model.to(DType::f64);
  model.mode() = {.training = true, .seed = 11, .step = 4};
}

// d . df/dw by the backward pass, and the directions d. Every parameter must get a gradient.
inline double slope_along(nn::Module& model, std::vector<Tensor>& directions) {
  double slope = 0;
  for (nn::Entry& e : model.parameters()) {
    Tensor d = randn(e.tensor->shape(), std::hash<std::string>()(e.name) + 1, 0, 0.1);
    directions.push_back(d);
    EXPECT_TRUE(grad(*e.tensor).defined()) << e.name << " gets no gradient";
    if (!grad(*e.tensor).defined()) continue;
    for (int64_t i = 0; i < d.numel(); ++i)
      slope += d.data<double>()[i] * grad(*e.tensor).data<double>()[i];
  }
  return slope;
}

// Of sum(u . model(images)), for a prepared model; u like the logits.
inline void expect_gradient_along_a_direction(nn::Classifier& model, const Tensor& images,
                                              const Tensor& u) {
  auto value = [&] { return ops::sum(ops::mul(model.forward(images), u)); };
  backward(value());
  std::vector<Tensor> directions;
  const double slope = slope_along(model, directions);
  auto at = [&](double h) {
    NoGrad off;
    move(model, directions, h);
    const double f = value().item<double>();
    move(model, directions, -h);
    return f;
  };
  // Four-point central difference: error h^4 f^(5) / 30 + 1e-16 |f| / h, both below 1e-9 for
  // h = 1e-4 and values of order 1 to 100.
  const double h = 1e-4, numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h);
  EXPECT_NEAR(slope, numeric, 1e-7 * (1 + std::fabs(slope)));
}

}  // namespace rmt::test

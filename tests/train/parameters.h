// What the tests of the optimizer move: four parameters, of which one is often without a gradient,
// and the same with the buffers of a batch norm.
#pragma once
#include <gtest/gtest.h>

#include <cmath>

#include "core/cuda/device.h"
#include "tests/check_op.h"
#include "tests/device.h"
#include "train/optimizer.h"

namespace rmt::test {
using namespace train;

struct Parameters : nn::Module {
  Tensor &weight, &bias, &gamma, &idle;
  Parameters(int64_t O, int64_t I)
      : weight(parameter("fc.weight", {O, I})),
        bias(parameter("fc.bias", {O})),
        gamma(parameter("gamma_1", {1, 1, 1, O})),
        idle(parameter("idle", {O, I})) {}
  void fill(DType dtype) {
    to(dtype);
    uint64_t seed = 1;
    for (const nn::Entry& e : parameters()) e.tensor->copy_from(randn(e.tensor->shape(), seed++));
  }
  void draw_gradients(uint64_t seed) {
    for (Tensor* p : {&weight, &bias, &gamma})
      set_grad(*p, randn(p->shape(), seed++).to(p->dtype()));
  }
};

struct WithStatistics : Parameters {
  Tensor &mean, &count;
  WithStatistics()
      : Parameters(67, 131),
        mean(buffer("norm.running_mean", Tensor::zeros({67}))),
        count(buffer("norm.count", Tensor::zeros({}, DType::i64))) {}
  WithStatistics& on(Device device) {
    fill(DType::f32);
    nn::Module::to(device);
    return *this;
  }
  void set_gradients(double scale, uint64_t seed) {
    for (Tensor* p : {&weight, &bias, &gamma})
      set_grad(*p, (randn(p->shape(), seed++, 0, scale)).to(DType::f32).to(p->device()));
  }
};

inline Tensor scalar(double x, Device device) { return Tensor::full({}, x, DType::f32, device); }

inline std::vector<Device> devices() {
  std::vector<Device> all = {Device::cpu};
  if (cuda::available()) all.push_back(Device::cuda);
  return all;
}

}  // namespace rmt::test

// Dropout (Srivastava et al., 2014): in training each number is left out with probability `rate`,
// and otherwise divided by 1 - rate; in evaluation all pass as they are.  (B, ...) -> same
#pragma once
#include "nn/module.h"
#include "ops/drop_channels.h"

namespace rmt::nn {

// What is dropped is a function of (seed, step, layer, element) alone: neither the cut of a batch
// into parts nor the number of threads changes it.
struct Dropout : Module {
  double rate;
  int64_t layer;  // a number of its own for each Dropout of a model, so that they draw differently
  Dropout(double rate_, int64_t layer_) : rate(rate_), layer(layer_) {
    CHECK(rate >= 0 && rate < 1, "dropout rate ", rate, " is not in [0, 1)");
  }

  Tensor forward(const Tensor& x) { return drop(x, ops::dropout); }

 protected:
  using Op = Tensor(const Tensor& x, const Tensor& step, const ops::DropoutOptions& options);

  Tensor drop(const Tensor& x, Op* op) {
    const Mode& m = mode();
    if (!m.training || rate == 0) return x;
    const Tensor step = x.device() == Device::cuda && m.step_on_gpu.defined()
                            ? m.step_on_gpu
                            : Tensor::full({}, double(m.step), DType::i64, x.device());
    return op(x, step, {m.seed, layer, m.first_sample, rate});
  }
};

// The same, but a channel of a sample is dropped whole, by one lot.  (B, ..., C) -> same
struct DropoutOfChannels : Dropout {
  using Dropout::Dropout;
  Tensor forward(const Tensor& x) { return drop(x, ops::drop_channels); }
};

}  // namespace rmt::nn

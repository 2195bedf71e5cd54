// Normalisation: subtract a mean, divide by a standard deviation, then scale and shift by learned
// numbers. They differ in what the mean is taken over: the channels of one token (LayerNorm), all
// tokens of the batch for one channel (BatchNorm), or all tokens of one image for a group of
// channels (GroupNorm).  (..., C) -> same
#pragma once
#include "nn/module.h"
#include "ops/batch_norm.h"
#include "ops/group_norm.h"
#include "ops/layer_norm.h"

namespace rmt::nn {

struct LayerNorm : Module {
  Tensor& weight;  // (C)
  Tensor& bias;    // (C)
  double eps;
  explicit LayerNorm(int64_t C, double eps_ = 1e-6)
      : weight(parameter("weight", {C})), bias(parameter("bias", {C})), eps(eps_) {}
  Tensor forward(const Tensor& x) { return ops::layer_norm(x, weight, bias, eps); }

 protected:
  void init_own(const std::function<Random()>&) override {
    weight.fill(1);
    bias.fill(0);
  }
};

// (B, ..., C) -> same
struct GroupNorm : Module {
  int64_t groups;
  Tensor& weight;  // (C)
  Tensor& bias;    // (C)
  double eps;
  GroupNorm(int64_t groups_, int64_t C, double eps_ = 1e-5)
      : groups(groups_), weight(parameter("weight", {C})), bias(parameter("bias", {C})), eps(eps_) {
    CHECK(groups > 0 && C % groups == 0, "GroupNorm: ", groups, " groups do not divide ", C,
          " channels");
  }
  Tensor forward(const Tensor& x) { return ops::group_norm(x, groups, weight, bias, eps); }

 protected:
  void init_own(const std::function<Random()>&) override {
    weight.fill(1);
    bias.fill(0);
  }
};

// In training the statistics are the batch's (with Mode::processes: of all their batches together),
// and the running ones move a tenth of the way towards them. In evaluation they are the running
// ones, so that an image's result does not depend on its neighbours in the batch; and so they are
// in training while weight and bias are frozen.
struct BatchNorm : Module {
  Tensor &weight, &bias;               // (C)
  Tensor &running_mean, &running_var;  // (C)
  Tensor& num_batches_tracked;         // () i64: how often the running statistics have moved
  explicit BatchNorm(int64_t C)
      : weight(parameter("weight", {C})),
        bias(parameter("bias", {C})),
        running_mean(buffer("running_mean", Tensor::zeros({C}))),
        running_var(buffer("running_var", Tensor::full({C}, 1))),
        num_batches_tracked(buffer("num_batches_tracked", Tensor::zeros({}, DType::i64))) {}

  // moments: of x, where a convolution left them (ops/conv2d.h).
  Tensor forward(const Tensor& x, const Tensor& moments = {}) {
    const ops::BatchNormInputs in = inputs(moments);
    return ops::batch_norm(x, in.w, in.bias, in.running_mean, in.running_var, in.options);
  }
  // For an op that contains this norm. In training it counts a batch.
  ops::BatchNormInputs inputs(const Tensor& moments) {
    if (takes_batch()) num_batches_tracked.add_from(one());
    return {weight,
            bias,
            running_mean,
            running_var,
            {.training = takes_batch(), .processes = mode().processes, .moments = moments}};
  }
  // Is the batch normalised by its own statistics?
  bool takes_batch() { return mode().training && !(is_frozen(weight) && is_frozen(bias)); }

 protected:
  void init_own(const std::function<Random()>&) override {
    weight.fill(1);
    bias.fill(0);
    running_mean.fill(0);
    running_var.fill(1);
    num_batches_tracked.fill(0);
  }

 private:
  // The number 1 on the device of the counter, made once: a recorded training step goes on adding
  // it from where it lies.
  const Tensor& one() {
    if (!one_.defined() || one_.device() != num_batches_tracked.device())
      one_ = Tensor::full({}, 1, DType::i64, num_batches_tracked.device());
    return one_;
  }
  Tensor one_;
};

}  // namespace rmt::nn

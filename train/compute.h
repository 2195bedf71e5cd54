// Where a program computes, with what numbers and with whom: the flags --device, --amp and --tf32,
// and the processes that were started with it.
#pragma once
#include "core/processes/processes.h"
#include "core/tensor.h"
#include "data/loader.h"
#include "nn/module.h"
#include "train/options.h"

namespace rmt::train {

struct Compute {
  Device device = Device::cpu;
  DType dtype = DType::f32;  // of activations; parameters are f32
  Processes* processes = &alone();

  // Images as the model reads them, on its device and of its dtype, (B, H, W, 3); padding is 0.
  // `transform` is that of the batch's loader.
  Tensor images(const data::Batch& batch, const data::TransformOptions& transform) const;
  // Brings the model to the device, with copies of its parameters in `dtype` where that is another.
  void prepare(nn::Module& model) const;
};

// "2 threads", or "NVIDIA H200, bf16, 2 threads".
std::string device_text(const Compute& compute);

// Chooses and opens the device. Error for one that was asked for by name and is not to be had; with
// "auto" that is a line on stderr, and the CPU. Error in all processes where only some have a GPU.
Compute choose_compute(const TrainOptions& options, Processes& processes = alone());

}  // namespace rmt::train

// How much of the machine a run uses. Model FLOPs utilization (Chowdhery et al., "PaLM", 2022,
// appendix B): the operations that a training step must do, over those that the device could have
// done in the same time.
#pragma once
#include <cstdint>
#include <string>

#include "train/compute.h"

namespace rmt::train {

//   MFU = 2 operations a multiply-add x 3 passes x multiply-adds an image x images a second / peak
//
// The three passes: forward, and backward to the inputs and to the weights. What is computed again,
// as with --grad-checkpointing, does not count. 0 where the peak is not known.
double model_flops_utilization(int64_t multiply_adds, double images_per_s, double peak);

// Operations a second that the device could do in its best case, at the dtype that `compute` works
// in: of the processor, measured on threads() threads in some ten milliseconds; of a GPU, looked up
// by its name. 0: not known.
double peak_flops(const Compute& compute);

// f32 multiply-adds of vectors in registers, on `threads` threads at once, and nothing else.
// Operations a second; best of three.
double measure_processor_peak(int threads);

// NVIDIA's figure for matrices without sparsity; sums in f32. `tf32`: of f32 numbers that may be
// rounded to it. 0 for a GPU that is not in the table.
double gpu_peak(const std::string& device, DType dtype, bool tf32);

}  // namespace rmt::train

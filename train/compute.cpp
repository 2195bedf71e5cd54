#include "train/compute.h"

#include <iostream>

#include "core/cuda/device.h"
#include "core/parallel.h"
#include "core/processes/start.h"
#include "ops/mul.h"
#include "ops/normalize.h"
#include "train/agreement.h"

namespace rmt::train {
namespace {

// "cuda" and "cuda:2" -> this process's and 2, anything else -> -1
int gpu_number(const std::string& device) {
  if (device == "cuda") return gpu_of_process();
  if (device.size() < 6 || device.size() > 8 || !device.starts_with("cuda:") ||
      device.find_first_not_of("0123456789", 5) != std::string::npos)
    return -1;
  return std::stoi(device.substr(5));
}

Device choose_device(const std::string& name) {
  if (name == "cpu") return Device::cpu;
  if (name == "auto") {
    if (cuda::emulated()) return Device::cpu;
    try {
      cuda::select(gpu_of_process());
      return Device::cuda;
    } catch (const Error&) {
      std::cerr << "no GPU, running on the CPU (" << cuda::why_not() << ")" << std::endl;
      return Device::cpu;
    }
  }
  if (name == "emulated") {
    CHECK(cuda::emulated(),
          "--device emulated: this program was built for a real GPU; build without CUDA=1 to "
          "emulate one");
    return Device::cuda;
  }
  const int number = gpu_number(name);
  CHECK(number >= 0, "--device ", name,
        " is none of auto, cpu, cuda, cuda:N (the GPU number N), emulated");
  CHECK(!cuda::emulated(), "--device ", name,
        ": this program was built without CUDA; build it with make CUDA=1, or try its kernels, "
        "slowly, with --device emulated");
  try {
    cuda::select(number);
  } catch (const Error& e) {
    throw Error(str("--device ", name, ": ", e.what(), "; --device cpu computes without a GPU"));
  }
  return Device::cuda;
}

}  // namespace

std::string device_text(const Compute& c) {
  const std::string on_cpu = str(threads(), " threads");
  return c.device == Device::cpu ? on_cpu : str(cuda::info().name, ", ", c.dtype, ", ", on_cpu);
}

Compute choose_compute(const TrainOptions& o, Processes& processes) {
  CHECK(o.amp == "none" || o.amp == "bf16", "--amp ", o.amp,
        " is neither none nor bf16 (fp16, with its loss scaling, is not needed: bf16 has the range "
        "of f32)");
  Compute c{.processes = &processes};
  c.device = choose_device(o.device);
  // A process on the CPU would keep the others' GPUs waiting for it.
  check_agreement(processes, {{"device (GPU or CPU)", c.device == Device::cuda ? "GPU" : "CPU"}});
  if (o.amp == "bf16") {
    CHECK(c.device == Device::cuda,
          "--amp bf16 is for a GPU; on the CPU f32 is faster: leave it out");
    c.dtype = DType::bf16;  // every GPU that cuda::select() accepts computes in bf16
  }
  if (c.device == Device::cuda) cuda::allow_tf32(o.tf32);
  return c;
}

Tensor Compute::images(const data::Batch& batch, const data::TransformOptions& t) const {
  const ops::NormalizeOptions options{{t.mean[0], t.mean[1], t.mean[2]},
                                      {t.deviation[0], t.deviation[1], t.deviation[2]}};
  auto here = [this](const Tensor& x) { return x.defined() ? x.to(device) : x; };
  const Tensor y =
      ops::normalize(here(batch.images), here(batch.mirror), options, dtype, here(batch.erase));
  return batch.inside.defined() ? ops::mul(y, here(batch.inside).to(dtype)) : y;
}

void Compute::prepare(nn::Module& model) const {
  if (device == Device::cuda) model.to(device);
  if (dtype != DType::f32) model.make_shadows(dtype);
}

}  // namespace rmt::train

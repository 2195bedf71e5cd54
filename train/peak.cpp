#include "train/peak.h"

#include <algorithm>
#include <system_error>
#include <thread>
#include <vector>

#include "core/cuda/device.h"
#include "core/parallel.h"
#include "core/simd.h"
#include "train/run/progress_line.h"

namespace rmt::train {
namespace {

using simd::Vec;

// Of one thread, in about 5 ms: 24 independent vectors hide the latency of a multiply-add.
double register_peak() {
  Vec<float> a[24];
  for (Vec<float>& v : a) v = simd::broadcast(1.f);
  const Vec<float> x = simd::broadcast(1.0000001f);
  const Vec<float> y = simd::broadcast(1e-9f);
  const int64_t rounds = 1 << 20;
  Stopwatch clock;
  for (int64_t i = 0; i < rounds; ++i)
#pragma GCC unroll 24
    for (Vec<float>& v : a) v = v * x + y;
  const double seconds = clock.seconds();
  volatile float keep = 0;  // so that the loop is not optimised away
  for (Vec<float>& v : a) keep = keep + simd::sum<float>(v);
  return double(rounds) * 24 * simd::lanes<float> * 2 / seconds;
}

// 1e12 operations a second.
struct Gpu {
  const char* name;
  double bf16, tf32, f32;
};
const Gpu kGpus[] = {
    // "NVIDIA A100 Tensor Core GPU Architecture", 2020; data sheets of A30, A10, A40
    {"A100", 312, 156, 19.5},
    {"A30", 165, 82, 10.3},
    {"A10", 125, 62.5, 31.2},
    {"A40", 149.7, 74.8, 37.4},
    // "NVIDIA Ampere GA102 GPU Architecture", 2021. A GeForce card multiplies bf16 at half the
    // speed of the same chip elsewhere when it adds in f32.
    {"RTX A6000", 154.8, 77.4, 38.7},
    {"GeForce RTX 3090", 71, 35.6, 35.6},
    {"GeForce RTX 3080", 59.5, 29.8, 29.8},
    {"GeForce RTX 3070", 40.6, 20.3, 20.3},
    // "NVIDIA Ada GPU Architecture", 2023; data sheets of L4, L40, L40S
    {"RTX 6000 Ada Generation", 364.2, 182.1, 91.1},
    {"L40S", 362, 183, 91.6},
    {"L40", 181, 90.5, 90.5},
    {"L4", 121, 60, 30.3},
    {"GeForce RTX 4090", 165.2, 82.6, 82.6},
    {"GeForce RTX 4080", 97.5, 48.7, 48.7},
    // "NVIDIA H100 Tensor Core GPU Architecture", 2023; data sheets of H100 NVL, H200, GH200
    {"H100 PCIe", 756.4, 378.2, 51.2},
    {"H100 NVL", 835.5, 417.5, 60},
    {"H100", 989.4, 494.7, 66.9},
    {"H200 NVL", 835.5, 417.5, 60},
    {"H200", 989.4, 494.7, 66.9},
    {"GH200", 989.4, 494.7, 66.9},
    // Data sheet of HGX B200; "NVIDIA RTX Blackwell GPU Architecture", 2025
    {"B200", 2250, 1125, 75},
    {"GeForce RTX 5090", 209.5, 104.8, 104.8},
    {"GeForce RTX 5080", 112.6, 56.3, 56.3},
};

// "NVIDIA A100-SXM4-80GB" and "NVIDIA A100 80GB PCIe" are an A100; "... Laptop GPU", "... Ti" and a
// slice of one ("... MIG 1g.5gb") are something else.
bool is_a(const std::string& device, const std::string& name) {
  if (!device.starts_with("NVIDIA " + name) || device.find("MIG") != std::string::npos)
    return false;
  const std::string rest = device.substr(7 + name.size());
  return rest.empty() || rest[0] == '-' ||
         (rest.size() > 1 && rest[0] == ' ' && rest[1] >= '0' && rest[1] <= '9');
}

}  // namespace

double model_flops_utilization(int64_t multiply_adds, double images_per_s, double peak) {
  return peak > 0 ? 6 * double(multiply_adds) * images_per_s / peak : 0;
}

double measure_processor_peak(int threads) {
  double best = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<double> each(threads);
    std::vector<std::thread> team;
    try {
      for (double& p : each) team.emplace_back([&p] { p = register_peak(); });
    } catch (const std::system_error&) {  // no more threads to be had: those that started count
    }
    for (std::thread& t : team) t.join();
    double sum = 0;
    for (double p : each) sum += p;
    best = std::max(best, sum);
  }
  return best;
}

double gpu_peak(const std::string& device, DType dtype, bool tf32) {
  for (const Gpu& gpu : kGpus)
    if (is_a(device, gpu.name))
      return 1e12 * (dtype == DType::bf16  ? gpu.bf16
                     : dtype != DType::f32 ? 0
                     : tf32                ? gpu.tf32
                                           : gpu.f32);
  return 0;
}

double peak_flops(const Compute& c) {
  if (c.device == Device::cpu) return measure_processor_peak(threads());
  return gpu_peak(cuda::info().name, c.dtype, cuda::tf32_allowed());
}

}  // namespace rmt::train

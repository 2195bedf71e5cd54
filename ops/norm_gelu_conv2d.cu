// norm_gelu_conv2d.cpp's formulas, on the kernels of convolution.cuh: batch norm and GELU are
// applied to each number of x as a tile's halo comes in, once more for those that two tiles read,
// which costs less than writing g and reading it; GELU's derivative to each dg as it goes out.
#include <optional>

#include "core/cuda/device.h"
#include "ops/kernels/convolution.cuh"

namespace rmt::gpu {
namespace {

// p, or a copy of its n numbers that begins where a pack of 16 bytes may.
template <class T>
class Aligned {
 public:
  Aligned(const T* p, int64_t n) : p_(p) {
    if (cuda::aligned(p)) return;
    copy_.emplace(size_t(n) * sizeof(T), Device::cuda);
    cuda::copy(copy_->data(), Device::cuda, p, Device::cuda, size_t(n) * sizeof(T));
    p_ = static_cast<const T*>(copy_->data());
  }
  const T* get() const { return p_; }

 private:
  std::optional<Storage> copy_;
  const T* p_;
};

}  // namespace

void norm_gelu_conv2d_forward(const bf16* x, const float* n_w, const float* n_bias,
                              const float* mean, const float* rstd, const float* w,
                              const float* bias, bf16* y, double* moments, Conv c) {
  const Aligned n_w_16(n_w, c.I), n_bias_16(n_bias, c.I);
  const convolution::NormGelu source{
      x, int(c.H), int(c.W), int(c.I), {n_w_16.get(), n_bias_16.get(), mean, rstd}};
  auto run = [&](const auto& epilogue) {
    convolution::forward("norm_gelu_conv2d_forward", source, epilogue, w, bias, y, c);
  };
  if (!moments) return run(convolution::Write());
  const convolution::Cut cut = convolution::forward_cut(c);
  const Storage sums(size_t(convolution::tile_sums({cut})) * sizeof(float), Device::cuda);
  float* const tile_sums = static_cast<float*>(sums.data());
  run(convolution::WriteMoments{tile_sums});
  convolution::join_moments(tile_sums, cut.tiles.count, cut.w, moments);
}

void norm_gelu_conv2d_backward_z(const bf16* dy, const bf16* x, const float* n_w,
                                 const float* n_bias, const float* mean, const float* rstd,
                                 const float* w, bf16* dz, bf16* g, double* sums, Conv c) {
  const Aligned dy_16(dy, c.B * c.OH * c.OW * c.O);
  const Aligned n_w_16(n_w, c.I), n_bias_16(n_bias, c.I);
  const int64_t numbers = convolution::tile_sums(convolution::backward_cuts(c));
  const Storage storage(size_t(numbers) * sizeof(float), Device::cuda);
  float* const tile_sums = static_cast<float*>(storage.data());
  convolution::backward_x(
      "norm_gelu_conv2d_backward_z", dy_16.get(),
      convolution::WriteThroughGelu{x, {n_w_16.get(), n_bias_16.get(), mean, rstd}, g, tile_sums},
      w, dz, c);
  convolution::join_sums(tile_sums, numbers / (2 * c.I), int(c.I), sums);
}

}  // namespace rmt::gpu

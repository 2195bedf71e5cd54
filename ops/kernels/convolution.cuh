// Convolutions of maps in bf16 on tensor cores, from the host's side. Internal to ops/.
#pragma once
#include "core/cuda/elementwise.cuh"
#include "core/storage.h"
#include "ops/kernels/convolution_product.cuh"

namespace rmt::gpu::convolution {

// Shared memory of a block for its halo: three blocks then fit on a multiprocessor, beside a cache
// for the filters.
constexpr int64_t kHaloBytes = 48 << 10;

// What the kernels are for: filters of 2 x 2 to 4 x 4, whole packs of channels, or images of three
// and the filters that look at them in RMT. The pointers are those of x or dy and of what is
// written.
inline bool is_image(const Conv& c) { return c.I == 3 && c.k == 3; }
template <class... P>
bool serves(const Conv& c, const P*... pointers) {
  const int64_t largest = int64_t(1) << 30, pixels = std::max(c.H * c.W, c.OH * c.OW);
  return c.groups == 1 && c.k >= 2 && c.k <= 4 && c.stride <= 2 && c.O % 8 == 0 &&
         (c.I % 8 == 0 || is_image(c)) && c.B * pixels < largest &&
         c.k * c.k * (c.I + 64) * (c.O + 64) < largest && cuda::aligned(pointers...);
}

// Channels of a halo at a time, 16, 32 or 64; 0 when even 16 are too many.
inline int channels_at_once(const Window& w, const Tiles& t, int most) {
  int channels = most;
  while (channels > 16 && (channels / 2 >= w.C || t.halo() * (channels + kGap) * 2 > kHaloBytes))
    channels /= 2;
  return channels;
}

template <int kChannels, int kM, int kN, class Source, class Result>
void launch_product(const char* name, const Source& source, const Window& w, const Tiles& tiles,
                    const float* weights, const Filters& f, const float* bias, const Result& result,
                    int64_t blocks) {
  const int columns = int(cuda::blocks_for(w.O, kN * 8));
  const int n = columns * (kN / 2) * steps_of(w, kChannels) * 32;
  const Storage packed(size_t(n) * sizeof(Eight), Device::cuda);
  cuda::launch("pack_filters", pack_filters_kernel, dim3(unsigned(cuda::blocks_for(n))),
               dim3(cuda::kThreads), 0, weights, static_cast<Eight*>(packed.data()), w, f,
               kChannels, n);
  const size_t halo = size_t(tiles.halo()) * (kChannels + kGap),
               sums = size_t(kM * 16 * kWarps) * (kN * 8 + kGap);
  cuda::launch(name, product_kernel<kChannels, kM, kN, Source, Result>,
               dim3(unsigned(blocks), unsigned(columns)), dim3(kBlock),
               std::max(halo, sums) * sizeof(bf16), source, w, tiles,
               static_cast<const Eight*>(packed.data()), bias, result);
}

// f(channels, kM, kN, tiles) with numbers that the compiler knows.
template <class F>
void for_shape(const Window& w, const F& f) {
  auto with_columns = [&](auto kM, auto kN) {
    const Tiles tiles = best_tiles(w, kM * 16 * kWarps);
    const int channels = channels_at_once(w, tiles, 64);
    if (channels == 64) return f(std::integral_constant<int, 64>(), kM, kN, tiles);
    if (channels == 32) return f(std::integral_constant<int, 32>(), kM, kN, tiles);
    f(std::integral_constant<int, 16>(), kM, kN, tiles);
  };
  if (w.O <= 32)
    with_columns(std::integral_constant<int, 4>(), std::integral_constant<int, 4>());
  else
    with_columns(std::integral_constant<int, 2>(), std::integral_constant<int, 8>());
}

inline void forward(const bf16* x, const float* w, const float* bias, bf16* y, const Conv& c) {
  const int taps = int(c.k * c.k);
  const bool image = c.I % 8 != 0;
  const Filters f{int(c.k), int(c.I), c.I * taps, taps, int(image ? taps * c.I : c.I), image};
  const Window window = image ? patch_window(c) : forward_window(c);
  for_shape(window, [&](auto channels, auto kM, auto kN, const Tiles& tiles) {
    auto run = [&](const auto& source) {
      launch_product<channels, kM, kN>("conv2d_forward", source, window, tiles, w, f, bias,
                                       Store{y}, tiles.count);
    };
    if constexpr (channels == kPatchChannels)
      if (image) return run(Patches<3, 3>{x, int(c.H), int(c.W), int(c.stride), int(c.pad)});
    run(Stored{x, int(c.H), int(c.W), int(c.I)});
  });
}

inline void backward_x(const bf16* dy, const float* w, bf16* dx, const Conv& c) {
  const int taps = int(c.k * c.k);
  const Filters f{int(c.k), int(c.I), taps, c.I * taps, int(c.O), false};
  for (int64_t p = 0; p < std::min(c.stride, c.H); ++p)
    for (int64_t q = 0; q < std::min(c.stride, c.W); ++q) {
      const Window window = backward_window(c, p, q);
      for_shape(window, [&](auto channels, auto kM, auto kN, const Tiles& tiles) {
        launch_product<channels, kM, kN>("conv2d_backward_x",
                                         Stored{dy, int(c.OH), int(c.OW), int(c.O)}, window, tiles,
                                         w, f, nullptr, Store{dx}, tiles.count);
      });
    }
}

}  // namespace rmt::gpu::convolution

// Convolutions of maps in bf16 on tensor cores, from the host's side. Internal to ops/.
#pragma once
#include "core/cuda/elementwise.cuh"
#include "core/cuda/limits.h"
#include "core/storage.h"
#include "ops/kernels/convolution_gradient.cuh"

namespace rmt::gpu::convolution {

// Shared memory of a block for its halo: three blocks then fit on a multiprocessor, beside a cache
// for the filters.
constexpr int64_t kHaloBytes = 48 << 10;

// Dynamic shared memory to ask for when a kernel needs `bytes` of it. A block has more than 48 KiB
// only if its dynamic part alone is larger (launch.h). These kernels have small static arrays
// beside it; where both would pass 48 KiB together, a little more is asked for.
inline size_t shared_bytes(size_t bytes) {
  constexpr size_t kSmall = 48 << 10, kStatic = 4 << 10;
  return bytes + kStatic > kSmall ? std::max(bytes, kSmall + 16) : bytes;
}

// What the kernels are for: filters of 2 x 2 and 3 x 3, whole packs of channels, or images of three
// and the filters that look at them in RMT. The pointers are those of x or dy and of what is
// written.
inline bool is_image(const Conv& c) { return c.I == 3 && c.k == 3; }
template <class... P>
bool serves(const Conv& c, const P*... pointers) {
  const int64_t largest = int64_t(1) << 30, pixels = std::max(c.H * c.W, c.OH * c.OW);
  return c.groups == 1 && c.k >= 2 && c.k <= 3 && c.stride <= 2 && c.O % 8 == 0 &&
         (c.I % 8 == 0 || is_image(c)) && c.B * pixels < largest &&
         c.k * c.k * (c.I + 64) * (c.O + 64) < largest && cuda::aligned(pointers...);
}

// Channels of a halo at a time, 16, 32 or 64.
inline int channels_at_once(const Window& w, const Tiles& t, int most) {
  int channels = most;
  while (channels > 16 && (channels / 2 >= w.C || t.halo() * (channels + kGap) * 2 > kHaloBytes))
    channels /= 2;
  return channels;
}

inline Stored stored(const bf16* x, const Conv& c) { return {x, int(c.H), int(c.W), int(c.I)}; }
inline Patches<3, 3> patches(const bf16* x, const Conv& c) {
  return {x, int(c.H), int(c.W), int(c.stride), int(c.pad)};
}

template <int kChannels, int kM, int kN, class Source>
void launch_product(const char* name, const Source& source, const Window& w, const Tiles& tiles,
                    const float* weights, const Filters& f, const float* bias, bf16* out) {
  const int columns = int(cuda::blocks_for(w.O, kN * 8));
  const int n = columns * (kN / 2) * steps_of(w, kChannels) * 32;
  const Storage packed(size_t(n) * sizeof(Eight), Device::cuda);
  cuda::launch("pack_filters", pack_filters_kernel, dim3(unsigned(cuda::blocks_for(n))),
               dim3(cuda::kThreads), 0, weights, static_cast<Eight*>(packed.data()), w, f,
               kChannels, n);
  const size_t halo = size_t(tiles.halo()) * (kChannels + kGap),
               sums = size_t(kM * 16 * kWarps) * (kN * 8 + kGap);
  cuda::launch(name, product_kernel<kChannels, kM, kN, Source>,
               dim3(unsigned(tiles.count), unsigned(columns)), dim3(kBlock),
               shared_bytes(std::max(halo, sums) * sizeof(bf16)), source, w, tiles,
               static_cast<const Eight*>(packed.data()), bias, out);
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
  const Window window = is_image(c) ? patch_window(c) : forward_window(c);
  for_shape(window, [&](auto channels, auto kM, auto kN, const Tiles& tiles) {
    auto run = [&](const auto& source) {
      launch_product<channels, kM, kN>("conv2d_forward", source, window, tiles, w,
                                       forward_filters(c, is_image(c)), bias, y);
    };
    if constexpr (channels == kPatchChannels)
      if (is_image(c)) return run(patches(x, c));
    run(stored(x, c));
  });
}

inline void backward_x(const bf16* dy, const float* w, bf16* dx, const Conv& c) {
  const Stored source{dy, int(c.OH), int(c.OW), int(c.O)};
  for (int64_t p = 0; p < std::min(c.stride, c.H); ++p)
    for (int64_t q = 0; q < std::min(c.stride, c.W); ++q) {
      const Window window = backward_window(c, p, q);
      for_shape(window, [&](auto channels, auto kM, auto kN, const Tiles& tiles) {
        launch_product<channels, kM, kN>("conv2d_backward_x", source, window, tiles, w,
                                         backward_filters(c), nullptr, dx);
      });
    }
}

// dw and dbias, which may be null, with channels and rows of dw at a time that the compiler knows.
template <int kChannels, int kM, class Source>
void launch_gradient(const Source& source, const bf16* dy, const Window& w, float* dw, float* dbias,
                     const Conv& c) {
  const Tiles tiles = best_tiles(w, kGradientOutputs);
  const unsigned rows = unsigned(cuda::blocks_for(w.O, kM * 16)),
                 chunks = unsigned(cuda::blocks_for(w.C, kChannels));
  // Two blocks on a multiprocessor, which leave as few sums as possible.
  const int64_t wanted = cuda::blocks_for(cuda::limits().parts, 4) / (rows * chunks);
  const int64_t parts = std::clamp<int64_t>(wanted, 1, tiles.count);
  const int64_t slices = gradient_warps<Source> / w.taps(), numbers = int64_t(w.O) * w.taps() * w.C;
  const Storage filters(size_t(parts * slices * numbers) * sizeof(float), Device::cuda),
      bias(size_t(parts * w.O) * sizeof(float), Device::cuda);
  const int64_t outputs = cuda::blocks_for(tiles.outputs(), 16) * 16,
                halo = tiles.halo() * (kChannels + kGap),
                numbers_shared = halo + outputs * (kM * 16 + kGap);
  const GradientSums sums{static_cast<float*>(filters.data()),
                          dbias ? static_cast<float*>(bias.data()) : nullptr, int(slices),
                          int(outputs), int(halo)};
  const int64_t threads = 32 * slices * w.taps();
  cuda::launch("conv2d_backward_w", gradient_kernel<kChannels, kM, Source>,
               dim3(unsigned(parts), rows, chunks), dim3(unsigned(threads)),
               shared_bytes(std::max(size_t(numbers_shared) * sizeof(bf16), size_t(threads) * 8)),
               source, dy, w, tiles, sums);
  cuda::launch("add_gradients", add_gradients_kernel,
               dim3(unsigned(cuda::blocks_for(numbers + w.O, 32))), dim3(32, kAddRows), 0, sums,
               parts, w, forward_filters(c, is_image(c)), dw, dbias);
}

inline void backward_w(const bf16* dy, const bf16* x, float* dw, float* dbias, const Conv& c) {
  if (is_image(c))
    return launch_gradient<kPatchChannels, 2>(patches(x, c), dy, patch_window(c), dw, dbias, c);
  const Window w = forward_window(c);
  auto with_channels = [&](auto channels) {
    if (w.O <= 32)
      launch_gradient<channels, 2>(stored(x, c), dy, w, dw, dbias, c);
    else
      launch_gradient<channels, 4>(stored(x, c), dy, w, dw, dbias, c);
  };
  if (w.C > 16)
    with_channels(std::integral_constant<int, 32>());
  else
    with_channels(std::integral_constant<int, 16>());
}

}  // namespace rmt::gpu::convolution

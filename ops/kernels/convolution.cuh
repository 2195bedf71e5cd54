// Convolutions of maps in bf16 on tensor cores, from the host's side. Internal to ops/.
#pragma once
#include <vector>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/limits.h"
#include "core/storage.h"
#include "ops/kernels/convolution_product.cuh"

namespace rmt::gpu::convolution {

// Shared memory of a block for its halo: three blocks then fit on a multiprocessor, beside a cache
// for the filters.
constexpr int64_t kHaloBytes = 48 << 10;

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

inline Stored stored(const bf16* x, const Conv& c) { return {x, int(c.H), int(c.W), int(c.I)}; }
inline Patches<3, 3> patches(const bf16* x, const Conv& c) {
  return {x, int(c.H), int(c.W), int(c.stride), int(c.pad)};
}

// How the product of a window is cut, and where its filters lie among those of others.
struct Cut {
  Window w;
  Tiles tiles;
  int channels;    // of a halo at a time, 16, 32 or 64
  bool is_narrow;  // a block has 256 outputs of 32 columns, or 128 of 64
  int begin;       // of its filters
  int columns() const { return is_narrow ? 32 : 64; }
  int blocks() const { return int(cuda::blocks_for(w.O, columns())); }  // side by side
  int filters() const { return blocks() * columns() / 16 * steps_of(w, channels) * 32; }
};

inline Cut cut(const Window& w, int begin = 0) {
  const bool is_narrow = w.O <= 32;
  const Tiles tiles = best_tiles(w, is_narrow ? 256 : 128);
  int channels = 64;
  while (channels > 16 &&
         (channels / 2 >= w.C || tiles.halo() * (channels + kGap) * 2 > kHaloBytes))
    channels /= 2;
  return {w, tiles, channels, is_narrow, begin};
}

inline Cut forward_cut(const Conv& c) {
  return cut(is_image(c) ? patch_window(c) : forward_window(c));
}
inline std::vector<Cut> backward_cuts(const Conv& c) {
  std::vector<Cut> cuts;
  for (int64_t p = 0; p < std::min(c.stride, c.H); ++p)
    for (int64_t q = 0; q < std::min(c.stride, c.W); ++q) {
      const int begin = cuts.empty() ? 0 : cuts.back().begin + cuts.back().filters();
      cuts.push_back(cut(backward_window(c, p, q), begin));
    }
  return cuts;
}

// The filters of all the cuts in the order of their products.
class PackedFilters {
 public:
  PackedFilters(const std::vector<Cut>& cuts, const float* weights, const Filters& f)
      : storage_(size_t(cuts.back().begin + cuts.back().filters()) * sizeof(Eight), Device::cuda) {
    Packings all{};
    int most = 0;
    for (size_t i = 0; i < cuts.size(); ++i) {
      const Cut& cut = cuts[i];
      all.of[i] = {cut.w, cut.channels, cut.begin, cut.filters()};
      most = std::max(most, cut.filters());
    }
    cuda::launch("pack_filters", pack_filters_kernel,
                 dim3(unsigned(cuda::blocks_for(most)), unsigned(cuts.size())),
                 dim3(cuda::kThreads), 0, weights, static_cast<Eight*>(storage_.data()), all, f);
  }
  const Eight* of(const Cut& cut) const {
    return static_cast<const Eight*>(storage_.data()) + cut.begin;
  }

 private:
  Storage storage_;
};

// Numbers that an epilogue with sums leaves.
inline int64_t tile_sums(const std::vector<Cut>& cuts) {
  int64_t numbers = 0;
  for (const Cut& cut : cuts) numbers += int64_t(cut.tiles.count) * 2 * cut.w.O;
  return numbers;
}

// f(channels, kM, kN) with numbers that the compiler knows.
template <class F>
void with_numbers(const Cut& cut, const F& f) {
  auto with_columns = [&](auto kM, auto kN) {
    if (cut.channels == 64) return f(std::integral_constant<int, 64>(), kM, kN);
    if (cut.channels == 32) return f(std::integral_constant<int, 32>(), kM, kN);
    f(std::integral_constant<int, 16>(), kM, kN);
  };
  if (cut.is_narrow)
    with_columns(std::integral_constant<int, 4>(), std::integral_constant<int, 4>());
  else
    with_columns(std::integral_constant<int, 2>(), std::integral_constant<int, 8>());
}

template <int kChannels, int kM, int kN, class Source, class Epilogue>
void launch_product(const char* name, const Source& source, const Epilogue& epilogue,
                    const Cut& cut, const PackedFilters& filters, const float* bias, bf16* out) {
  const size_t halo = size_t(cut.tiles.halo()) * (kChannels + kGap),
               sums = size_t(kM * 16 * kWarps) * (kN * 8 + kGap);
  cuda::launch(name, product_kernel<kChannels, kM, kN, Source, Epilogue>,
               dim3(unsigned(cut.tiles.count), unsigned(cut.blocks())), dim3(kBlock),
               std::max(halo, sums) * sizeof(bf16), source, epilogue, cut.w, cut.tiles,
               filters.of(cut), bias, out);
}

template <class Source, class Epilogue>
void forward(const char* name, const Source& source, const Epilogue& epilogue, const float* w,
             const float* bias, bf16* y, const Conv& c) {
  const Cut cut = forward_cut(c);
  const PackedFilters filters({cut}, w, forward_filters(c, is_image(c)));
  with_numbers(cut, [&](auto channels, auto kM, auto kN) {
    // An image's patches have one number of channels; no other need be compiled.
    if constexpr (Source::taps > 1 || channels == kPatchChannels)
      launch_product<channels, kM, kN>(name, source, epilogue, cut, filters, bias, y);
  });
}

// Where epilogue leaves sums, those of the next window's tiles follow.
template <class Epilogue>
void backward_x(const char* name, const bf16* dy, Epilogue epilogue, const float* w, bf16* dx,
                const Conv& c) {
  const Stored source{dy, int(c.OH), int(c.OW), int(c.O)};
  const std::vector<Cut> cuts = backward_cuts(c);
  const PackedFilters filters(cuts, w, backward_filters(c));
  for (const Cut& cut : cuts) {
    with_numbers(cut, [&](auto channels, auto kM, auto kN) {
      launch_product<channels, kM, kN>(name, source, epilogue, cut, filters, nullptr, dx);
    });
    if constexpr (Epilogue::has_sums) epilogue.tile_sums += tile_sums({cut});
  }
}

}  // namespace rmt::gpu::convolution

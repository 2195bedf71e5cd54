// A convolution as its kernels on tensor cores see it: each output is a sum over a window of the
// map that is read, and outputs are dealt to blocks in tiles.
//
//   out(u, v) = sum over taps (a, b) of  in(u step + top + a, v step + left + b) w_ab
//
// y is such a map of x, with k x k taps and step = stride. dx is one of dy, in stride^2 parts: the
// pixels (y, x) of equal rests y % stride = p and x % stride = q have the same taps, those (i, j)
// for which p + pad - i and q + pad - j are multiples of stride. As outputs (u, v) = (y / stride,
// x / stride) they read dy with step 1, and none of their multiplications is one by 0.
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/dtype.h"
#include "ops/kernels/extents.h"

namespace rmt::gpu {

// Along one of the two axes of a map.
struct WindowAxis {
  int in;        // pixels that are read
  int out;       // outputs
  int start;     // the window of output 0 begins here, perhaps before pixel 0
  int taps;      // of the window
  int tap;       // tap 0 of the window is tap `tap` of the filter,
  int tap_step;  // and the next one is that many further
  int written;   // pixels of the map that is written: output u is pixel u out_step + out_start
  int out_start;
};

struct Window {
  int B, C, O;  // images; channels that are read and written
  int step, out_step;
  WindowAxis y, x;
  HD int taps() const { return y.taps * x.taps; }
};

// y of x.
inline Window forward_window(const Conv& c) {
  auto axis = [&](int64_t in, int64_t out) {
    return WindowAxis{.in = int(in),
                      .out = int(out),
                      .start = -int(c.pad),
                      .taps = int(c.k),
                      .tap = 0,
                      .tap_step = 1,
                      .written = int(out),
                      .out_start = 0};
  };
  return {int(c.B), int(c.I), int(c.O), int(c.stride), 1, axis(c.H, c.OH), axis(c.W, c.OW)};
}

// The pixels of dx with the rests p and q. The taps are met from the last to the first: the greater
// i, the further up is the pixel of dy.
inline Window backward_window(const Conv& c, int64_t p, int64_t q) {
  auto axis = [&](int64_t in, int64_t out, int64_t rest) {
    const int64_t first = (rest + c.pad) % c.stride, taps = (c.k - first + c.stride - 1) / c.stride,
                  last = first + (taps - 1) * c.stride, start = (rest + c.pad - last) / c.stride;
    return WindowAxis{.in = int(in),
                      .out = int((out - rest + c.stride - 1) / c.stride),
                      .start = int(start),
                      .taps = int(taps),
                      .tap = int(last),
                      .tap_step = -int(c.stride),
                      .written = int(out),
                      .out_start = int(rest)};
  };
  return {int(c.B), int(c.O), int(c.I), 1, int(c.stride), axis(c.OH, c.H, p), axis(c.OW, c.W, q)};
}

// An image x (B, H, W, 3) has no whole packs of channels. Its patches under the output pixels have,
// with 3 x 3 taps: 27 numbers and zeros behind them. y is a map of these with a window of one tap.
constexpr int kPatchChannels = 32;
inline Window patch_window(const Conv& c) {
  auto axis = [](int64_t out) {
    return WindowAxis{.in = int(out),
                      .out = int(out),
                      .start = 0,
                      .taps = 1,
                      .tap = 0,
                      .tap_step = 1,
                      .written = int(out),
                      .out_start = 0};
  };
  return {int(c.B), kPatchChannels, int(c.O), 1, 1, axis(c.OH), axis(c.OW)};
}

// Tiles of images x rows x columns outputs. In shared memory a tile has the pixels under its
// windows, its halo: `lines` rows of `places` pixels. With step 2 a line has its even columns first
// and then the odd ones, so that neighbouring outputs read neighbouring places.
struct Tiles {
  int images, rows, columns;
  int halo_rows, halo_columns, places;
  int down, across;  // tiles of an image
  int count;         // of all images

  struct First {  // output of a tile: the first of its images, row and column
    int image, u, v;
  };
  HD First first(int tile) const {
    const int row = tile / across, group = row / down;
    return {group * images, (row - group * down) * rows, (tile - row * across) * columns};
  }
  HD int lines() const { return images * halo_rows; }
  HD int outputs() const { return images * rows * columns; }
  HD static int place(int step, int column, int places) {
    return step == 1 ? column : column % 2 * (places / 2) + column / 2;
  }
  int64_t halo() const { return int64_t(lines()) * places; }
};

inline Tiles tiles_of(const Window& w, int images, int rows, int columns) {
  auto blocks = [](int64_t n, int64_t of) { return (n + of - 1) / of; };
  Tiles t{
      images, rows, columns, (rows - 1) * w.step + w.y.taps, (columns - 1) * w.step + w.x.taps, 0,
      0,      0,    0};
  t.places = int(blocks(t.halo_columns, w.step)) * w.step;
  t.down = int(blocks(w.y.out, rows));
  t.across = int(blocks(w.x.out, columns));
  t.count = int(blocks(w.B, images) * t.down * t.across);
  return t;
}

// The tiles of at most `outputs` outputs that take the least time, which is counted as that of all
// outputs, there or not, and of all pixels of halo.
inline Tiles best_tiles(const Window& w, int outputs) {
  Tiles best{};
  double least = 0;
  for (int columns = 1; columns <= std::min(w.x.out, outputs); ++columns) {
    const int rows = std::min(w.y.out, outputs / columns);
    const bool whole = rows == w.y.out && columns == w.x.out;
    const int images = whole ? std::min(w.B, outputs / (rows * columns)) : 1;
    const Tiles tiles = tiles_of(w, images, rows, columns);
    const double time = double(tiles.count) * double(2 * outputs + tiles.halo());
    if (best.count == 0 || time < least) {
      best = tiles;
      least = time;
    }
  }
  return best;
}

}  // namespace rmt::gpu

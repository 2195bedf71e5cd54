// How attention falls into independent pieces of work, for the kernels of either device.
//
// A line is a set of n positions that attend to one another, and to no others:
//
//      Axis::W  a row                Axis::H  a column             Axis::both  the whole map
//      B H lines of n = W            B W lines of n = H            B lines of n = H W
//
//         0 0 0 0 0                     0 1 2 3 4                     0 0 0 0 0
//         1 1 1 1 1                     0 1 2 3 4                     0 0 0 0 0
//         2 2 2 2 2                     0 1 2 3 4                     0 0 0 0 0
//
// (Each position has the number of its line.)
// A unit is one head of one line: n positions of D channels each. Units share nothing; their number
// is line * heads + head.
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "ops/attention/manhattan_attention.h"

namespace rmt {

// Kernels count scores in units of log 2, q' carrying the factor D^-1/2 log2(e), and the decay
// likewise: softmax is 2^s / sum 2^s, which machines compute faster than e^s / sum e^s.
constexpr double kLog2e = 1.44269504088896340736;

struct Lines {
  int64_t B, H, W, heads, D;
  ops::Axis axis;
  ops::DecayMode mode;

  // Positions of a line.
  HD int64_t n() const { return axis == ops::Axis::W ? W : axis == ops::Axis::H ? H : H * W; }
  // Lines of an image; of all.
  HD int64_t across() const { return axis == ops::Axis::W ? H : axis == ops::Axis::H ? W : 1; }
  HD int64_t count() const { return B * across(); }
  HD int64_t units() const { return count() * heads; }
};

// Where the numbers of a unit lie. Position i of the line is position + i step of the batch's
// B H W. In a tensor (B, H, W, C) without gaps it has its D channels at elements
// first + i stride ..., and in rotary (H W, D) its D cosines and sines at elements
// first_angle + i angle_stride ...
struct Unit {
  int64_t head;
  int64_t position, step;
  int64_t first, stride;
  int64_t first_angle, angle_stride;

  HD Unit(const Lines& lines, int64_t number) {
    // Divisions of 64 bits take a GPU several times as long as those of 32.
    if (number <= int64_t(UINT32_MAX))
      locate(lines, uint32_t(number));
    else
      locate(lines, number);
  }

 private:
  template <class Int>
  HD void locate(const Lines& lines, Int number) {
    const Int line = number / Int(lines.heads), across = Int(lines.across());
    const int64_t image = line / across;
    const int64_t line_of_image = line % across;
    // The line's first position in its image, and from there to the next.
    const int64_t start = line_of_image * (lines.axis == ops::Axis::W ? lines.W : 1);
    const int64_t C = lines.heads * lines.D;
    head = number % Int(lines.heads);
    position = image * lines.H * lines.W + start;
    step = lines.axis == ops::Axis::H ? lines.W : 1;
    first = position * C + head * lines.D;
    stride = step * C;
    first_angle = start * lines.D;
    angle_stride = step * lines.D;
  }
};

}  // namespace rmt

// How retention falls into independent pieces of work, for the kernels of either device.
//
// A unit is one head of one sequence: L positions of D channels in q and k, of E channels in v and
// y. Units share nothing; their number is sequence * heads + head.
//
// Kernels know one direction only, from position 0 on. To walk from the last position to the first,
// as the gradients of k and v ask for, is to begin at the last and step backwards in memory:
//
//     forward    first -> [0] [1] [2] ... [L-1]             stride =  channels of all heads
//     reverse             [L-1] ... [2] [1] [0] <- first    stride = -channels of all heads
#pragma once
#include <algorithm>
#include <cstdint>

#include "core/dtype.h"
#include "ops/retention/retention.h"

namespace rmt {

// The positions of one unit in one tensor: number n's channels begin at walk[n].
template <class T>
struct Walk {
  T* first;
  int64_t stride;
  HD T* operator[](int64_t n) const { return first + n * stride; }
};

struct Sequences {
  int64_t B, L, heads, D, E;
  int64_t chunk;  // positions of a chunk; the last one may have fewer
  ops::RetentionForm form;
  bool reverse = false;

  HD int64_t units() const { return B * heads; }
  HD int64_t chunks() const { return (L + chunk - 1) / chunk; }
  // Of a tensor (B, L, heads * channels).
  template <class T>
  HD Walk<T> walk(T* x, int64_t channels, int64_t unit) const {
    const int64_t sequence = unit / heads, head = unit % heads, C = heads * channels;
    T* const first = x + sequence * L * C + head * channels;
    return reverse ? Walk<T>{first + (L - 1) * C, -C} : Walk<T>{first, C};
  }
};

}  // namespace rmt

// The tiles of the general kernels, for any type, any n and any D in a fixed amount of shared
// memory. (Formulas: definition.h. Kernels: manhattan_attention.cu.)
//
// A group of (N / 4)^2 threads owns N rows of one unit's scores: N queries, or where gradients of
// keys are summed, N keys. It walks over the columns N at a time. Of each N x N tile of scores a
// thread holds 4 x 4, its patch: thread (row, column) of the group has the rows row + r N / 4 and
// the columns column + u N / 4 for r, u = 0, 1, 2, 3. With N = 16, so 4 x 4 threads:
//
//              columns j0 ...
//             +---------+---------+---------+---------+
//    rows     | . . . . | . . . . | . . . . | . . . . |
//    i0 ...   | . x . . | . x . . | . x . . | . x . . |      x: the 16 scores of thread (1, 1)
//             | . . . . | . . . . | . . . . | . . . . |
//             | . . . . | . . . . | . . . . | . . . . |      Threads of a row are neighbours in a
//             +---------+---------+---------+---------+      warp: sums along a row of scores are
//             | . . . . | . . . . | . . . . | . . . . |      four additions and a reduction over
//             | . x . . | . x . . | . x . . | . x . . |      N / 4 lanes.
//             | . . . . | . . . . | ...
//
// Tiles of q, k, v and dy are (N, C): C channels at a time of a head's D. A head of more than C
// channels falls into D / C pieces; each piece of the result is a group of its own, which sums its
// scores over all pieces.
#pragma once
#include <cmath>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/math.cuh"
#include "core/cuda/warp.cuh"
#include "ops/attention/gpu.cuh"

namespace rmt::gpu {

using cuda::Pack;

__device__ inline float power_of_2(float x) { return exp2f(x); }
__device__ inline double power_of_2(double x) { return exp2(x); }

// A number for each of a thread's four rows; for each of its scores, s[r][u].
template <class W>
using PerRow = W[4];
template <class W>
using Patch = W[4][4];

// f(r, u) for a thread's scores.
template <class F>
__device__ __forceinline__ void for_patch(const F& f) {
  unrolled<4>([&](int r) { unrolled<4>([&](int u) { f(r, u); }); });
}

template <class T, int N, int C>
struct TileGroup {
  using W = Wide<T>;
  static constexpr int kSide = N / 4, kThreads = kSide * kSide;  // of a group
  static constexpr int kBlock = sizeof(W) == 8 ? 64 : 128;       // threads of a block
  static constexpr int kGroups = kBlock / kThreads;              // of a block
  // Blocks on a multiprocessor at least, which leaves a thread up to 255 or 168 registers.
  static constexpr int kBlocks = sizeof(W) == 8 ? 2 : 3;
  // Pairs of channels that a thread sums for each of its rows: column + {0, 1, ...} kSide.
  static constexpr int kPairs = C / 2 / kSide;
  using Sums = W[4][2 * kPairs];

  // Numbers in one read of shared memory. Rows of tiles are so much longer, which spreads 8 of them
  // over all banks.
  static constexpr int kWide = 16 / int(sizeof(W));
  static constexpr int ld = C + kWide, ld_scores = N + kWide;
  static constexpr int kTile = N * ld, kScores = N * ld_scores;
  // A group's memory is its tile of scores, then its tiles of positions.
  static constexpr size_t bytes(int tiles) {
    return sizeof(W) * kGroups * (kScores + tiles * kTile);
  }

  const int n, D;
  const int width;                // positions of a row of the map; of a line: n
  const int pieces, piece;        // of the head's channels; ours
  const int i0;                   // the first of our rows
  const int thread, row, column;  // of the group
  // A group behind the last unit does the last once more, to be there at the barriers, and writes
  // nothing.
  const int64_t number, units;
  const UnitOf<T> unit;
  const bool decay_after;  // the factors exp(decay d) come after softmax
  W* const scores;

  __device__ TileGroup(const Attention<T>& a, W* shared, int tiles)
      : n(int(a.lines.n())),
        D(int(a.lines.D)),
        width(a.lines.axis == ops::Axis::both ? int(a.lines.W) : n),
        pieces((D + C - 1) / C),
        piece(int(blockIdx.x % unsigned(pieces))),
        i0(int(blockIdx.x / unsigned(pieces) % unsigned((n + N - 1) / N)) * N),
        thread(int(threadIdx.x) % kThreads),
        row(thread / kSide),
        column(thread % kSide),
        number(int64_t(blockIdx.x / unsigned(pieces) / unsigned((n + N - 1) / N)) * kGroups +
               threadIdx.x / kThreads),
        units(a.lines.units()),
        unit(a, number < units ? number : units - 1),
        decay_after(a.lines.mode == ops::DecayMode::post_multiply),
        scores(shared + int(threadIdx.x) / kThreads * (kScores + tiles * kTile)) {}

  __device__ W* tile(int i) const { return scores + kScores + i * kTile; }
  __device__ W scale() const { return 1 / cuda::square_root(W(D)); }
  // Position i's channels of a tensor with so many numbers from a position to the next.
  template <class X>
  __device__ X* at(X* x, int64_t stride, int i) const {
    return x + (unit.position + i * unit.step) * stride + unit.head * D;
  }

  // Channels c, c + 1 of position i, turned by its angle, or back with sign -1.
  __device__ void turn(W& x0, W& x1, int i, int c, W sign) const {
    if (!unit.angles) return;
    const W* angle = unit.angles + i * unit.angle_stride + c;
    rotate(x0, x1, angle[0], sign * angle[1]);
  }

  // to (N, C) = factor x for the positions from, from + 1, ... and the channels c0, c0 + 1, ...,
  // rotated on demand; zeros where there are none.
  __device__ void load(const T* x, int64_t stride, W* to, int from, int c0, bool rotated,
                       W factor) const {
#pragma unroll(sizeof(W) == 8 || N < C ? 1 : 2)
    for (int p = thread; p < N * (C / 2); p += kThreads) {
      const int i = from + p / (C / 2), c = c0 + p % (C / 2) * 2;
      Pack<W, 2> pair = {};
      if (i < n && c < D) {
        const T* here = at(x, stride, i) + c;
        pair.at[0] = factor * W(here[0]);
        pair.at[1] = c + 1 < D ? factor * W(here[1]) : W(0);
        if (rotated) turn(pair.at[0], pair.at[1], i, c, W(1));
      }
      *reinterpret_cast<Pack<W, 2>*>(to + p / (C / 2) * ld + p % (C / 2) * 2) = pair;
    }
  }

  // x = factor_r sums for our rows and our piece of the channels, rotated back on demand; or, with
  // `add`, x += that.
  __device__ void store(T* x, int64_t stride, Sums& sums, const PerRow<W>& factor, bool rotated,
                        bool add) const {
    for (int r = 0; r < 4; ++r) {
      const int i = i0 + row + r * kSide;
      unrolled<kPairs>([&](int p) {
        const int c = piece * C + 2 * (column + p * kSide);
        if (number >= units || i >= n || c >= D) return;
        W x0 = factor[r] * sums[r][2 * p], x1 = factor[r] * sums[r][2 * p + 1];
        if (rotated) turn(x0, x1, i, c, W(-1));
        T* here = at(x, stride, i) + c;
        here[0] = T(add ? W(here[0]) + x0 : x0);
        if (c + 1 < D) here[1] = T(add ? W(here[1]) + x1 : x1);
      });
    }
  }

  // s += x y^T over the C channels of two tiles.
  __device__ void multiply_transposed(Patch<W>& s, const W* x, const W* y) const {
#pragma unroll 1
    for (int c = 0; c < C; c += kWide) {
      Pack<W> a[4], b[4];
      unrolled<4>([&](int r) {
        a[r] = *reinterpret_cast<const Pack<W>*>(x + (row + r * kSide) * ld + c);
        b[r] = *reinterpret_cast<const Pack<W>*>(y + (column + r * kSide) * ld + c);
      });
      unrolled<kWide>(
          [&](int k) { for_patch([&](int r, int u) { s[r][u] += a[r].at[k] * b[u].at[k]; }); });
    }
  }

  // sums += s y over the N positions of a tile. The patches pass through the group's tile of
  // scores, since a thread's sums need whole rows. All threads of the block must call.
  __device__ void multiply(const Patch<W>& s, const W* y, Sums& sums) const {
    for_patch([&](int r, int u) {
      scores[(row + r * kSide) * ld_scores + column + u * kSide] = s[r][u];
    });
    __syncthreads();
    multiply_scores(y, sums);
    __syncthreads();  // tiles may be written again
  }
  // sums += scores y. (A good place for a debugger to stop: the tile of scores is complete.)
  __device__ void multiply_scores(const W* y, Sums& sums) const {
#pragma unroll 1
    for (int j = 0; j < N; j += kWide) {
      Pack<W> a[4];
      unrolled<4>([&](int r) {
        a[r] = *reinterpret_cast<const Pack<W>*>(scores + (row + r * kSide) * ld_scores + j);
      });
      unrolled<kWide>([&](int k) {
        unrolled<kPairs>([&](int p) {
          const Pack<W, 2> b =
              *reinterpret_cast<const Pack<W, 2>*>(y + (j + k) * ld + 2 * (column + p * kSide));
          unrolled<4>([&](int r) {
            sums[r][2 * p] += a[r].at[k] * b.at[0];
            sums[r][2 * p + 1] += a[r].at[k] * b.at[1];
          });
        });
      });
    }
  }

  // Where position i stands on the map, or on the line.
  __device__ void place(int i, int& y, int& x) const {
    y = width < n ? i / width : 0;
    x = i - y * width;
  }

  // f(r, u, decay times distance) for a thread's scores in the columns j0 ...
  template <class F>
  __device__ void for_distances(int j0, const F& f) const {
    int yj[4], xj[4];
    unrolled<4>([&](int u) { place(j0 + column + u * kSide, yj[u], xj[u]); });
    unrolled<4>([&](int r) {
      int yi, xi;
      place(i0 + row + r * kSide, yi, xi);
      unrolled<4>([&](int u) { f(r, u, unit.decay * W(abs(yi - yj[u]) + abs(xi - xj[u]))); });
    });
  }
  // s += decay d, unless that is for later. Columns that do not exist get no weight.
  __device__ void add_decay(Patch<W>& s, int j0) const {
    for_distances(j0, [&](int r, int u, W decay) {
      if (!decay_after) s[r][u] += decay;
      if (j0 + column + u * kSide >= n) s[r][u] = W(-INFINITY);
    });
  }
  // s *= exp(decay d), if that is for later.
  __device__ void multiply_decay(Patch<W>& s, int j0) const {
    if (decay_after)
      for_distances(j0, [&](int r, int u, W decay) { s[r][u] *= power_of_2(decay); });
  }

  // One step of the online softmax (ops/attention/README.md): s -> 2^(s - most) with the largest
  // score of each row so far. What was summed up over earlier columns must be multiplied by `keep`.
  __device__ void online_softmax_step(Patch<W>& s, PerRow<W>& most, PerRow<W>& keep) const {
    unrolled<4>([&](int r) {
      W top = most[r];
      unrolled<4>([&](int u) { top = max(top, s[r][u]); });
      top = cuda::warp_max<kSide>(top);
      keep[r] = power_of_2(most[r] - top);
      most[r] = top;
      unrolled<4>([&](int u) { s[r][u] = power_of_2(s[r][u] - top); });
    });
  }
};

}  // namespace rmt::gpu

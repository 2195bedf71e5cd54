// manhattan_attention.cpp's formulas for any n and D in O(tile) shared memory. A group of (N / 4)^2
// threads owns N queries (or keys) of one head of one line and walks over its keys (or queries) N
// at a time; a thread has 4 x 4 of the N x N scores. Softmax is online: what was summed is scaled
// down whenever a row's maximum grows. Heads of more than C channels: each C of the result are a
// group's work, which sums its scores over the channels C at a time. bf16 in the shapes of RMT goes
// to the tensor cores: manhattan_attention_mma.cuh.
#include <cmath>
#include <type_traits>

#include "core/cuda/elementwise.cuh"
#include "core/cuda/math.cuh"
#include "core/cuda/warp.cuh"
#include "core/storage.h"
#include "ops/attention/manhattan_attention.cuh"
#include "ops/attention/manhattan_attention.h"
#include "ops/attention/manhattan_attention_mma.cuh"

namespace rmt::gpu {
namespace {

using cuda::Pack;

__device__ inline float power_of_2(float x) { return exp2f(x); }
__device__ inline double power_of_2(double x) { return exp2(x); }

// What backward needs of each row of scores: softmax = 2^(s - most) scale, and sum_j P_ij g_ij.
// Ordered unit (line and head) by unit, n each.
template <class W>
struct RowSums {
  W *most, *scale, *dot;
};

// One group and its share of the work.
template <class T, int N, int C>
struct Group {
  using W = Wide<T>;
  static constexpr int kWide = 16 / int(sizeof(W));  // numbers in one read of shared memory
  static constexpr int kSide = N / 4,
                       kThreads = kSide * kSide;  // thread (row, column) has rows row + {0, 1, 2,
                                                  // 3} kSide of a tile, and columns likewise
  static constexpr int kBlock = sizeof(W) == 8 ? 64 : 128;  // threads of a block
  static constexpr int kBlocks =
      sizeof(W) == 8 ? 2 : 3;  // on a multiprocessor at least: up to 255 or 168 registers a thread
  static constexpr int kGroups = kBlock / kThreads;  // in a block
  static constexpr int kPairs = C / 2 / kSide;  // of channels a thread: column + {0, 1, ...} kSide
  static constexpr int
      ld = C + kWide,
      ld_scores = N + kWide;  // row lengths of tiles; the kWide more spread 8 rows over all banks
  static constexpr int kTile = N * ld,
                       kScores =
                           N * ld_scores;  // numbers of a tile of positions, and of one of scores
  static constexpr size_t bytes(int tiles) {
    return sizeof(W) * kGroups * (tiles * kTile + kScores);
  }

  const int n, D, width, pieces;  // positions of a line, channels of a head, positions of a row of
                                  // the map (of a line: n), D / C
  const int own, i0;  // which piece of the result is ours, and the first of our positions
  const int thread, row, column;  // in the group
  const int64_t unit, units;      // a group behind the last unit does the last once more for the
                                  // barriers' sake, and writes nothing
  const Head<T> head;
  const bool post;  // factors exp(decay d) after softmax
  W* const shared;

  __device__ Group(const Attention<T>& a, W* memory, int tiles)
      : n(int(a.lines.n())),
        D(int(a.lines.D)),
        width(a.lines.axis == ops::Axis::both ? int(a.lines.W) : n),
        pieces((D + C - 1) / C),
        own(int(blockIdx.x % unsigned(pieces))),
        i0(int(blockIdx.x / unsigned(pieces) % unsigned((n + N - 1) / N)) * N),
        thread(int(threadIdx.x) % kThreads),
        row(thread / kSide),
        column(thread % kSide),
        unit(int64_t(blockIdx.x / unsigned(pieces) / unsigned((n + N - 1) / N)) * kGroups +
             threadIdx.x / kThreads),
        units(a.lines.count() * a.lines.heads),
        head(a, unit < units ? unit : units - 1),
        post(a.lines.mode == ops::DecayMode::post_multiply),
        shared(memory + int(threadIdx.x) / kThreads * (tiles * kTile + kScores)) {}

  __device__ W* tile(int i) const { return shared + kScores + i * kTile; }
  __device__ W* scores() const { return shared; }
  __device__ W scale() const { return 1 / cuda::square_root(W(D)); }

  // channels c, c + 1 of position i, turned by its angle, or back with sign -1
  __device__ void turn(W& x0, W& x1, int i, int c, W sign) const {
    if (!head.table) return;
    const W* angle = head.table + i * head.table_stride + c;
    rotate(x0, x1, angle[0], sign * angle[1]);
  }

  // to (N, ld) = factor x for positions [i0, i0 + N) and channels [c0, c0 + C), turned if `turned`;
  // zeros where there are none
  __device__ void load(const T* x, W* to, int from, int c0, bool turned, W factor) const {
#pragma unroll(sizeof(W) == 8 || N < C ? 1 : 2)
    for (int p = thread; p < N * (C / 2); p += kThreads) {
      const int i = from + p / (C / 2), c = c0 + p % (C / 2) * 2;
      Pack<W, 2> pair = {};
      if (i < n && c < D) {
        const T* here = x + head.at + i * head.stride + c;
        pair.at[0] = factor * W(here[0]), pair.at[1] = c + 1 < D ? factor * W(here[1]) : W(0);
        if (turned) turn(pair.at[0], pair.at[1], i, c, W(1));
      }
      *reinterpret_cast<Pack<W, 2>*>(to + p / (C / 2) * ld + p % (C / 2) * 2) = pair;
    }
  }

  // x = factor_r sum, turned back if `turned`
  __device__ void store(T* x, W (&sum)[4][2 * kPairs], const W (&factor)[4], bool turned) const {
    for (int r = 0; r < 4; ++r) {
      const int i = i0 + row + r * kSide;
#pragma unroll
      for (int p = 0; p < kPairs; ++p) {
        const int c = own * C + 2 * (column + p * kSide);
        if (unit >= units || i >= n || c >= D) continue;
        W x0 = factor[r] * sum[r][2 * p], x1 = factor[r] * sum[r][2 * p + 1];
        if (turned) turn(x0, x1, i, c, W(-1));
        x[head.at + i * head.stride + c] = T(x0);
        if (c + 1 < D) x[head.at + i * head.stride + c + 1] = T(x1);
      }
    }
  }

  // s += x y^T over the C channels of two tiles
  __device__ void multiply_transposed(W (&s)[4][4], const W* x, const W* y) const {
#pragma unroll 1
    for (int c = 0; c < C; c += kWide) {
      Pack<W> p[4], q[4];
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        p[r] = *reinterpret_cast<const Pack<W>*>(x + (row + r * kSide) * ld + c);
        q[r] = *reinterpret_cast<const Pack<W>*>(y + (column + r * kSide) * ld + c);
      }
#pragma unroll
      for (int k = 0; k < kWide; ++k)
#pragma unroll
        for (int r = 0; r < 4; ++r)
#pragma unroll
          for (int u = 0; u < 4; ++u) s[r][u] += p[r].at[k] * q[u].at[k];
    }
  }

  // The tile of scores = s;  sum += s y. All threads of the block must call.
  __device__ void multiply(const W (&s)[4][4], const W* y, W (&sum)[4][2 * kPairs]) const {
    W* to = scores();
#pragma unroll
    for (int r = 0; r < 4; ++r)
#pragma unroll
      for (int u = 0; u < 4; ++u) to[(row + r * kSide) * ld_scores + column + u * kSide] = s[r][u];
    __syncthreads();
#pragma unroll 1
    for (int j = 0; j < N; j += kWide) {
      Pack<W> p[4];
#pragma unroll
      for (int r = 0; r < 4; ++r)
        p[r] = *reinterpret_cast<const Pack<W>*>(to + (row + r * kSide) * ld_scores + j);
#pragma unroll
      for (int k = 0; k < kWide; ++k)
#pragma unroll
        for (int c = 0; c < kPairs; ++c) {
          const Pack<W, 2> v =
              *reinterpret_cast<const Pack<W, 2>*>(y + (j + k) * ld + 2 * (column + c * kSide));
#pragma unroll
          for (int r = 0; r < 4; ++r)
            sum[r][2 * c] += p[r].at[k] * v.at[0], sum[r][2 * c + 1] += p[r].at[k] * v.at[1];
        }
    }
    __syncthreads();  // tiles may be written again
  }

  __device__ void place(int i, int& y, int& x) const {
    y = width < n ? i / width : 0, x = i - y * width;
  }  // of position i of the map, or on the line

  // f(r, u, decay times distance) for a thread's scores, whose rows are the positions i0 ... and
  // whose columns the positions j0 ...
  template <class F>
  __device__ void for_scores(int j0, const F& f) const {
    int yj[4], xj[4];
#pragma unroll
    for (int u = 0; u < 4; ++u) place(j0 + column + u * kSide, yj[u], xj[u]);
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      int yi, xi;
      place(i0 + row + r * kSide, yi, xi);
#pragma unroll
      for (int u = 0; u < 4; ++u) f(r, u, head.slope * W(abs(yi - yj[u]) + abs(xi - xj[u])));
    }
  }
  // s = S log2(e), with decay unless that is for later; keys that do not exist weigh 0
  __device__ void add_decay(W (&s)[4][4], int j0) const {
    for_scores(j0, [&](int r, int u, W d) {
      s[r][u] = j0 + column + u * kSide >= n ? W(-INFINITY) : post ? s[r][u] : s[r][u] + d;
    });
  }
  __device__ void multiply_decay(W (&s)[4][4], int j0) const {
    if (post) for_scores(j0, [&](int r, int u, W d) { s[r][u] *= power_of_2(d); });
  }

  // s -> 2^(s - most) with each row's maximum so far, `most`; returns by what sums over earlier
  // keys are to be multiplied
  __device__ void exponentials(W (&s)[4][4], W (&most)[4], W (&keep)[4]) const {
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      W top = most[r];
#pragma unroll
      for (int u = 0; u < 4; ++u) top = max(top, s[r][u]);
      top = cuda::warp_max<kSide>(top), keep[r] = power_of_2(most[r] - top), most[r] = top;
#pragma unroll
      for (int u = 0; u < 4; ++u) s[r][u] = power_of_2(s[r][u] - top);
    }
  }
};

// A thread to 4 queries and some channels of each:  y_i = sum_j A_ij v_j
template <class T, int N, int C>
__global__ void __launch_bounds__(Group<T, N, C>::kBlock, Group<T, N, C>::kBlocks)
    forward_kernel(Attention<T> a, T* y) {
  using G = Group<T, N, C>;
  using W = Wide<T>;
  DYNAMIC_SHARED(W, memory);
  const G g(a, memory, 3);
  W *tq = g.tile(0), *tk = g.tile(1), *tv = g.tile(2);
  W most[4], sum[4] = {}, keep[4], out[4][2 * G::kPairs] = {};
  for (W& m : most) m = W(-INFINITY);
  for (int j0 = 0; j0 < g.n; j0 += N) {
    W s[4][4] = {};
    g.load(a.v, tv, j0, g.own * C, false, 1);
    for (int piece = 0; piece < g.pieces; ++piece) {
      if (piece > 0) __syncthreads();
      if (j0 == 0 || g.pieces > 1) g.load(a.q, tq, g.i0, piece * C, true, g.scale() * W(kLog2e));
      g.load(a.k, tk, j0, piece * C, true, 1);
      __syncthreads();
      g.multiply_transposed(s, tq, tk);
    }
    g.add_decay(s, j0);
    g.exponentials(s, most, keep);
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      sum[r] = sum[r] * keep[r] + (s[r][0] + s[r][1] + s[r][2] + s[r][3]);
#pragma unroll
      for (W& x : out[r]) x *= keep[r];
    }
    g.multiply_decay(s, j0);
    g.multiply(s, tv, out);
  }
  for (W& x : sum) x = 1 / cuda::warp_sum<G::kSide>(x);
  g.store(y, out, sum, false);
}

// s = S log2(e) and dp = dA between the positions i0 ... of one side and j0 ... of the other: (q,
// dy) and (k, v), or the reverse. Tiles 2 and 3 are left with our own channels of the columns' two
// tensors. `first`: the rows' tiles are not there yet.
template <bool rows_are_queries, class T, int N, int C>
__device__ __forceinline__ void backward_products(const Group<T, N, C>& g, const Attention<T>& a,
                                                  int j0, bool first, Wide<T> (&s)[4][4],
                                                  Wide<T> (&dp)[4][4]) {
  using W = Wide<T>;
  const W factor = g.scale() * W(kLog2e), row_factor = rows_are_queries ? factor : W(1),
          column_factor = rows_are_queries ? W(1) : factor;
  const T *row_turned = rows_are_queries ? a.q : a.k, *row_plain = rows_are_queries ? a.dy : a.v;
  const T *column_turned = rows_are_queries ? a.k : a.q,
          *column_plain = rows_are_queries ? a.v : a.dy;
#pragma unroll
  for (int r = 0; r < 4; ++r)
#pragma unroll
    for (int u = 0; u < 4; ++u) s[r][u] = dp[r][u] = 0;
  auto load_columns = [&](int piece) {
    g.load(column_turned, g.tile(2), j0, piece * C, true, column_factor);
    g.load(column_plain, g.tile(3), j0, piece * C, false, 1);
  };
  for (int piece = 0; piece < g.pieces;
       ++piece) {  // in the same order in every kernel: the same bits
    if (piece > 0) __syncthreads();
    if (first || g.pieces > 1) {
      g.load(row_turned, g.tile(0), g.i0, piece * C, true, row_factor);
      g.load(row_plain, g.tile(1), g.i0, piece * C, false, 1);
    }
    load_columns(piece);
    __syncthreads();
    g.multiply_transposed(s, g.tile(0), g.tile(2));
    g.multiply_transposed(dp, g.tile(1), g.tile(3));
  }
  if (g.own + 1 < g.pieces) {  // all of the block do, or none
    __syncthreads();
    load_columns(g.own);  // a barrier follows before they are read
  }
}

// A thread to 4 queries and some channels of each:  the sums over each row of scores, then dq
template <class T, int N, int C>
__global__ void __launch_bounds__(Group<T, N, C>::kBlock, Group<T, N, C>::kBlocks)
    backward_queries_kernel(Attention<T> a, RowSums<Wide<T>> rows, T* dq) {
  using G = Group<T, N, C>;
  using W = Wide<T>;
  DYNAMIC_SHARED(W, memory);
  const G g(a, memory, 4);
  W s[4][4], dp[4][4], most[4], keep[4], sum[4] = {}, dot[4] = {}, out[4][2 * G::kPairs] = {};
  for (W& m : most) m = W(-INFINITY);
  for (int j0 = 0; j0 < g.n; j0 += N) {
    backward_products<true>(g, a, j0, j0 == 0, s, dp);
    g.add_decay(s, j0);
    g.multiply_decay(dp, j0);
    g.exponentials(s, most, keep);
#pragma unroll
    for (int r = 0; r < 4; ++r) {
      sum[r] *= keep[r], dot[r] *= keep[r];
#pragma unroll
      for (int u = 0; u < 4; ++u) sum[r] += s[r][u], dot[r] += s[r][u] * dp[r][u];
    }
    __syncthreads();  // tiles may be written again
  }
  for (int r = 0; r < 4; ++r) {
    sum[r] = 1 / cuda::warp_sum<G::kSide>(sum[r]),
    dot[r] = sum[r] * cuda::warp_sum<G::kSide>(dot[r]);
    const int i = g.i0 + g.row + r * G::kSide;
    if (g.unit < g.units && g.own == 0 && g.column == 0 && i < g.n) {
      const int64_t at = g.unit * g.n + i;
      rows.most[at] = most[r], rows.scale[at] = sum[r], rows.dot[at] = dot[r];
    }
  }
  for (int j0 = 0; j0 < g.n; j0 += N) {
    backward_products<true>(g, a, j0, false, s, dp);
    g.add_decay(s, j0);
    g.multiply_decay(dp, j0);
#pragma unroll
    for (int r = 0; r < 4; ++r)
#pragma unroll
      for (int u = 0; u < 4; ++u)
        s[r][u] = power_of_2(s[r][u] - most[r]) * sum[r] * (dp[r][u] - dot[r]);
    g.multiply(s, g.tile(2), out);
  }
  const W factor[4] = {g.scale(), g.scale(), g.scale(), g.scale()};
  g.store(dq, out, factor, true);
}

// A thread to 4 keys and some channels of each:  dk and dv, from scores whose rows are keys
template <class T, int N, int C>
__global__ void __launch_bounds__(Group<T, N, C>::kBlock, Group<T, N, C>::kBlocks)
    backward_keys_kernel(Attention<T> a, RowSums<Wide<T>> rows, T* dk, T* dv) {
  using G = Group<T, N, C>;
  using W = Wide<T>;
  DYNAMIC_SHARED(W, memory);
  const G g(a, memory, 4);
  W s[4][4], ds[4][4], out_k[4][2 * G::kPairs] = {}, out_v[4][2 * G::kPairs] = {};
  for (int j0 = 0; j0 < g.n; j0 += N) {
    backward_products<false>(g, a, j0, j0 == 0, s, ds);
    g.add_decay(s, j0);
    g.multiply_decay(ds, j0);
#pragma unroll
    for (int u = 0; u < 4; ++u) {
      const int64_t at =
          min(g.unit, g.units - 1) * g.n + min(j0 + g.column + u * G::kSide, g.n - 1);
      const W most = rows.most[at], scale = rows.scale[at], dot = rows.dot[at];
#pragma unroll
      for (int r = 0; r < 4; ++r)
        s[r][u] = power_of_2(s[r][u] - most) * scale, ds[r][u] = s[r][u] * (ds[r][u] - dot);
    }
    g.multiply(ds, g.tile(2), out_k);
    g.multiply_decay(s, j0);
    g.multiply(s, g.tile(3), out_v);
  }
  const W one[4] = {1, 1, 1, 1},
          factor[4] = {W(1 / kLog2e), W(1 / kLog2e), W(1 / kLog2e),
                       W(1 / kLog2e)};  // the tile of q holds D^-1/2 log2(e) q'
  g.store(dk, out_k, factor, true);
  g.store(dv, out_v, one, false);
}

// f(N, C) as compile-time constants for the shape: short lines in small tiles, of which a thread
// has so many channels that f64 has registers for 16 only
template <class T, class F>
void for_tiles(const Lines& lines, const F& f) {
  std::integral_constant<int, 16> c16;
  std::integral_constant<int, 32> c32;
  if (lines.n() > 16)
    lines.D <= 16 ? f(c32, c16) : f(c32, c32);
  else if constexpr (std::is_same_v<T, double>)
    f(c16, c16);
  else
    lines.D <= 16 ? f(c16, c16) : f(c16, c32);
}

template <class G, class... P, class... A>
void launch_groups(const char* name, void (*kernel)(P...), int tiles, const Lines& lines, int N,
                   int C, const A&... args) {
  const int64_t blocks = cuda::blocks_for(lines.count() * lines.heads, G::kGroups) *
                         cuda::blocks_for(lines.n(), N) * cuda::blocks_for(lines.D, C);
  cuda::launch(name, kernel, dim3(unsigned(blocks)), dim3(G::kBlock), G::bytes(tiles), args...);
}

}  // namespace

// For the normalised product, whose rows are divided by their sums, the factors exp(decay d) may as
// well stand in softmax: it is log_additive.
template <class T>
void manhattan_attention_forward(const T* q, const T* k, const T* v, const Wide<T>* decay,
                                 const Wide<T>* rotary, T* y, const Lines& lines) {
  const Attention<T> a{q, k, v, nullptr, decay, rotary, lines};
  if constexpr (std::is_same_v<T, bf16>)
    if (tensor_cores::serve(lines, q, k, v, rotary, y)) return tensor_cores::forward(a, y);
  for_tiles<T>(lines, [&](auto N, auto C) {
    launch_groups<Group<T, N, C>>("manhattan_attention_forward", forward_kernel<T, N, C>, 3, lines,
                                  N, C, a, y);
  });
}

template <class T>
void manhattan_attention_backward(const T* q, const T* k, const T* v, const Wide<T>* decay,
                                  const Wide<T>* rotary, const T* dy, T* dq, T* dk, T* dv,
                                  const Lines& lines) {
  using W = Wide<T>;
  const Attention<T> a{q, k, v, dy, decay, rotary, lines};
  if constexpr (std::is_same_v<T, bf16>)
    if (tensor_cores::serve(lines, q, k, v, rotary, dy, dq, dk, dv))
      return tensor_cores::backward(a, dq, dk, dv);
  const int64_t count = lines.count() * lines.heads * lines.n();
  const Storage sums(3 * size_t(count) * sizeof(W), Device::cuda);
  W* first = static_cast<W*>(sums.data());
  const RowSums<W> rows{first, first + count, first + 2 * count};
  for_tiles<T>(lines, [&](auto N, auto C) {
    using G = Group<T, N, C>;
    launch_groups<G>("manhattan_attention_backward_queries", backward_queries_kernel<T, N, C>, 4,
                     lines, N, C, a, rows, dq);
    launch_groups<G>("manhattan_attention_backward_keys", backward_keys_kernel<T, N, C>, 4, lines,
                     N, C, a, rows, dk, dv);
  });
}

INSTANTIATE(manhattan_attention_forward)
INSTANTIATE(manhattan_attention_backward)

}  // namespace rmt::gpu

// The gradients of y = A_H A_W v + LCE(v) in one launch: a block to each head of each image, of
// which q, k, v, y1 = A_W v and dy are read once and dq, dk, dv written once. Of each column of the
// map x is y1, of each row v, and then dy is dy1, which the columns gave:
//
//   P   = softmax(q' k'^T + decay d)       dx  = P^T dy
//   dP  = dy x^T                           dq' = dS k'          factors come at the end
//   dS  = P (dP - sum_j P_ij dP_ij)        dk' = dS^T q'
//
//   q', k' -> tiles, v, y1, dy -> tiles    1. load
//   dy1, dq', dk' -> tiles                 2. of each column of the map, a warp to a column
//   dv, dq = R^-1 (dq' + that of 2.), dk   3. of each row; dq and dk -> memory
//   dv += conv(dy, taps reversed), dw      4. a warp to a channel; dv, dw -> memory
//
// A warp has all 16 x 16 scores of a line at once. P^T and dS^T as left factors are P and dS,
// quarter by quarter transposed in registers.
//
// Rounded to bf16 are q', k', P, dS, dy1, the dq' and dk' of step 2, in step 4 dv and what is added
// to it, and the results. The blocks' dw and dbias are f32 and added in order by a second kernel.
#pragma once
#include "ops/attention/kernels.h"
#include "ops/attention/whole_head_planes.cuh"
#include "ops/kernels/depthwise_gradient.cuh"

namespace rmt::gpu::whole_head {

constexpr int kBackwardThreads = 7 * 32, kBackwardBlocks = 2;

// What a block has in shared memory. In step 4 planes lie over the last four tiles.
struct BackwardMemory {
  bf16 *y1, *v, *dy;  // y1, then dy1, then dv
  bf16 *q, *k, *dq, *dk;
  bf16 *planes, *dy_planes;
  uint32_t* pairs;
  float* sums;  // (26, 32)

  __device__ explicit BackwardMemory(bf16* shared)
      : y1(shared),
        v(y1 + Small::tile),
        dy(v + Small::tile),
        q(dy + Small::tile),
        k(q + Small::tile),
        dq(k + Small::tile),
        dk(dq + Small::tile),
        planes(q),
        dy_planes(planes + Planes<Small>::all),
        pairs(reinterpret_cast<uint32_t*>(dy_planes + Planes<Small>::all)),
        sums(reinterpret_cast<float*>(pairs + 2 * kPairsOfHead)) {}
  static constexpr int64_t tiles = 7 * Small::tile * sizeof(bf16);
  static constexpr int64_t step_4 = (3 * Small::tile + 2 * Planes<Small>::all) * sizeof(bf16) +
                                    2 * kPairsOfHead * sizeof(uint32_t) +
                                    (kTaps + 1) * kD * sizeof(float);
  static constexpr int64_t bytes = std::max(tiles, step_4);
};

// What a line gives: 16 x 32 numbers each, dq and dk without their factors.
struct LineGradients {
  Fragment values[kD / 8], q[kD / 8], k[kD / 8];
};

__device__ __forceinline__ void transpose(uint32_t (&a)[4]) {
  const uint32_t upper_right = a[2];
  a[2] = ptx::movmatrix_trans(a[1]);
  a[1] = ptx::movmatrix_trans(upper_right);
  a[0] = ptx::movmatrix_trans(a[0]);
  a[3] = ptx::movmatrix_trans(a[3]);
}

// p -> P, g = dP -> dS; p came as 2^(s - the row's greatest).
__device__ __forceinline__ void score_gradients(Fragment (&p)[2], Fragment (&g)[2]) {
  unrolled<2>([&](int r) {
    const auto sum = [&](auto&& f) {
      return cuda::warp_sum<4>(f(0, 2 * r) + f(0, 2 * r + 1) + f(1, 2 * r) + f(1, 2 * r + 1));
    };
    const float scale = ptx::reciprocal_approx(sum([&](int m, int e) { return p[m][e]; }));
    unrolled<4>([&](int e) { p[e / 2][2 * r + e % 2] *= scale; });
    const float mean = sum([&](int m, int e) { return p[m][e] * g[m][e]; });
    unrolled<4>([&](int e) {
      float& dS = g[e / 2][2 * r + e % 2];
      dS = p[e / 2][2 * r + e % 2] * (dS - mean);
    });
  });
}

// The gradients of a line, from tiles.
__device__ __forceinline__ void backward_line(LineGradients& to, const Line<Small>& line,
                                              const Decay<16>& away, const bf16* q, const bf16* k,
                                              const bf16* values, const bf16* dy) {
  const int rows = line.rows_of(0);
  Rows left;
  Fragment p[2], g[2] = {};
  load_rows(left, q, rows);
  away.start(p);
  multiply_transposed(p, left, k, line);
  load_rows(left, dy, rows);
  multiply_transposed(g, left, values, line);
  exponentials(p);
  score_gradients(p, g);

  uint32_t a[4];
  round_columns(a, g, 0);
  multiply(to.q, a, k, rows);
  transpose(a);
  multiply(to.k, a, q, rows);
  round_columns(a, p, 0);
  transpose(a);
  multiply(to.values, a, dy, rows);
}

// For each line along an axis start(LineGradients, Line), and store(LineGradients, Line, number).
template <class Start, class F>
__device__ __forceinline__ void for_lines(const Small& s, bool along_W, float decay, const bf16* q,
                                          const bf16* k, const bf16* values, const bf16* dy,
                                          const Start& start, const F& store) {
  const LinesOfWarp own(s, along_W);
  const Decay<16> away(decay, own.n, 0);
#pragma unroll 1
  for (int number = own.first; number < own.count; number += own.step) {
    const Line<Small> line(s, along_W, number);
    LineGradients gradients = {};
    start(gradients, line);
    backward_line(gradients, line, away, q, k, values, dy);
    __syncwarp();  // all lanes have read the line
    store(gradients, line, number);
  }
}

__device__ __forceinline__ void store_pair(bf16* to, float x0, float x1) {
  *reinterpret_cast<uint32_t*>(to) = ptx::pack_bf16(x0, x1);
}

// Step 2: y1 -> dy1, and dq', dk'.
__device__ __forceinline__ void backward_columns(const Small& s, float decay,
                                                 const BackwardMemory& t) {
  for_lines(
      s, false, decay, t.q, t.k, t.y1, t.dy, [](LineGradients&, const Line<Small>&) {},
      [&](const LineGradients& d, const Line<Small>& line, int) {
        for_results(line, 0, [&](int at, int r, int m) {
          store_pair(t.y1 + at, d.values[m][2 * r], d.values[m][2 * r + 1]);
          store_pair(t.dq + at, d.q[m][2 * r], d.q[m][2 * r + 1]);
          store_pair(t.dk + at, d.k[m][2 * r], d.k[m][2 * r + 1]);
        });
      });
}

// Step 3: dy1 -> dv; dq', dk' -> dq, dk.
__device__ __forceinline__ void backward_rows(const Small& s, float decay, const float* rotary,
                                              const BackwardMemory& t) {
  // dq = D^-1/2 dS (R k), and the tiles have score_factor() R k and score_factor() R q.
  const float factor = score_factor() * float(1 / kLog2e);
  const int lane = int(threadIdx.x) % 32;
  for_lines(
      s, true, decay, t.q, t.k, t.v, t.y1,
      [&](LineGradients& d, const Line<Small>& line) {  // the sums begin from those of step 2
        for_results(line, 0, [&](int at, int r, int m) {
          const auto load = [&](Fragment& x, const bf16* from) {
            const Pack<float, 2> before = unpack(*reinterpret_cast<const uint32_t*>(from));
            x[2 * r] = before.at[0];
            x[2 * r + 1] = before.at[1];
          };
          load(d.q[m], t.dq + at);
          load(d.k[m], t.dk + at);
        });
      },
      [&](const LineGradients& d, const Line<Small>& line, int y) {
        for_results(line, 0, [&](int at, int r, int m) {
          Pack<float, 2> angle = {1, 0};
          if (rotary)
            angle = *reinterpret_cast<const Pack<float, 2>*>(
                rotary + (y * s.W + lane / 4 + 8 * r) * kD + 8 * m + lane % 4 * 2);
          const float cosine = factor * angle.at[0], sine = factor * angle.at[1];
          const auto store_back = [&](bf16* to, const Fragment& x) {
            float x0 = x[2 * r], x1 = x[2 * r + 1];
            rotate(x0, x1, cosine, -sine);
            store_pair(to, x0, x1);
          };
          store_pair(t.y1 + at, d.values[m][2 * r], d.values[m][2 * r + 1]);
          store_back(t.dq + at, d.q[m]);
          store_back(t.dk + at, d.k[m]);
        });
      });
}

// Step 4: dv += conv(dy, the taps reversed); -> part (26, C), dbias last, unless it is null.
__device__ __forceinline__ void backward_convolution(const Small& s, const float* w, int head,
                                                     float* part, const BackwardMemory& t) {
  spread(s, {t.v, t.dy}, {t.planes, t.dy_planes});
  load_pairs(w, head, true, t.pairs);
  __syncthreads();
  const Band band;
  const Diagonals diagonals;
#pragma unroll 1
  for (int c = int(threadIdx.x) / 32; c < kD; c += int(blockDim.x) / 32) {
    bf16* dy = t.dy_planes + c * Planes<Small>::plane;
    if (part) tap_gradients(t.planes + c * Planes<Small>::plane, dy, diagonals, t.sums + c);
    convolve_plane<Small>(dy, t.pairs + c * 5 * kPairs, band, 0);
  }
  __syncthreads();
  if (part)
    for (int i = int(threadIdx.x); i < (kTaps + 1) * kD; i += int(blockDim.x))
      part[i / kD * s.heads * kD + head * kD + i % kD] = t.sums[i];
  gather(s, t.dy_planes, t.y1);
  __syncthreads();
}

__global__ void __launch_bounds__(kBackwardThreads, kBackwardBlocks)
    backward_kernel(Attention<bf16> a, Small s, const float* w, const bf16* y1,
                    AttentionGradients<bf16> to, float* partial) {
  DYNAMIC_SHARED(bf16, shared);
  const BackwardMemory t(shared);
  const Head h(s.heads);
  const int64_t at_qk = h.first(s, a.qk_stride), at_v = h.first(s, a.v_stride);
  const int64_t at_y = h.first(s, a.y_stride);
  const bf16 *from_y1 = y1 + at_y, *from_dy = a.dy + at_y, *from_v = a.v + at_v;
  const int qk_stride = int(a.qk_stride), v_stride = int(a.v_stride), y_stride = int(a.y_stride);
  for_chunks(s, [&](int p, int c, int at) {
    ptx::cp_async_16(t.y1 + at, from_y1 + p * y_stride + c);
    ptx::cp_async_16(t.dy + at, from_dy + p * y_stride + c);
    ptx::cp_async_16(t.v + at, from_v + p * v_stride + c);
  });
  ptx::cp_async_commit();
  write_zeros<Small>(shared, 5);
  load_rotated(s, a.q + at_qk, a.k + at_qk, qk_stride, a.rotary, t.q, t.k);
  ptx::cp_async_wait<0>();
  __syncthreads();

  const float decay = a.decay ? float(kLog2e) * a.decay[h.head] : 0;
  backward_columns(s, decay, t);
  __syncthreads();
  backward_rows(s, decay, a.rotary, t);
  __syncthreads();
  bf16 *dq = to.dq + at_qk, *dk = to.dk + at_qk, *dv = to.dv + at_v;
  for_chunks(s, [&](int p, int c, int at) {
    copy_eight(dq + p * qk_stride + c, t.dq + at);
    copy_eight(dk + p * qk_stride + c, t.dk + at);
  });
  if (w) {
    __syncthreads();
    float* part = partial ? partial + h.image * (kTaps + 1) * s.heads * kD : nullptr;
    backward_convolution(s, w, h.head, part, t);
  }
  for_chunks(s, [&](int p, int c, int at) { copy_eight(dv + p * v_stride + c, t.y1 + at); });
}

inline bool fits_backward(const Lines& lines, int64_t k, int64_t shared_bytes) {
  return suits(lines, k) && lines.H <= 14 && lines.W <= 14 && BackwardMemory::bytes <= shared_bytes;
}

// dw (C, 25) and dbias (C) may be null.
inline void backward(const Attention<bf16>& a, const float* w, const bf16* y1,
                     const AttentionGradients<bf16>& to, float* dw, float* dbias) {
  const int64_t C = a.lines.heads * kD;
  const cuda::Partial<float> partial(dw ? a.lines.B : 0, (kTaps + 1) * C);
  cuda::launch("packed_attention_backward", backward_kernel,
               dim3(unsigned(a.lines.B * a.lines.heads)), dim3(kBackwardThreads),
               BackwardMemory::bytes, a, Small(a.lines), w, y1, to, dw ? partial.at() : nullptr);
  if (dw)
    cuda::add_parts<float>(partial, {},
                           depthwise::WeightGradients<float>{dw, dbias, kTaps, int(C)});
}

}  // namespace rmt::gpu::whole_head

// The depthwise convolution of a whole head (whole_head.cuh), k = 5, and the gradient of its taps,
// on tensor cores. Channels do not mix, so each is a product of its own, of matrices that are its
// map: the rows are the map's rows y, the columns its columns x.
//
//   out   = sum_ty in_ty T_ty           in_ty (y, x') = in(y + ty - 2, x')
//   dw_ty = diagonals of in_ty^T dy     T_ty (x', x) = w_(ty, tx), on the diagonal x' = x + tx - 2
//
//   T_ty  x  0   1   2   3   4   5          Of 16 columns x' a band of 5 is not 0: a third of the
//   x' 0    w2  w1  w0                      products are of use, and still a tensor core is faster
//      1    w3  w2  w1  w0                  than one number at a time.
//      2    w4  w3  w2  w1  w0              The band passes from one quarter (8, 8) of T to those
//      3        w4  w3  w2  w1  w0          beside it in its corners alone, and no lane has a part
//      4            w4  w3  w2  w1          of both corners.
//
// For that a channel must lie in memory as its map: a plane, rows y = -2 ... N + 1 of N columns, N
// the side rounded up to 16, as blocks of 8 columns. What is outside the map is 0. A tap is the sum
// of two bf16, right to 2^-17 of itself.
#pragma once
#include "ops/attention/whole_head.cuh"

namespace rmt::gpu::whole_head {

template <class S>
struct Planes {
  static constexpr int rows = S::N + 4, blocks = S::N / 8;
  static constexpr int block = rows * 8;            // numbers of a block,
  static constexpr int plane = blocks * block + 8;  // of a plane (8 more: 8 begin in all banks)
  static constexpr int all = kD * plane;            // and of all planes of a head
};

// n tiles -> planes. A warp takes 8 positions of a row at a time, all channels.
template <class S, int n>
__device__ __forceinline__ void spread(const S& s, const bf16* const (&tiles)[n],
                                       bf16* const (&planes)[n]) {
  using P = Planes<S>;
  const int lane = int(threadIdx.x) % 32;
  for (int row = int(threadIdx.x) / 32; row < P::rows; row += int(blockDim.x) / 32)
    unrolled<P::blocks>([&](int j) {
      const int y = row - 2, x = 8 * j + lane % 8;
      const bool inside = unsigned(y) < unsigned(s.H) && x < s.W;
      const int at = place(inside ? y * s.pitch + x : s.zeros, x / 2 + y / 2, lane / 8);
      unrolled<n>([&](int i) {
        uint32_t r[4];
        ptx::ldmatrix_x4_trans(r, tiles[i] + at);
        bf16* const to = planes[i] + lane / 4 * P::plane + j * P::block + row * 8 + lane % 4 * 2;
        unrolled<4>([&](int m) { *reinterpret_cast<uint32_t*>(to + m * 8 * P::plane) = r[m]; });
      });
    });
}

// tile += what convolve_plane has left in planes.
template <class S>
__device__ __forceinline__ void gather(const S& s, const bf16* planes, bf16* tile) {
  using P = Planes<S>;
  const int lane = int(threadIdx.x) % 32;
  for (int y = int(threadIdx.x) / 32; y < s.H; y += int(blockDim.x) / 32)
    unrolled<P::blocks>([&](int j) {
      const int x = 8 * j + lane / 4;
      uint32_t r[4];
      ptx::ldmatrix_x4_trans(r, planes + lane * P::plane + j * P::block + y * 8);
      if (x >= s.W) return;
      const int at = place(y * s.pitch + x, x / 2 + y / 2, 0) + lane % 4 * 2;
      unrolled<4>([&](int m) {
        uint32_t* to = reinterpret_cast<uint32_t*>(tile + (at ^ 8 * m));
        *to = ptx::add_bf16(*to, r[m]);
      });
    });
}

// --- T ---

// Two neighbours of a row of taps, (w_i, w_(i + 1)), rounded; behind those of the whole head, what
// the rounding has left of them.
constexpr int kPairs = 7;  // i = -1 ... 4, and a pair of zeros
constexpr int kPairsOfHead = kD * 5 * kPairs;

// w (C, 25) of the head's channels -> pairs (2, 32, 5, kPairs), the taps in reverse order when
// `reversed`. A thread takes a row of taps.
__device__ __forceinline__ void load_pairs(const float* w, int head, bool reversed,
                                           uint32_t* pairs) {
  for (int row = int(threadIdx.x); row < kD * 5; row += int(blockDim.x)) {
    const float* from = w + int64_t(head) * kD * kTaps + row * 5;
    if (reversed) from += (4 - row % 5 * 2) * 5;
    float taps[kPairs + 1] = {};
    unrolled<5>([&](int i) { taps[i + 1] = from[reversed ? 4 - i : i]; });
    unrolled<kPairs>([&](int i) {
      const uint32_t rounded = ptx::pack_bf16(taps[i], taps[i + 1]);
      const Pack<float, 2> back = unpack(rounded);
      pairs[row * kPairs + i] = rounded;
      pairs[kPairsOfHead + row * kPairs + i] =
          ptx::pack_bf16(taps[i] - back.at[0], taps[i + 1] - back.at[1]);
    });
  }
}

// Which pairs a lane has of any T as a right factor: with x' = 2t, 2t + 1 and x = g it has (w_i,
// w_(i + 1)), i = x' - x + 2; the quarters beside it have i + 8 or i - 8 there.
struct Band {
  int centre, corner;
  __device__ Band() {
    const int lane = int(threadIdx.x) % 32, i = lane % 4 * 2 - lane / 4 + 2;
    centre = slot(i);
    corner = i < 2 ? slot(i + 8) : slot(i - 8);
  }
  static __device__ int slot(int i) { return i >= -1 && i <= 4 ? i + 1 : kPairs - 1; }
};

// plane = start + its convolution, rounded; of 16 rows after another, which come two rows higher
// than they were: no row that is still to be read is written.
template <class S>
__device__ __forceinline__ void convolve_plane(bf16* plane, const uint32_t* pairs, const Band& band,
                                               float start) {
  using P = Planes<S>;
  const int lane = int(threadIdx.x) % 32, t = lane % 4;
#pragma unroll 1
  for (int y = 0; y < S::N; y += 16) {
    Fragment out[P::blocks];
    unrolled<4 * P::blocks>([&](int e) { out[e / 4][e % 4] = start; });
#pragma unroll(S::N == 16 ? 5 : 1)  // written out, 28 x 28 would not fit the registers
    for (int ty = 0; ty < 5; ++ty) {
      uint32_t in[P::blocks + 2][2] = {};  // the blocks, and zeros to either side
      unrolled<P::blocks>([&](int j) {
        ptx::ldmatrix_x2(in[j + 1], plane + j * P::block + (y + lane % 16 + ty) * 8);
      });
      unrolled<2>([&](int part) {
        const uint32_t* row = pairs + part * kPairsOfHead + ty * kPairs;
        const uint32_t b[2] = {row[band.centre], row[band.corner]};
        unrolled<P::blocks>([&](int j) {
          // Of the blocks beside it the left one's last columns count, the right one's first.
          const auto beside = [&](int r) { return t < 2 ? in[j + 2][r] : in[j][r]; };
          ptx::mma_m16n8k16(out[j], {in[j + 1][0], in[j + 1][1], beside(0), beside(1)}, b);
        });
      });
    }
    __syncwarp();  // all lanes have read these rows
    unrolled<2 * P::blocks>([&](int e) {
      const int j = e / 2, r = e % 2;
      bf16* to = plane + j * P::block + (y + lane / 4 + 8 * r) * 8 + 2 * t;
      *reinterpret_cast<uint32_t*>(to) = ptx::pack_bf16(out[j][2 * r], out[j][2 * r + 1]);
    });
  }
}

// --- the gradient of the taps, of maps of up to 14 x 14 ---

using Small = Shape<14>;

// A diagonal of in^T dy (x', x) passes through the quarters as the band does. Columns 14 and 15 are
// 0: where a lane has one corner of the band, it has zeros of the other.
//
// Which diagonals a lane has of products (x', x): with x' = g and x = 2t + e that of tx = x' - x +
// 2 in quarters on the diagonal, else of that + 8 or - 8.
struct Diagonals {
  bool centre[2];
  int tx;       // of e = 0; 5, 6, 7: none
  int from[2];  // lanes that have the same diagonal for t ^ 1 and t ^ 2
  __device__ Diagonals() {
    const int lane = int(threadIdx.x) % 32, g = lane / 4, t = lane % 4, d = g - 2 * t;
    unrolled<2>([&](int e) { centre[e] = unsigned(d - e + 2) < 5u; });
    tx = (d + 2) & 7;
    unrolled<2>([&](int i) {
      const int other = t ^ (i + 1);
      from[i] = ((g + 2 * (other - t)) & 7) * 4 + other;
    });
  }
  // x = the sums of the lane's diagonal of each d. The lane of g + 1 has the same one for e = 1.
  template <int n>
  __device__ __forceinline__ void sum(const Fragment (&d)[n], float (&x)[n]) const {
    const int next = (int(threadIdx.x) + 4) % 32;
    unrolled<n>([&](int i) {
      x[i] = centre[0] ? d[i][0] : d[i][2];
      x[i] += __shfl_sync(cuda::kFullWarp, centre[1] ? d[i][1] : d[i][3], next);
    });
    unrolled<2>([&](int step) {
      unrolled<n>([&](int i) { x[i] += __shfl_sync(cuda::kFullWarp, x[i], from[step]); });
    });
  }
};

// sums[t 32] = dw_t of a channel, t = 25: dbias.
__device__ __forceinline__ void tap_gradients(const bf16* plane, const bf16* dy_plane,
                                              const Diagonals& diagonals, float* sums) {
  constexpr uint32_t kOnes = 0x3f803f80;  // two bf16
  constexpr int kBlock = Planes<Small>::block;
  const int lane = int(threadIdx.x) % 32, row = lane % 8 * 8;
  // The quarters (y, x) of dy: those on the left, those on the right.
  uint32_t dy[4];
  ptx::ldmatrix_x4_trans(dy, dy_plane + lane / 16 * kBlock + (lane / 8 % 2 * 8 + 2) * 8 + row);
  const uint32_t left[2] = {dy[0], dy[1]}, right[2] = {dy[2], dy[3]};
  Fragment d[5] = {}, all = {};
  unrolled<5>([&](int ty) {
    // The right half of the product is added to the left one, its rows x' to rows x' ^ 8: the
    // diagonals then lie above one another.
    const bf16* in_ty = plane + (lane / 16 * 8 + ty) * 8 + row;
    uint32_t in[4], swapped[4];
    ptx::ldmatrix_x4_trans(in, in_ty + lane / 8 % 2 * kBlock);
    ptx::ldmatrix_x4_trans(swapped, in_ty + (lane / 8 % 2 ^ 1) * kBlock);
    ptx::mma_m16n8k16(d[ty], in, left);
    ptx::mma_m16n8k16(d[ty], swapped, right);
  });
  ptx::mma_m16n8k16(all, {kOnes, kOnes, kOnes, kOnes}, left);
  ptx::mma_m16n8k16(all, {kOnes, kOnes, kOnes, kOnes}, right);
  float x[5];
  diagonals.sum(d, x);
  const float dbias = cuda::warp_sum<4>(all[0] + all[1]);
  if (diagonals.tx < 5 && lane % 4 == 0)
    unrolled<5>([&](int ty) { sums[(5 * ty + diagonals.tx) * kD] = x[ty]; });
  if (lane == 0) sums[kTaps * kD] = dbias;
}

}  // namespace rmt::gpu::whole_head

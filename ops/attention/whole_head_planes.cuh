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
// For that a channel must lie in memory as its map: a plane, 20 rows (y = -2 ... 17) of 16 columns.
// What is outside the map is 0. A tap is the sum of two bf16, right to 2^-17 of itself.
//
// Maps are up to 16 high and kWidest = 14 wide. Columns 14 and 15 are then 0, and the lanes that
// hold one corner of the band may let the other corner have the same numbers: these meet zeros, or
// columns of the result that do not exist.
#pragma once
#include "ops/attention/whole_head.cuh"

namespace rmt::gpu::whole_head {

constexpr int kWidest = 14;
constexpr int kPlaneRows = 20, kPlane = kPlaneRows * 16 + 8;  // 8 more: planes begin in all banks
constexpr int kPlanes = kD * kPlane;                          // numbers of a head's planes

// Of row `row` = y + 2 of a plane the 8 columns from 8 half on; 8 rows lie in all banks.
__device__ __forceinline__ int place_in_plane(int row, int half) {
  return row * 16 + ((row >> 2 ^ half) & 1) * 8;
}

// A tile -> planes. A warp takes 8 positions of a row at a time, all channels.
__device__ __forceinline__ void spread(const Shape& s, const bf16* tile, bf16* planes) {
  const int lane = int(threadIdx.x) % 32;
  for (int job = int(threadIdx.x) / 32; job < 2 * kPlaneRows; job += int(blockDim.x) / 32) {
    const int row = job / 2, half = job % 2, y = row - 2, x = 8 * half + lane % 8;
    const bool inside = unsigned(y) < unsigned(s.H) && x < s.W;
    uint32_t r[4];
    ptx::ldmatrix_x4_trans(
        r, tile + place(inside ? y * s.pitch + x : s.zeros, x / 2 + y / 2, lane / 8));
    uint32_t* to =
        reinterpret_cast<uint32_t*>(planes + lane / 4 * kPlane + place_in_plane(row, half)) +
        lane % 4;
    unrolled<4>([&](int i) { to[i * 4 * kPlane] = r[i]; });
  }
}

// tile += planes.
__device__ __forceinline__ void gather(const Shape& s, const bf16* planes, bf16* tile) {
  const int lane = int(threadIdx.x) % 32;
  for (int job = int(threadIdx.x) / 32; job < 2 * s.H; job += int(blockDim.x) / 32) {
    const int y = job / 2, half = job % 2, x = 8 * half + lane / 4;
    uint32_t r[4];
    ptx::ldmatrix_x4_trans(r, planes + lane * kPlane + place_in_plane(y + 2, half));
    if (x >= s.W) continue;
    const int at = place(y * s.pitch + x, x / 2 + y / 2, 0) + lane % 4 * 2;
    unrolled<4>([&](int i) {
      uint32_t* to = reinterpret_cast<uint32_t*>(tile + (at ^ 8 * i));
      *to = ptx::add_bf16(*to, r[i]);
    });
  }
}

// --- T ---

// Two neighbours of a row of taps, (w_i, w_(i + 1)), as sums of two bf16 each.
using TapPair = Pack<uint32_t, 2>;
constexpr int kPairs = 7;  // i = -1 ... 4, and a pair of zeros
constexpr int kPairsOfHead = kD * 5 * kPairs;

// w (C, 25) of the head's channels -> pairs (32, 5, kPairs), the taps in reverse order when
// `reversed`.
__device__ __forceinline__ void load_pairs(const float* w, int head, bool reversed,
                                           TapPair* pairs) {
  for (int i = int(threadIdx.x); i < kPairsOfHead; i += int(blockDim.x)) {
    const int row = i / kPairs, first = i % kPairs - 1;
    const float* taps = w + (int64_t(head) * kD + row / 5) * kTaps;
    const auto tap = [&](int tx) {
      const int t = row % 5 * 5 + tx;
      return tx >= 0 && tx < 5 ? taps[reversed ? kTaps - 1 - t : t] : 0.f;
    };
    const float low = tap(first), high = tap(first + 1);
    const uint32_t rounded = ptx::pack_bf16(low, high);
    pairs[i] = {rounded, ptx::pack_bf16(low - __uint_as_float(rounded << 16),
                                        high - __uint_as_float(rounded & 0xffff0000u))};
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

// out (16, 16) = the convolution of a plane.
__device__ __forceinline__ void convolve_plane(const bf16* plane, const TapPair* pairs,
                                               const Band& band, Fragment (&out)[2]) {
  const int lane = int(threadIdx.x) % 32;
  unrolled<5>([&](int ty) {
    uint32_t a[4];
    ptx::ldmatrix_x4(a, plane + place_in_plane(lane % 16 + ty, lane / 16));
    const uint32_t swapped[4] = {a[2], a[3], a[0], a[1]};
    const TapPair centre = pairs[ty * kPairs + band.centre];
    const TapPair corner = pairs[ty * kPairs + band.corner];
    unrolled<2>([&](int part) {
      const uint32_t b[2] = {centre.at[part], corner.at[part]};
      ptx::mma_m16n8k16(out[0], a, b);
      ptx::mma_m16n8k16(out[1], swapped, b);
    });
  });
}

// What a lane has of such a convolution -> a plane's rows y = 0 ... 15, rounded.
__device__ __forceinline__ void store_plane(const Fragment (&out)[2], bf16* plane) {
  const int lane = int(threadIdx.x) % 32;
  unrolled<4>([&](int i) {
    const int half = i / 2, r = i % 2;
    bf16* to = plane + place_in_plane(lane / 4 + 8 * r + 2, half) + lane % 4 * 2;
    *reinterpret_cast<uint32_t*>(to) = ptx::pack_bf16(out[half][2 * r], out[half][2 * r + 1]);
  });
}

// --- the gradient of the taps ---

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
  // The sum of the lane's diagonal. The lane of g + 1 has the same diagonal for e = 1.
  __device__ __forceinline__ float sum(const Fragment& d) const {
    const int lane = int(threadIdx.x) % 32;
    float x = centre[0] ? d[0] : d[2];
    x += __shfl_sync(cuda::kFullWarp, centre[1] ? d[1] : d[3], (lane + 4) % 32);
    unrolled<2>([&](int i) { x += __shfl_sync(cuda::kFullWarp, x, from[i]); });
    return x;
  }
};

// sums[t 32] = dw_t of a channel, t = 25: dbias.
__device__ __forceinline__ void tap_gradients(const bf16* plane, const bf16* dy_plane,
                                              const Diagonals& diagonals, float* sums) {
  constexpr uint32_t kOnes = 0x3f803f80;  // two bf16
  const int lane = int(threadIdx.x) % 32, row = lane / 16 * 8 + lane % 8, half = lane / 8 % 2;
  uint32_t dy[4];  // the quarters (y, x): upper left, upper right, lower left, lower right
  ptx::ldmatrix_x4_trans(dy, dy_plane + place_in_plane(row + 2, half));
  const uint32_t left[2] = {dy[0], dy[2]}, right[2] = {dy[1], dy[3]};
  unrolled<5>([&](int ty) {
    uint32_t in[4];
    ptx::ldmatrix_x4_trans(in, plane + place_in_plane(row + ty, half));
    // The right half of the product is added to the left one, its rows x' ^ 8 to rows x': the
    // diagonals then lie above one another.
    Fragment d = {};
    ptx::mma_m16n8k16(d, in, left);
    ptx::mma_m16n8k16(d, {in[1], in[0], in[3], in[2]}, right);
    const float x = diagonals.sum(d);
    if (diagonals.tx < 5 && lane % 4 == 0) sums[(5 * ty + diagonals.tx) * kD] = x;
  });
  Fragment d = {};
  ptx::mma_m16n8k16(d, {kOnes, kOnes, kOnes, kOnes}, left);
  ptx::mma_m16n8k16(d, {kOnes, kOnes, kOnes, kOnes}, right);
  const float x = cuda::warp_sum<4>(d[0] + d[1]);
  if (lane == 0) sums[kTaps * kD] = x;
}

}  // namespace rmt::gpu::whole_head

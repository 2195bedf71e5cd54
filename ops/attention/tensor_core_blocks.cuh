// A block of the kernels in tensor_cores.cuh: how a call is dealt to blocks, what a block has in
// shared memory, how that is filled, and how results leave it.
#pragma once
#include <type_traits>

#include "ops/attention/tensor_core_tiles.cuh"

namespace rmt::gpu::tensor_cores {

constexpr int kMaxWarps = 8;
constexpr size_t kMaxShared = 99 << 10;  // of a block, on every GPU from sm_80 on

// A call as the kernels want it: 32 bits, and no divisions. The grid is (groups of neighbouring
// heads, lines of an image, images), a block (a group's channels / 8, positions).
struct Call {
  const bf16 *q, *k, *v, *dy;
  const float *decay, *rotary;
  int qk_stride, v_stride, y_stride;  // in bytes
  int image, line, step;  // positions from an image, a line, a position of the line to the next
  int n, padded;          // positions of a line, and rounded up to 16
  int warps, units;       // of a unit; of a block
  int width;              // of a row of the map
  size_t bytes(int tensors, int D) const {  // of shared memory
    const size_t tile = size_t(padded) * (D + 8) * sizeof(bf16);
    return units * (tensors * tile + D * sizeof(bf16)) + (units + 1) * 2 * padded * sizeof(float) +
           (tensors == 4 ? units * warps * 16 * (D + 8) * sizeof(bf16) : 0);
  }

  explicit Call(const Attention<bf16>& a)
      : q(a.q),
        k(a.k),
        v(a.v),
        dy(a.dy),
        decay(a.decay),
        rotary(a.rotary),
        qk_stride(int(a.qk_stride * 2)),
        v_stride(int(a.v_stride * 2)),
        y_stride(int(a.y_stride * 2)),
        image(int(a.lines.H * a.lines.W)),
        line(a.lines.axis == ops::Axis::W ? int(a.lines.W) : 1),
        step(a.lines.axis == ops::Axis::H ? int(a.lines.W) : 1),
        n(int(a.lines.n())),
        padded((n + 15) / 16 * 16),
        width(int(a.lines.W)) {
    const int tiles = padded / 16, rounds = (tiles + kMaxWarps - 1) / kMaxWarps;
    warps = (tiles + rounds - 1) / rounds;
    units = kMaxWarps / warps;
    while (a.lines.heads % units) --units;
  }
};

// A block's shared memory: for each unit its tiles of q', k', v (and dy), (padded, D) each; 16 rows
// for each warp, through which dq passes; for each query of a unit two numbers; then x, y of the
// map's positions.
template <int D>
struct BlockMemory {
  // Rows are longer by 16 bytes, so that 8 of them lie in all banks.
  static constexpr int ld = D + 8;
  bf16* tiles;
  int tile, unit;  // numbers of a tile; of a unit's tiles, and a row between units
  bf16* stage;     // (warps, 16, D)
  float* rows;     // (units, padded / 2, 4)
  float* places;   // (padded, 2)

  __device__ BlockMemory(bf16* shared, int padded, int units, int warps, int tensors)
      : tiles(shared),
        tile(padded * ld),
        unit(tensors * tile + D),
        stage(tiles + units * unit),
        rows(reinterpret_cast<float*>(stage + (tensors == 4 ? units * warps * 16 * ld : 0))),
        places(rows + units * 2 * padded) {}
};

// What a thread knows of its block and warp. N: positions of a line, 0 if that is known only now.
template <int D, int N, int tensors>
struct Place {
  static constexpr int ld = BlockMemory<D>::ld;
  const Call& call;
  const int n, padded, warps, units;
  const BlockMemory<D> memory;
  const int local, i0;  // the number of the warp's unit in the block, the first of its rows
  const int first;      // the line's first position among all images'
  const int on_map;     // and on its own map
  const int head;
  bf16 *const tq, *const tk, *const tv, *const tdy, *const stage;
  float* const rows;

  __device__ __forceinline__ Place(const Call& c, bf16* shared)
      : call(c),
        n(N ? N : c.n),
        padded(N ? (N + 15) / 16 * 16 : c.padded),
        warps(N ? (N + 15) / 16 : c.warps),
        units(c.units),
        memory(shared, padded, units, warps, tensors),
        local(thread_of_block() / 32 / warps),
        i0(thread_of_block() / 32 % warps * 16),
        first(int(blockIdx.z) * c.image + int(blockIdx.y) * c.line),
        on_map(int(blockIdx.y) * c.line),
        head(int(blockIdx.x) * units + local),
        tq(memory.tiles + local * memory.unit),
        tk(tq + memory.tile),
        tv(tk + memory.tile),
        tdy(tv + memory.tile),
        stage(memory.stage + thread_of_block() / 32 * 16 * ld),
        rows(memory.rows + local * 2 * padded) {}

  __device__ float decay() const { return call.decay ? float(kLog2e) * call.decay[head] : 0; }
  // Position i's numbers from channel c on, of a tensor with so many bytes from a position to the
  // next.
  template <class X>
  __device__ __forceinline__ X* at(X* x, int stride, int i, int c) const {
    using Byte = std::conditional_t<std::is_const_v<X>, const char, char>;
    return reinterpret_cast<X*>(reinterpret_cast<Byte*>(x + c) +
                                int64_t(first + i * call.step) * stride);
  }

  // Fills the block's tiles and waits for them. A thread takes 8 channels of every so many
  // positions, neighbours take neighbouring channels and heads.
  template <bool map>
  __device__ __forceinline__ void load_tiles() const {
    constexpr int kBatch = D / 16;
    const int chunk = int(threadIdx.x), c = (int(blockIdx.x) * int(blockDim.x) + chunk) * 8;
    const int row = int(threadIdx.y), step = N ? (N + 15) / 16 * (256 / D) : int(blockDim.y);
    bf16* const to = memory.tiles + chunk / (D / 8) * memory.unit + chunk % (D / 8) * 8 + row * ld;
    int done = 0;  // of the padded positions
    do {
      Eight q[kBatch] = {}, k[kBatch] = {};
      Pack<float, 8> angles[kBatch] = {};
      unrolled<kBatch>([&](int b) {
        const int i = done + b * step + row;
        bf16* const v = to + 2 * memory.tile + (done + b * step) * ld;
        // v and dy as they are, without passing through registers.
        if (N || i < padded) {
          ptx::cp_async_16(v, at(call.v, call.v_stride, i, c), i < n);
          if (tensors == 4)
            ptx::cp_async_16(v + memory.tile, at(call.dy, call.y_stride, i, c), i < n);
        }
        if (i >= n) return;
        q[b] = *reinterpret_cast<const Eight*>(at(call.q, call.qk_stride, i, c));
        k[b] = *reinterpret_cast<const Eight*>(at(call.k, call.qk_stride, i, c));
        angles[b] = angles_at(call.rotary, (on_map + i * call.step) * D + chunk % (D / 8) * 8);
      });
      unrolled<kBatch>([&](int b) {
        if (!N && done + b * step + row >= padded) return;
        bf16* const here = to + (done + b * step) * ld;
        store_rotated<D>(here, here + memory.tile, q[b], k[b], angles[b]);
      });
      done += kBatch * step;
    } while (!N && done < padded);
    if constexpr (map) {
      constexpr int kWidth = N == 49 ? 7 : 0;
      const int width = kWidth ? kWidth : call.width;
      for (int i = thread_of_block(); i < padded; i += int(blockDim.x * blockDim.y)) {
        memory.places[2 * i] = float(i % width);
        memory.places[2 * i + 1] = float(i / width);
      }
    }
    ptx::cp_async_commit();
    ptx::cp_async_wait<0>();
    __syncthreads();
  }

  // --- writing results ---

  // Turns channels 2t, 2t + 1 of each 8 of the positions from, ..., from + 15 back.
  __device__ __forceinline__ void rotate_back(Fragment (&out)[D / 8], int from) const {
    if (!call.rotary) return;
    const int g = lane_of_warp() / 4, t = lane_of_warp() % 4;
    unrolled<2>([&](int r) {
      const int i = min(from + g + 8 * r, n - 1);  // what is behind n will not be stored
      const auto* angles =
          reinterpret_cast<const Pack<float, 2>*>(call.rotary + (on_map + i * call.step) * D) + t;
      unrolled<D / 8>([&](int m) {
        const Pack<float, 2> angle = angles[4 * m];
        rotate(out[m][2 * r], out[m][2 * r + 1], angle.at[0], -angle.at[1]);
      });
    });
  }

  // x = out for the positions from, ..., from + 15, rows g times f0 and rows g + 8 times f1; with
  // `add`, x += that, rounded to bf16 before it is added and after. Numbers pass through `through`,
  // 16 rows of shared memory that are the warp's own, for a thread to write 8 neighbours.
  __device__ __forceinline__ void store(bf16* x, int stride, Fragment (&out)[D / 8], int from,
                                        float f0, float f1, bool add, bf16* through) const {
    const int lane = lane_of_warp(), g = lane / 4, t = lane % 4;
    unrolled<D / 2>([&](int e) { out[e / 4][e % 4] *= e % 4 < 2 ? f0 : f1; });
    auto* const pairs = reinterpret_cast<uint32_t*>(through + g * ld) + t;
    unrolled<D / 8>([&](int m) {
      pairs[4 * m] = ptx::pack_bf16(out[m][0], out[m][1]);
      pairs[4 * ld + 4 * m] = ptx::pack_bf16(out[m][2], out[m][3]);
    });
    __syncwarp();
    unrolled<D / 16>([&](int s) {
      const int row = lane / (D / 8) + s * (256 / D), c = lane % (D / 8) * 8;
      if (from + row >= n) return;
      Eight sum = *reinterpret_cast<const Eight*>(through + row * ld + c);
      auto* const to = reinterpret_cast<Eight*>(at(x, stride, from + row, head * D + c));
      if (add) {
        const Eight there = *to;
        unrolled<4>([&](int i) { sum.at[i] = ptx::add_bf16(there.at[i], sum.at[i]); });
      }
      *to = sum;
    });
    __syncwarp();
  }
};

}  // namespace rmt::gpu::tensor_cores

// Tensor cores and asynchronous copies, from sm_80 on: the one file with inline PTX. (PTX ISA:
// "cp.async", "mma.m16n8k16", "ldmatrix", "movmatrix".) The emulated twins are in emulator/ptx.h.
//
// clang-format off
// A tensor core multiplies small matrices, one product for a whole warp:
//
//     d (16, 8) += a (16, 16) b (16, 8)         a and b in bf16, sums in f32
//
// No lane holds a whole matrix. The drawings say which lane holds which elements, and in which of
// its registers; they are the same for every warp. A register of a and b holds two bf16: the one
// with the lower index along k (a's columns, b's rows) is in its lower half.
//
//      a      column 0 1   2 3   4 5   6 7     8 9  10 11 12 13 14 15
//                 +-------------------------+-------------------------+
//         row  0  |   0     1     2     3   |   0     1     2     3   |
//              1  |   4     5     6     7   |   4     5     6     7   |
//              2  |   8     9    10    11   |   8     9    10    11   |
//              3  |  12    13    14    15   |  12    13    14    15   |     each number: the lane
//              4  |  16    17    18    19   |  16    17    18    19   |
//              5  |  20    21    22    23   |  20    21    22    23   |     that has the pair
//              6  |  24    25    26    27   |  24    25    26    27   |
//              7  |  28    29    30    31   |  28    29    30    31   |
//                 |    in register a[0]     |          a[2]           |
//                 +-------------------------+-------------------------+
//            8-15 |  as above,     a[1]     |          a[3]           |
//                 +-------------------------+-------------------------+
//
//      b    column    0    1    2    3    4    5    6    7
//                 +-----------------------------------------+
//       rows  0 1 |   0    4    8   12   16   20   24   28  |
//             2 3 |   1    5    9   13   17   21   25   29  |
//             4 5 |   2    6   10   14   18   22   26   30  |     b is held as a is, transposed
//             6 7 |   3    7   11   15   19   23   27   31  |
//                 |            in register b[0]             |
//                 +-----------------------------------------+
//            8-15 |            as above,   b[1]             |
//                 +-----------------------------------------+
//
//      d      column 0 1   2 3   4 5   6 7
//                 +-------------------------+
//         row  0  |   0     1     2     3   |
//              1  |   4     5     6     7   |     two f32: the left one is d[0], the right one d[1]
//             ..  |  ..    ..    ..    ..   |
//              7  |  28    29    30    31   |
//                 +-------------------------+
//            8-15 |  as above, d[2], d[3]   |     so d rounded to bf16 is half of an a: the next
//                 +-------------------------+     product's, with no word between the lanes
//
// With g = lane / 4 and t = lane % 4 this is a[0] = a(g, 2t..2t+1), b[0] = b(2t..2t+1, g) and
// d[0..1] = d(g, 2t..2t+1).
//
// ldmatrix brings 8 x 8 matrices of bf16 from shared memory into such registers. Each row of 16
// bytes lies anywhere that is 16-byte aligned: lane 8 i + j points to row j of matrix i. Afterwards
// r[i] holds matrix i as a[0] holds the upper left quarter of a; after the _trans forms it holds
// the transposed matrix so.
//
//      lanes  0- 7 -> rows 0-7 of matrix 0          r[0]     the four quarters of an a:
//      lanes  8-15 -> rows 0-7 of matrix 1   ==>    r[1]        +-----+-----+
//      lanes 16-23 -> rows 0-7 of matrix 2          r[2]        |  0  |  2  |
//      lanes 24-31 -> rows 0-7 of matrix 3          r[3]        +-----+-----+
//                                                               |  1  |  3  |
//                                                               +-----+-----+
// So, for tiles in shared memory that are stored row by row:
//      a from (m, k)    x4         lane points to row lane % 16, column lane / 16 * 8
//      b from (k, n)    x2_trans   lane points to row lane % 16
//      b from (n, k)    x2         lane points to row lane % 8, column lane / 8 % 2 * 8
// clang-format on
#pragma once
#include <cstdint>

#include "core/cuda/runtime.h"

#ifdef __CUDACC__
namespace rmt::ptx {

// The address as ldmatrix and cp.async want it: counted within the block's shared memory.
__device__ __forceinline__ unsigned shared_address(const void* p) {
  return unsigned(__cvta_generic_to_shared(p));
}

// d = c + a b, as drawn above; d and c may be the same. All 32 lanes call it together.
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2], const float (&c)[4]) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%10, %11, %12, %13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "f"(c[0]), "f"(c[1]),
        "f"(c[2]), "f"(c[3]));
}
// d += a b.
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2]) {
  mma_m16n8k16(d, a, b, d);
}

// Four matrices: every lane points to a row. All 32 lanes call it together.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
// The same of the transposed matrices.
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
// Two matrices: lanes 0 to 15 point to their rows, what the others pass is not read.
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}
// The same of the transposed matrices.
__device__ __forceinline__ void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}

// The 8 x 8 matrix that the warp's registers x hold as a[0] does a quarter of a, transposed. All 32
// lanes call it together.
__device__ __forceinline__ uint32_t movmatrix_trans(uint32_t x) {
  uint32_t y;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
  return y;
}

// Begins to copy 16 bytes from global to shared memory, both 16-byte aligned, and does not wait.
// With valid = false zeros are written and `from` is not read. (.cg goes past the L1 cache, from
// which nothing here would be read again.)
__device__ __forceinline__ void cp_async_16(void* to, const void* from, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0)
               : "memory");
}
// What this thread began since its last commit becomes a group.
__device__ __forceinline__ void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
// Waits until at most the n youngest groups of this thread are still under way. For the copies of
// other threads a barrier is needed after it.
template <int n>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

// x, though the compiler does not know it: what follows from x is computed here, not kept in
// registers from an earlier place.
__device__ __forceinline__ int anew(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

// Two numbers, rounded to bf16, in one register.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
// Two sums of two bf16 in one register each, rounded once. (a 1 + b: GPUs from sm_80 on have that.)
__device__ __forceinline__ uint32_t add_bf16(uint32_t a, uint32_t b) {
  uint32_t r;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(0x3f803f80), "r"(b));
  return r;
}
// 2^x, right to 2^-22 of itself; 0 where the result would be below 2^-126.
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// log2 x, right to 2^-22; of itself if x is not between 1/2 and 2. -inf for x < 2^-126.
__device__ __forceinline__ float log2_approx(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
// 1 / x, right to 2^-23 of itself; 0 where the result would be below 2^-126.
__device__ __forceinline__ float reciprocal_approx(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace rmt::ptx
#else
#include "core/cuda/emulator/ptx.h"
#endif

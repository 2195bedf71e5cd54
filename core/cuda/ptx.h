// Tensor cores and asynchronous copies: the one file with inline PTX (PTX ISA, sections 9.7.9
// cp.async, 9.7.14 mma and ldmatrix). All of it from sm_80 on.
//
//   mma_m16n8k16(d, a, b)       d += a b,  a 16x16 row by row, b 16x8 column by column, both bf16;
//   d 16x8 f32. All 32 lanes call; with g = lane / 4, t = lane %
//   4
//                               and two bf16 to a register, the lower column (of b: row) in the
//                               lower half, a lane holds
//                                 a[0] a(g, 2t..2t+1)   a[1] a(g+8, 2t..)   a[2] a(g, 2t+8..) a[3]
//                                 a(g+8, 2t+8..) b[0] b(2t..2t+1, g)   b[1] b(2t+8.., g)   d[0..1]
//                                 d(g, 2t..2t+1)   d[2..3] d(g+8, 2t..2t+1)
//   ldmatrix_x4(r, row)         r[i] = row g, columns 2t..2t+1 of matrix i (8x8 of 16 bits), whose
//   row j lies in shared memory where lane 8 i + j points, 16-byte
//                               aligned. _x2: two matrices, lanes 0 to 15 point. _trans: of the
//                               transposed matrices. x4 with lane -> row lane % 16, column lane /
//                               16 * 8 of a row-major tile loads the a of an mma; x2_trans with
//                               lane -> row lane % 16 of a row-major (k, n) tile loads its b, x2
//                               with row lane % 8, column lane / 8 % 2 * 8 of an (n, k) tile
//                               likewise.
//   cp_async_16(to, from)       begins to copy 16 bytes from global to shared memory, both 16-byte
//   aligned; with valid = false zeros are written and `from` is not read cp_async_commit() what
//   this thread began since the last commit becomes a group cp_async_wait<n>()          until at
//   most the n youngest groups of this thread are under way; other threads' copies need a barrier
//   after it pack_bf16(low, high)        two numbers rounded to bf16 in a register exp2_approx(x)
//   2^x, right to 2^-22, and 0 for results below 2^-126 reciprocal_approx(x)        1 / x, right to
//   2^-23, and 0 for results below 2^-126
#pragma once
#include <cstdint>

#include "core/cuda/runtime.h"

#ifdef __CUDACC__
namespace rmt::ptx {

__device__ __forceinline__ unsigned shared_address(const void* p) {
  return unsigned(__cvta_generic_to_shared(p));
}

__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}
__device__ __forceinline__ void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(shared_address(row))
               : "memory");
}

// .cg: past the L1 cache, which nothing here would read again.
__device__ __forceinline__ void cp_async_16(void* to, const void* from, bool valid = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void cp_async_commit() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
template <int n>
__device__ __forceinline__ void cp_async_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(n) : "memory");
}

__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}
__device__ __forceinline__ float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float reciprocal_approx(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

}  // namespace rmt::ptx
#else
#include "core/cuda/emulator/ptx.h"
#endif

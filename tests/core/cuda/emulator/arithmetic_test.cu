// CUDA's functions that compute, on a few numbers each.
#ifndef __CUDACC__
#include "tests/core/cuda/emulated.h"

namespace rmt::test {
namespace {

TEST(Emulator, Intrinsics) {
  EXPECT_EQ(__popc(0xf0f0u), 8);
  EXPECT_EQ(__popcll(~0ull), 64);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__brev(1u), 0x80000000u);
  EXPECT_EQ(__umulhi(0xffffffffu, 0xffffffffu), 0xfffffffeu);
  EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
  EXPECT_EQ(__int_as_float(0x40000000), 2.0f);
  EXPECT_EQ(rsqrtf(4.0f), 0.5f);
  EXPECT_EQ(__expf(0.0f), 1.0f);
  EXPECT_EQ(max(3, 4), 4);
  EXPECT_EQ(min(3.0f, NAN), 3.0f);
  EXPECT_EQ(sizeof(float3), 12u);
  EXPECT_EQ(alignof(float4), 16u);
  EXPECT_EQ(alignof(uint2), 8u);
  int i = 5;
  EXPECT_EQ(atomicAdd(&i, 3), 5);
  EXPECT_EQ(atomicMax(&i, 3), 8);
  EXPECT_EQ(atomicMin(&i, 3), 8);
  EXPECT_EQ(atomicCAS(&i, 3, 9), 3);
  EXPECT_EQ(atomicExch(&i, 1), 9);
  EXPECT_EQ(atomicOr(&i, 6), 1);
  EXPECT_EQ(i, 7);
}

}  // namespace
}  // namespace rmt::test
#endif

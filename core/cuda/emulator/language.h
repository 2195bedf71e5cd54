// CUDA's additions to C++, as far as kernels here use them: the keywords, the vector types, and
// where a thread is. nvcc knows them by itself; this makes g++ know them too.
#pragma once
#include <cstddef>
#include <cstdint>

// A kernel is an ordinary function, never inlined, so that a debugger finds it by its name.
#define __global__ __attribute__((noinline, noclone))
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

// CUDA's vector types with CUDA's alignments: UBSan then reports a float4 read from an address that
// is not a multiple of 16.
#define RMT_VECTORS(T, name)                                            \
  struct alignas(8) name##2 {                                           \
    T x, y;                                                             \
  };                                                                    \
  struct name##3 {                                                      \
    T x, y, z;                                                          \
  };                                                                    \
  struct alignas(16) name##4 {                                          \
    T x, y, z, w;                                                       \
  };                                                                    \
  constexpr name##2 make_##name##2(T x, T y) { return {x, y}; }         \
  constexpr name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; } \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
RMT_VECTORS(int, int)
RMT_VECTORS(unsigned, uint)
RMT_VECTORS(float, float)
#undef RMT_VECTORS
struct alignas(16) double2 {
  double x, y;
};
constexpr double2 make_double2(double x, double y) { return {x, y}; }

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned vx = 1, unsigned vy = 1, unsigned vz = 1) : x(vx), y(vy), z(vz) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

// Of the fiber that runs: the emulator sets them at every switch.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

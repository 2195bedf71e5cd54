// CUDA's functions that compute or touch memory and never block: min and max, fast approximations
// (exact here), bits, cached loads and stores, atomics.
#pragma once
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "core/cuda/emulator/machine.h"

// --- numbers ---

// min and max have CUDA's overloads: a mixed pair such as (int64_t, int) is ambiguous there, too.
#define RMT_MIN_MAX(T)                                \
  constexpr T min(T a, T b) { return b < a ? b : a; } \
  constexpr T max(T a, T b) { return a < b ? b : a; }
RMT_MIN_MAX(int)
RMT_MIN_MAX(unsigned)
RMT_MIN_MAX(long)
RMT_MIN_MAX(unsigned long)
RMT_MIN_MAX(long long)
RMT_MIN_MAX(unsigned long long)
#undef RMT_MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }
inline float __expf(float x) noexcept { return expf(x); }
inline float __logf(float x) noexcept { return logf(x); }
inline float __sinf(float x) noexcept { return sinf(x); }
inline float __cosf(float x) noexcept { return cosf(x); }
inline float __powf(float x, float y) noexcept { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0), 1); }

inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(unsigned(x)); }
inline int __clzll(long long x) { return std::countl_zero(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return x ? std::countr_zero(unsigned(x)) + 1 : 0; }
inline int __ffsll(long long x) {
  return x ? std::countr_zero(static_cast<unsigned long long>(x)) + 1 : 0;
}
inline unsigned __brev(unsigned x) {
  unsigned y = 0;
  for (int i = 0; i < 32; ++i) y |= (x >> i & 1) << (31 - i);
  return y;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned((uint64_t(a) * b) >> 32); }
inline int __mulhi(int a, int b) { return int((int64_t(a) * b) >> 32); }

// --- loads and stores past a cache, which is no different here ---

template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
void __stcs(T* p, std::type_identity_t<T> value) {
  *p = value;
}
template <class T>
void __stcg(T* p, std::type_identity_t<T> value) {
  *p = value;
}

namespace rmt::emulator {
template <class T>
concept Atomic =
    std::same_as<T, int> || std::same_as<T, unsigned> || std::same_as<T, unsigned long long>;
template <class T>
concept AtomicOrdered = Atomic<T> || std::same_as<T, long long>;
}  // namespace rmt::emulator

// Plain updates, since nobody else runs meanwhile. All return the old value. Sums wrap.
template <rmt::emulator::Atomic T>
T atomicAdd(T* p, std::type_identity_t<T> value) {
  using U = std::make_unsigned_t<T>;
  return std::exchange(*p, T(U(*p) + U(value)));
}
template <rmt::emulator::AtomicOrdered T>
T atomicMax(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, *p < value ? value : *p);
}
template <rmt::emulator::AtomicOrdered T>
T atomicMin(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, value < *p ? value : *p);
}
template <rmt::emulator::Atomic T>
T atomicOr(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, *p | value);
}
template <rmt::emulator::Atomic T>
T atomicAnd(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, *p & value);
}
template <rmt::emulator::Atomic T>
T atomicExch(T* p, std::type_identity_t<T> value) {
  return std::exchange(*p, value);
}
template <rmt::emulator::Atomic T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  return std::exchange(*p, *p == expected ? value : *p);
}

inline void __threadfence() {}
inline void __threadfence_block() {}
[[noreturn]] inline void __trap() { rmt::emulator::fail("__trap"); }

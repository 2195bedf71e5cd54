// Element types. f32 computes, f64 checks, bf16 holds activations on a GPU (it is widened before
// any arithmetic), integers are labels and bytes.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <type_traits>

#include "core/error.h"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#define HD __host__ __device__  // functions that kernels may call too
#else
#define HD
#endif

namespace rmt {

enum class DType : uint8_t { f32, f64, bf16, i32, i64, u8 };

// The upper half of an f32: 1 sign, 8 exponent, 7 mantissa bits. Rounds to nearest, ties to even;
// NaN stays NaN.
struct bf16 {
  uint16_t bits = 0;
  bf16() = default;
  HD explicit bf16(float x) {
#ifdef __CUDA_ARCH__
    bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
    uint32_t u = std::bit_cast<uint32_t>(x);
    bits = x != x ? uint16_t((u >> 16) | 0x40) : uint16_t((u + 0x7fff + ((u >> 16) & 1)) >> 16);
#endif
  }
  HD explicit operator float() const {
#ifdef __CUDA_ARCH__
    return __uint_as_float(uint32_t(bits) << 16);
#else
    return std::bit_cast<float>(uint32_t(bits) << 16);
#endif
  }
};

// What an activation of type T is computed in, and the type of what stands beside it and is not
// rounded to bf16: parameters, their gradients, statistics.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, bf16>, float, T>;

inline size_t size_of(DType t) {
  switch (t) {
    case DType::f32:
    case DType::i32: return 4;
    case DType::f64:
    case DType::i64: return 8;
    case DType::bf16: return 2;
    case DType::u8: return 1;
  }
  throw Error("size_of: unknown dtype");
}

inline const char* name_of(DType t) {
  switch (t) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::bf16: return "bf16";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
    case DType::u8: return "u8";
  }
  throw Error("name_of: unknown dtype");
}

inline DType wide(DType t) { return t == DType::bf16 ? DType::f32 : t; }
inline bool is_float(DType t) { return t == DType::f32 || t == DType::f64 || t == DType::bf16; }
inline std::ostream& operator<<(std::ostream& out, DType t) { return out << name_of(t); }

template <class T>
inline constexpr DType dtype_of = [] {
  static_assert(sizeof(T) == 0, "no DType for this type");
  return DType::f32;
}();
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::u8;

// f(T{}) with T the element type of dtype.
template <class F>
void with_type(DType dtype, F f) {
  switch (dtype) {
    case DType::f32: return f(float());
    case DType::f64: return f(double());
    case DType::bf16: return f(bf16());
    case DType::i32: return f(int32_t());
    case DType::i64: return f(int64_t());
    case DType::u8: return f(uint8_t());
  }
}

}  // namespace rmt

// A small SIMD vocabulary over the compiler's vector extension: Vec<float>, Vec<double> with + - * /, comparisons and selection, as wide as the
// machine the build is for (AVX-512, AVX2, else 16 bytes). No intrinsics here or in the ops; GCC and Clang turn these into the machine's own.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

namespace rmt::simd {

#if defined(__AVX512F__)
inline constexpr int kBytes = 64;
#elif defined(__AVX__)
inline constexpr int kBytes = 32;
#else
inline constexpr int kBytes = 16;
#endif

namespace detail {
template <class T>
struct Types;
template <>
struct Types<float> {
  typedef float V __attribute__((vector_size(kBytes)));
  typedef int32_t M __attribute__((vector_size(kBytes)));
};
template <>
struct Types<double> {
  typedef double V __attribute__((vector_size(kBytes)));
  typedef int64_t M __attribute__((vector_size(kBytes)));
};
}  // namespace detail

template <class T>
using Vec = typename detail::Types<T>::V;  // lanes<T> numbers
template <class T>
using Mask = typename detail::Types<T>::M;  // as many integers of the same width: comparison results, exponents
template <class T>
inline constexpr int lanes = kBytes / int(sizeof(T));

template <class T>
inline Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class T>
inline void store(T* p, Vec<T> v) {
  std::memcpy(p, &v, sizeof v);
}
// The first n of lanes<T> numbers, 0 in the rest / only the first n written; n in [0, lanes].
template <class T>
inline Vec<T> load(const T* p, int n) {
  Vec<T> v{};
  std::memcpy(&v, p, size_t(n) * sizeof(T));
  return v;
}
template <class T>
inline void store(T* p, Vec<T> v, int n) {
  std::memcpy(p, &v, size_t(n) * sizeof(T));
}
template <class T>
inline Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

template <class T>
inline Vec<T> max(Vec<T> a, Vec<T> b) {
  return a > b ? a : b;
}
template <class T>
inline Vec<T> min(Vec<T> a, Vec<T> b) {
  return a < b ? a : b;
}
// Sum and maximum of the lanes, halving, so that the order is fixed by the width alone.
template <class T>
inline T sum(Vec<T> v) {
  T a[lanes<T>];
  store<T>(a, v);
  for (int n = lanes<T> / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) a[i] += a[i + n];
  return a[0];
}
template <class T>
inline T max_lane(Vec<T> v) {
  T a[lanes<T>];
  store<T>(a, v);
  for (int n = lanes<T> / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) a[i] = a[i] > a[i + n] ? a[i] : a[i + n];
  return a[0];
}

// e^x. float: x = n ln2 + r with |r| <= ln2 / 2, e^r by its Taylor polynomial of degree 7 (remainder below 6e-9), times 2^n: within 2 ulp
// on [-87.3, 88.7]; below it gives 0, above it stays at e^88.7. double: std::exp lane by lane.
inline Vec<float> exp(Vec<float> x) {
  const Vec<float> lo = broadcast(-87.33654f), hi = broadcast(88.72f);
  Vec<float> t = max<float>(lo, min<float>(hi, x));
  const float magic = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  Vec<float> n = (t * 1.44269504088896f + magic) - magic;
  Vec<float> r = t - n * 0.693359375f + n * 2.12194440e-4f;  // ln2 in two parts, the first exact in few bits
  Vec<float> p = r * (1.f / 5040) + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  Mask<float> bits = (__builtin_convertvector(n, Mask<float>) + 127) << 23;
  Vec<float> scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return x < lo ? Vec<float>{} : p * scale;
}
inline Vec<double> exp(Vec<double> x) {
  for (int i = 0; i < lanes<double>; ++i) x[i] = std::exp(x[i]);
  return x;
}

}  // namespace rmt::simd

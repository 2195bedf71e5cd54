// A small SIMD vocabulary over the compiler's vector extension: Vec<float>, Vec<double> with + - *
// /, comparisons and selection, as wide as the machine the build is for (AVX-512, AVX2, else 16
// bytes). No intrinsics here or in the ops; GCC and Clang turn these into the machine's own.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

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

// lanes<T> numbers
template <class T>
using Vec = typename detail::Types<T>::V;
// As many integers of the same width: results of comparisons, exponents.
template <class T>
using Mask = typename detail::Types<T>::M;
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
template <class T>
inline Vec<T> broadcast(T x) {
  return x - Vec<T>{};
}

// The first n of lanes<T> numbers, 0 in the other lanes; n in [0, lanes].
template <class T>
inline Vec<T> load(const T* p, int n) {
  Vec<T> v{};
  std::memcpy(&v, p, n * sizeof(T));
  return v;
}
// Writes the first n lanes alone.
template <class T>
inline void store(T* p, Vec<T> v, int n) {
  std::memcpy(p, &v, n * sizeof(T));
}
// The first N of lanes<T> numbers, `rest` in the other lanes. N is a constant, so that this is a
// narrow load and at most a blend, where load(p, n) goes through memory.
template <class T, int N>
inline Vec<T> load(const T* p, std::integral_constant<int, N>, T rest = 0) {
  if constexpr (N == lanes<T>) return load(p);
  typedef T Part __attribute__((vector_size(N * sizeof(T))));
  Part part;
  std::memcpy(&part, p, sizeof part);
  return [&]<int... I>(std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(part, rest - Part{}, (I < N ? I : N)...);
  }
  (std::make_integer_sequence<int, lanes<T>>());
}

// An index that stands for `count` neighbours, i, i + 1, ..., at most as many as a vector has
// lanes. Count is a compile-time constant wherever speed matters.
template <class Count>
struct Index {
  int64_t first;
  int64_t columns = 0;  // the length of a row, for an index that counts columns
  Count count = {};
};

// What a View gives at an index to write to: y[i] = v, y[i] += v, y[i] *= v. To compute with what
// is there: Vec<T>(y[i]).
template <class T, class Count>
struct Slot {
  T* p;
  Count count;
  operator Vec<T>() const { return load(p, count); }
  void operator=(Vec<T> v) const { store(p, v, count); }
  void operator=(const Slot& other) const { *this = Vec<T>(other); }
  void operator+=(Vec<T> v) const { *this = Vec<T>(*this) + v; }
  void operator*=(T factor) const { *this = Vec<T>(*this) * factor; }
};

// A pointer to numbers that are taken a vector at a time: x[i], or x(r, c) for column c of row r.
// View<const T> is read, View<T> written. Beyond the index's count the lanes that are read hold 0.
template <class T>
class View {
 public:
  using element_type = T;
  using Number = std::remove_const_t<T>;
  View(T* p) : p_(p) {}
  template <class U>
  requires std::is_convertible_v<U*, T*> View(View<U> v) : p_(v.data()) {}
  explicit operator bool() const { return p_ != nullptr; }
  T* data() const { return p_; }

  template <class Count>
  auto operator[](Index<Count> i) const {
    if constexpr (std::is_const_v<T>)
      return load(p_ + i.first, i.count);
    else
      return Slot<T, Count>{p_ + i.first, i.count};
  }
  template <class Count>
  auto operator()(int64_t row, Index<Count> c) const {
    return (*this)[Index<Count>{row * c.columns + c.first, 0, c.count}];
  }
  // The same with `rest` in place of 0.
  template <class Count>
  Vec<Number> operator()(int64_t row, Index<Count> c, Number rest) const {
    return load<Number>(p_ + row * c.columns + c.first, c.count, rest);
  }

 private:
  T* p_;
};

template <class T>
inline Vec<T> max(Vec<T> a, Vec<T> b) {
  return a > b ? a : b;
}
inline Vec<float> square(Vec<float> x) { return x * x; }
inline Vec<double> square(Vec<double> x) { return x * x; }
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

inline float sum(Vec<float> v) { return sum<float>(v); }
inline double sum(Vec<double> v) { return sum<double>(v); }

// e^x. float: x = n ln2 + r with |r| <= ln2 / 2, e^r by its Taylor polynomial of degree 7
// (remainder below 6e-9), times 2^n: within 2 ulp on [-87.3, 88.37]; below it gives 0, above it
// stays at e^88.37 (n = 127, the largest power). double: std::exp lane by lane.
inline Vec<float> exp(Vec<float> x) {
  const Vec<float> lo = broadcast(-87.33654f), hi = broadcast(88.37f);
  Vec<float> t = max<float>(lo, min<float>(hi, x));
  const float magic = 12582912.f;  // 1.5 * 2^23: adding it rounds to an integer
  Vec<float> n = (t * 1.44269504088896f + magic) - magic;
  Vec<float> r =
      t - n * 0.693359375f + n * 2.12194440e-4f;  // ln2 in two parts, the first exact in few bits
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

// 2^x. float: x = n + r with |r| <= 1/2, 2^r by a polynomial of degree 6 (fitted, relative error
// 1e-8), n added to its exponent: within 2 ulp on [-125, 127], outside as at the nearer end;
// cheaper than exp. double: std::exp2 lane by lane.
inline Vec<float> exp2(Vec<float> x) {
  const float magic =
      12582912.f;  // 1.5 * 2^23: adding it rounds to an integer and leaves that in the low bits
  Vec<float> t = max<float>(broadcast(-125.f), min<float>(broadcast(127.f), x)), m = t + magic,
             r = t - (m - magic);
  Vec<float> p = r * 1.545316336e-4f + 1.339086331e-3f;
  p = p * r + 9.618083015e-3f;
  p = p * r + 5.550356954e-2f;
  p = p * r + 2.402265072e-1f;
  p = p * r + 6.931471825e-1f;
  p = p * r + 1.f;
  Mask<float> bits, n;
  std::memcpy(&bits, &p, sizeof bits);
  std::memcpy(&n, &m, sizeof n);
  bits += n << 23;
  std::memcpy(&p, &bits, sizeof p);
  return p;
}
inline Vec<double> exp2(Vec<double> x) {
  for (int i = 0; i < lanes<double>; ++i) x[i] = std::exp2(x[i]);
  return x;
}

// The natural logarithm. float: x = 2^n m with m from sqrt(1/2) to sqrt(2), and with
// s = (m - 1) / (m + 1), log m = 2 (s + s^3 / 3 + s^5 / 5 + ...), of which s^9 / 9 is the last that
// counts (the rest is below 2e-9 of the sum): within 2 ulp, -inf at 0, nan below. double: std::log
// lane by lane.
inline Vec<float> log(Vec<float> x) {
  const float infinity = __builtin_inff(), smallest = 0x1p-126f;
  // Below `smallest` a float has no exponent of its own.
  const Vec<float> normal = x < smallest ? x * 0x1p32f : x;
  Mask<float> bits;
  std::memcpy(&bits, &normal, sizeof bits);
  const Mask<float> half_root = Mask<float>{} + 0x3f3504f3;  // the bits of sqrt(1/2)
  const Mask<float> n = (bits - half_root) >> 23;
  bits -= n << 23;
  Vec<float> m;
  std::memcpy(&m, &bits, sizeof m);
  const Vec<float> power =
      __builtin_convertvector(n, Vec<float>) - (x < smallest ? Vec<float>{} + 32 : Vec<float>{});
  const Vec<float> s = (m - 1) / (m + 1), q = s * s;
  Vec<float> p = q * (1.f / 9) + 1.f / 7;
  p = p * q + 1.f / 5;
  p = p * q + 1.f / 3;
  // ln2 in two parts, the first exact in few bits
  Vec<float> y = power * -2.12194440e-4f + 2 * s * q * p + 2 * s + power * 0.693359375f;
  y = x < infinity ? y : x;  // infinity itself, and nan
  y = x == 0 ? broadcast(-infinity) : y;
  return x < 0 ? broadcast(__builtin_nanf("")) : y;
}
inline Vec<double> log(Vec<double> x) {
  for (int i = 0; i < lanes<double>; ++i) x[i] = std::log(x[i]);
  return x;
}

namespace detail {
template <class T, size_t... I>
inline Vec<T> swap_pairs(Vec<T> v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, int(I ^ 1)...);
}
template <class T, size_t odd, size_t... I>
inline Vec<T> repeat(Vec<T> v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, int((I & ~size_t(1)) + odd)...);
}
template <class T, size_t from, size_t... I>
inline Vec<T> interleave(Vec<T> a, Vec<T> b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, int(from + I / 2 + (I % 2) * sizeof...(I))...);
}
template <class T>
using Indices = std::make_index_sequence<size_t(lanes<T>)>;
}  // namespace detail

// Of the pairs (v0, v1), (v2, v3), ...: v1 v0 v3 v2 ... / v0 v0 v2 v2 ... / v1 v1 v3 v3 ...
template <class T>
inline Vec<T> swap_pairs(Vec<T> v) {
  return detail::swap_pairs<T>(v, detail::Indices<T>());
}
template <class T>
inline Vec<T> repeat_even(Vec<T> v) {
  return detail::repeat<T, 0>(v, detail::Indices<T>());
}
template <class T>
inline Vec<T> repeat_odd(Vec<T> v) {
  return detail::repeat<T, 1>(v, detail::Indices<T>());
}

// v[i] lane j <-> v[j] lane i for lanes<T> vectors: as many rounds of perfect shuffles as the width
// has bits.
template <class T>
inline void transpose(Vec<T>* v) {
  constexpr int n = lanes<T>;
#pragma GCC unroll 8
  for (int step = 1; step < n; step *= 2) {
    Vec<T> t[n];
#pragma GCC unroll 16
    for (int i = 0; i < n / 2; ++i) {
      t[2 * i] = detail::interleave<T, 0>(v[i], v[i + n / 2], detail::Indices<T>());
      t[2 * i + 1] = detail::interleave<T, size_t(n / 2)>(v[i], v[i + n / 2], detail::Indices<T>());
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i) v[i] = t[i];
  }
}

}  // namespace rmt::simd

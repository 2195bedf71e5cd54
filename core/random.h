// Counter-based random numbers: a number is a pure function of (seed, purpose, indices), so it
// depends neither on how many were drawn before nor on which thread draws it. Philox4x32-10 (Salmon
// et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
#pragma once
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

#include "core/dtype.h"

namespace rmt {

// What a number is for: the same seed gives unrelated streams to each.
enum class Purpose : uint32_t {
  test = 1,
  init,
  shuffle,
  augment,
  drop_path,
  drawing,
  mix,
  erase,
  dropout,
  sampling  // of boxes (nn/detection/sampler.h)
};

// Philox4x32-10: (counter, key) -> four random words. Ten rounds of two multiplications, whose high
// and low halves are mixed with the other words and the key; the constants are the paper's.
HD inline std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                                         std::array<uint32_t, 2> key) {
  auto [a, b, c, d] = counter;
  for (int round = 0; round < 10; ++round) {
    uint64_t x = uint64_t(0xD2511F53u) * a, y = uint64_t(0xCD9E8D57u) * c;
    a = uint32_t(y >> 32) ^ b ^ key[0];
    b = uint32_t(y);
    c = uint32_t(x >> 32) ^ d ^ key[1];
    d = uint32_t(x);
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return {a, b, c, d};
}

// The counter of the first block of numbers for (purpose, i, j).
HD inline std::array<uint32_t, 4> first_counter(Purpose purpose, uint64_t i, uint64_t j) {
  return {0, uint32_t(j), uint32_t(i), uint32_t(i >> 32) | uint32_t(purpose) << 8};
}

// [0, 1) with 53 bits, from two words.
HD inline double uniform_of(uint32_t first, uint32_t second) {
  return double(uint64_t(first >> 5) << 26 | (second >> 6)) * 0x1p-53;
}

// Four numbers of mean 0 and variance 1 from four words, by Box and Muller: from u in (0, 1] and an
// angle a, both uniform,
//
//   sqrt(-2 log u) cos a,   sqrt(-2 log u) sin a
//
// Only operations that round alike everywhere are used, so that the bits are the same on every
// device. With u = m 2^e and s = (m - 1) / (m + 1), log u = e log 2 + 2 artanh s; artanh, cos and
// sin are Taylor series, the latter two in the eighth of a turn on either side of 0, after which
// two bits choose the quarter of the turn. Each series ends below 2^-24.
HD inline std::array<float, 4> normals_of(const std::array<uint32_t, 4>& words) {
  std::array<float, 4> z{};
  for (int pair = 0; pair < 2; ++pair) {
    const uint32_t first = words[2 * pair], second = words[2 * pair + 1];
    // u = m 2^e with m in [sqrt(1 / 2), sqrt 2). The bits of u minus the bits of sqrt(1 / 2) are e
    // in the upper 9 bits, and in the lower 23 the bits of m minus those of sqrt(1 / 2).
    constexpr uint32_t half_root = 0x3f3504f3u;
    const float u = float(first | 1) * 0x1p-32f;
    const uint32_t shifted = std::bit_cast<uint32_t>(u) - half_root;
    const float m = std::bit_cast<float>((shifted & 0x7fffffu) + half_root);
    const float e = float(int32_t(shifted) >> 23);
    const float s = (m - 1) / (m + 1), s2 = s * s;
    const float log_m =
        s * fmaf(s2, fmaf(s2, fmaf(s2, fmaf(s2, 2.f / 9, 2.f / 7), 2.f / 5), 2.f / 3), 2.f);
    const float radius = sqrtf(-2 * fmaf(e, 0.69314718f, log_m));
    // The angle, in [-pi / 4, pi / 4], from all of `second` but its two upper bits, which choose
    // the quarter.
    const float a = float(int32_t(second << 2)) * (0x1p-32f * 1.57079633f);
    const float a2 = a * a;
    const float cosine =
        fmaf(a2, fmaf(a2, fmaf(a2, fmaf(a2, 1.f / 40320, -1.f / 720), 1.f / 24), -1.f / 2), 1.f);
    const float sine =
        a *
        fmaf(a2, fmaf(a2, fmaf(a2, fmaf(a2, 1.f / 362880, -1.f / 5040), 1.f / 120), -1.f / 6), 1.f);
    const bool swap = second >> 30 & 1, negative = second >> 31;
    const float signed_radius = negative ? -radius : radius;
    z[2 * pair] = signed_radius * (swap ? -sine : cosine);
    z[2 * pair + 1] = signed_radius * (swap ? cosine : sine);
  }
  return z;
}

// Four normal numbers for (key, purpose, i), i below 2^32, the same bits on every device.
HD inline std::array<float, 4> normals(uint64_t key, Purpose purpose, int64_t i) {
  return normals_of(
      philox({uint32_t(i), 0, 0, uint32_t(purpose) << 8}, {uint32_t(key), uint32_t(key >> 32)}));
}

// A stream of numbers for one (seed, purpose, i, j). i below 2^40, j below 2^32: epoch and sample,
// layer and element, ...
class Random {
 public:
  Random(uint64_t seed, Purpose purpose, uint64_t i = 0, uint64_t j = 0)
      : key_{uint32_t(seed), uint32_t(seed >> 32)}, counter_(first_counter(purpose, i, j)) {
    CHECK(i >> 40 == 0 && j >> 32 == 0, "Random: indices ", i, ", ", j, " are out of range");
  }

  uint32_t bits() {
    if (have_ == 0) {
      block_ = philox(counter_, key_);
      ++counter_[0];
      have_ = 4;
    }
    const size_t at = size_t(4 - have_);
    --have_;
    return block_[at];
  }
  // In [0, 1), with 53 bits.
  double uniform() {
    const uint32_t first = bits(), second = bits();
    return uniform_of(first, second);
  }
  double uniform(double lo, double hi) { return lo + (hi - lo) * uniform(); }
  // One of 0 ... n - 1.
  int64_t below(int64_t n) {
    CHECK(n > 0, "Random::below(", n, ")");
    return int64_t(uniform() * double(n));
  }
  // Of mean 0 and variance 1, by Box and Muller.
  double normal() {
    double u = 1 - uniform(), v = uniform();
    return std::sqrt(-2 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_, block_{};
  int have_ = 0;  // numbers of block_ that have not been given out
};

// A pseudo-random permutation of [0, n) that needs no memory: position -> index. Four Feistel
// rounds on the smallest even number of bits that holds n, repeated until the result falls inside
// [0, n).
class Permutation {
 public:
  Permutation(int64_t n, uint64_t seed, uint64_t epoch)
      : n_(uint64_t(n)), seed_(seed), epoch_(epoch) {
    CHECK(n >= 0, "Permutation of ", n, " elements");
    while ((uint64_t(1) << (2 * half_)) < n_) ++half_;
  }
  int64_t operator()(int64_t position) const {
    CHECK(position >= 0 && uint64_t(position) < n_, "Permutation: position ", position,
          " is not in [0, ", n_, ")");
    uint64_t x = uint64_t(position), mask = (uint64_t(1) << half_) - 1;
    do {
      uint64_t left = x >> half_, right = x & mask;
      for (uint32_t round = 0; round < 4; ++round) {
        auto r = philox({uint32_t(right), round, uint32_t(epoch_), uint32_t(Purpose::shuffle)},
                        {uint32_t(seed_), uint32_t(seed_ >> 32)});
        uint64_t f = (uint64_t(r[1]) << 32 | r[0]) & mask;
        uint64_t next = left ^ f;
        left = right;
        right = next;
      }
      x = left << half_ | right;
    } while (x >= n_);
    return int64_t(x);
  }

 private:
  uint64_t n_, seed_, epoch_;
  int half_ = 1;  // bits of each half of a Feistel round: [0, 4^half_) holds [0, n)
};

}  // namespace rmt

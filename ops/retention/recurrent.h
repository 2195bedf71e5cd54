// The recurrent form on the CPU: all that the past has to say is in one matrix, the state.
//
//   S_n = gamma S_(n-1) + k_n^T v_n        (D, E), S_(-1) = 0
//   y_n = q_n S_n
#pragma once
#include <cmath>

#include "ops/retention/tiles.h"

namespace rmt::cpu {

// One unit.
template <class T>
void retain_recurrent(Walk<const T> q, Walk<const T> k, Walk<const T> v, double decay, Walk<T> y,
                      const Sequences& s) {
  using simd::Vec, simd::View;
  const int64_t D = s.D, E = s.E;
  const T gamma = T(std::exp(decay));
  const Numbers<T> zeros(D * E);
  const View<T> state = zeros.first;  // (D, E)
  for (int64_t n = 0; n < s.L; ++n) {
    const T *q_n = q[n], *k_n = k[n];
    const View<const T> v_n = v[n];
    const View<T> y_n = y[n];
    simd::for_columns<T>(E, [&](auto e) {
      const Vec<T> value = v_n[e];
      Vec<T> sum{};
      for (int64_t d = 0; d < D; ++d) {
        const Vec<T> now = Vec<T>(state(d, e)) * gamma + value * k_n[d];
        state(d, e) = now;
        sum += now * q_n[d];
      }
      y_n[e] = sum;
    });
  }
}

}  // namespace rmt::cpu

// log(1 + e^-|x|), from which the losses of yes-or-no questions are made: with p = sigmoid(x),
//
//   -log p = max(-x, 0) + log(1 + e^-|x|),   -log(1 - p) = max(x, 0) + log(1 + e^-|x|)
//
// where no exponential overflows. Internal to ops/.
#pragma once
#include "core/simd.h"

namespace rmt::cpu {

// Of e in [0, 1], to a few roundings of the result. u = 1 + e loses the low digits of e, and u - 1
// is what is left of it, exactly. log(u) / (u - 1) changes slowly, so that times e it is log(1 + e)
// for what e was.
template <class T>
simd::Vec<T> log_1p(simd::Vec<T> e) {
  const simd::Vec<T> u = T(1) + e, left = u - T(1);
  return left == T(0) ? e : simd::log(u) * (e / left);
}

template <class T>
simd::Vec<T> log_1p_exp(simd::Vec<T> x) {
  return log_1p<T>(simd::exp(simd::min<T>(x, -x)));
}

}  // namespace rmt::cpu

// The chunkwise form on the CPU: the parallel form within a chunk of n positions, whose first is c,
// and the recurrent form's state from chunk to chunk,
//
//   y_(c+i) = parallel form of the chunk, + gamma^(i+1) q_(c+i) S
//   S  <-  gamma^n S + sum_i gamma^(n-1-i) k_(c+i)^T v_(c+i)
//
// All of it matrix products. The state is what the recurrent form has before position c.
#pragma once
#include "ops/retention/parallel.h"

namespace rmt::cpu {

// One unit.
template <class T>
void retain_chunkwise(Walk<const T> q, Walk<const T> k, Walk<const T> v, double decay, Walk<T> y,
                      const Sequences& s) {
  using One = std::integral_constant<int64_t, 1>;
  const int64_t most = std::min(s.chunk, s.L);
  Parallel<T> chunk(most, s);
  chunk.set_decay(decay);
  const Tile<T> decayed(most, s.D), state(s.D, s.E);
  const T gamma = T(std::exp(decay));
  for (int64_t c = 0; c < s.L; c += s.chunk) {
    const int64_t n = std::min(s.chunk, s.L - c);
    chunk.q.load(q, c, n);
    chunk.k.load(k, c, n);
    chunk.v.load(v, c, n);
    chunk.compute(n);
    decayed.load(q, c, n, [&](int64_t i) { return gamma * chunk.power(i); });
    tile::multiply(n, state.width, s.D, decayed[0], decayed.width, One(), state[0], state.width,
                   chunk.y[0], chunk.y.width, true);
    chunk.y.store(y, c, n);

    const T all = gamma * chunk.power(n - 1);  // gamma^n
    for (T& x : state.numbers) x *= all;
    decayed.load(k, c, n, [&](int64_t i) { return chunk.power(n - 1 - i); });
    tile::multiply(s.D, state.width, n, decayed[0], One(), decayed.width, chunk.v[0], chunk.v.width,
                   state[0], state.width, true);
  }
}

}  // namespace rmt::cpu

// Threads for loops. The work is cut by its own size and never by the number of threads, so a
// result cannot depend on how many there are.
#pragma once
#include <cstdint>
#include <functional>

namespace rmt {

// Calls f(begin, end) for the pieces [0, grain), [grain, 2 grain), ... of [0, n), each exactly
// once, on the pool's threads and the caller's. An exception thrown by f is rethrown here after all
// pieces ended. Inside a piece, and while another thread uses the pool, it runs in line.
void parallel_for(int64_t n, int64_t grain,
                  const std::function<void(int64_t begin, int64_t end)>& f);

// Threads that parallel_for uses, the caller among them. Default: RMT_THREADS, else the processors
// this process may run on. Fewer than asked for where the system grants no more (ulimit -u).
int threads();
void set_threads(int n);

// How many pieces of at least `least` elements a sum over n elements is cut into, at most `most`:
// reductions keep one partial result a piece and add these in order, so that the sum's bits depend
// on n alone. Piece p of P covers [part_begin(n, P, p), part_begin(n, P, p + 1)).
inline int64_t part_count(int64_t n, int64_t least, int64_t most = 16) {
  int64_t p = n / least;
  return p < 1 ? 1 : p > most ? most : p;
}
inline int64_t part_begin(int64_t n, int64_t parts, int64_t p) { return n * p / parts; }

}  // namespace rmt

// Who runs next: the orders of a launch's blocks, and of a block's threads that are ready.
//
// Ready threads are kept as sets of bits, one word for the lanes of each warp and one for the warps
// that have a ready lane, so that the next one is found by counting zeros:
//
//     warps  ...0101        warp 0 and warp 2 have ready lanes
//     lanes of warp 0  ...00001110      its lanes 1, 2 and 3 are ready
#pragma once
#include <bit>
#include <cstdint>

#include "core/cuda/emulator/machine.h"

namespace rmt::emulator {

inline constexpr int kMaxThreads = 1024, kMaxWarps = kMaxThreads / 32;

// A set of numbers below 32: bit i stands for the member i.
using Set = uint32_t;
constexpr Set first(int n) { return n >= 32 ? ~0u : (1u << n) - 1; }  // {0, ..., n - 1}
constexpr int lowest(Set set) { return std::countr_zero(set); }
constexpr int highest(Set set) { return 31 - std::countl_zero(set); }
constexpr Set after(Set set, int i) { return set & ~first(i + 1); }
constexpr Set before(Set set, int i) { return set & first(i); }
// The member that follows i going up (down), cyclically.
constexpr int above(Set set, int i) { return lowest(after(set, i) ? after(set, i) : set); }
constexpr int below(Set set, int i) { return highest(before(set, i) ? before(set, i) : set); }

class Schedule {
 public:
  void begin_launch(Order order, uint64_t seed, uint64_t blocks);
  // Number i of the launch's blocks in the order's turn; each one comes once.
  uint64_t block(uint64_t i) const;

  void begin_block(int threads);  // all of which are ready
  void sleep(int thread);
  void wake(int warp, Set lanes);
  void begin_round();  // after a barrier the order begins anew

  bool anyone_ready() const { return warps_ != 0; }
  bool is_ready(int thread) const { return lanes_[thread / 32] >> (thread % 32) & 1; }
  int pick();  // the number of the thread that runs next, when anyone is ready

 private:
  uint64_t random();
  bool upward() const { return order_ == Order::fair_forward || order_ == Order::greedy_ascending; }
  bool greedy() const {
    return order_ == Order::greedy_ascending || order_ == Order::greedy_descending;
  }

  Order order_ = Order::fair_forward;
  uint64_t random_ = 0;
  uint64_t blocks_ = 1, stride_ = 1, start_ = 0;
  Set warps_ = 0;  // with a ready lane
  Set lanes_[kMaxWarps] = {};
  int warp_ = 0, lane_ = 0;  // who ran last
};

}  // namespace rmt::emulator

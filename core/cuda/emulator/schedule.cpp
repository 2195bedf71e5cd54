#include "core/cuda/emulator/schedule.h"

#include <numeric>

namespace rmt::emulator {

// The random order of blocks is i -> (i stride + start) mod blocks, which visits each block once
// when stride and blocks have no common divisor.
void Schedule::begin_launch(Order order, uint64_t seed, uint64_t blocks) {
  order_ = order;
  random_ = seed;
  blocks_ = blocks;
  stride_ = 1;
  start_ = 0;
  if (order != Order::random) return;
  stride_ = 1 + random() % blocks;
  while (std::gcd(stride_, blocks) != 1) stride_ = 1 + random() % blocks;
  start_ = random() % blocks;
}

uint64_t Schedule::block(uint64_t i) const {
  const bool backward = order_ == Order::fair_reverse || order_ == Order::greedy_descending;
  return backward ? blocks_ - 1 - i : uint64_t((__uint128_t(i) * stride_ + start_) % blocks_);
}

void Schedule::begin_block(int threads) {
  warps_ = 0;
  for (int w = 0; w < kMaxWarps; ++w) {
    lanes_[w] = 0;
    wake(w, threads > 32 * w ? first(threads - 32 * w) : 0);
  }
  begin_round();
}

void Schedule::sleep(int thread) {
  const int warp = thread / 32;
  lanes_[warp] &= ~(1u << (thread % 32));
  if (!lanes_[warp]) warps_ &= ~(1u << warp);
}

void Schedule::wake(int warp, Set lanes) {
  lanes_[warp] |= lanes;
  if (lanes_[warp]) warps_ |= 1u << warp;
}

void Schedule::begin_round() { warp_ = lane_ = upward() ? 31 : 0; }

int Schedule::pick() {
  if (order_ == Order::random) {
    const uint64_t r = random();
    warp_ = above(warps_, int(r % 32));
    lane_ = above(lanes_[warp_], int(r / 32 % 32));
    return 32 * warp_ + lane_;
  }
  // A warp keeps its turn until each of its ready lanes has run; a greedy order leaves it for a
  // better one as soon as that can run.
  const int last = warp_;
  Set rest = upward() ? after(lanes_[warp_], lane_) : before(lanes_[warp_], lane_);
  if (greedy())
    warp_ = upward() ? lowest(warps_) : highest(warps_);
  else if (!rest)
    warp_ = upward() ? above(warps_, warp_) : below(warps_, warp_);
  if (warp_ != last || !rest) rest = lanes_[warp_];
  lane_ = upward() ? lowest(rest) : highest(rest);
  return 32 * warp_ + lane_;
}

uint64_t Schedule::random() {  // splitmix64
  uint64_t z = random_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace rmt::emulator

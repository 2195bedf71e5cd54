// Barriers and warp collectives under CUDA's names: __syncthreads, __shfl_sync, __ballot_sync and
// the rest. All collectives are one: each lane brings a record on its own stack, and the last lane
// of the mask to arrive computes the result of all of them (machine.h, collective()).
//
//     lane 0   {value 7, source 1} ---+                       +--> result 3
//     lane 1   {value 3, source 0} ---+--> the last to come --+--> result 7
//     lane 2   {value 9, source 1} ---+    fills in results   +--> result 3
#pragma once
#include <concepts>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>

#include "core/cuda/emulator/machine.h"

namespace rmt::emulator {

template <class T>
concept Shuffled = std::is_arithmetic_v<T> &&(sizeof(T) == 4 || sizeof(T) == 8);

// Lane i gets the value of lane source_i; of a lane that did not take part, the NaN pattern.
template <Shuffled T>
T shuffle(const char* what, uint32_t mask, T value, int source, int width, const Site& at) {
  struct Lane {
    T value, result;
    int source;
  } mine{value, {}, source};
  if (width < 1 || width > 32 || (width & (width - 1)))
    fail(std::string(what) + ": width " + std::to_string(width) +
         " is not a power of two up to 32");
  std::memset(&mine.result, 0xff, sizeof(T));
  collective(
      what, mask,
      [](void* const(&record)[32]) {
        for (void* p : record)
          if (auto* lane = static_cast<Lane*>(p))
            if (auto* from = static_cast<Lane*>(record[lane->source])) lane->result = from->value;
      },
      &mine, at);
  return mine.result;
}

// A value that all lanes of the mask receive: f(f(v_i, v_j), ...) in ascending order of lanes.
template <class T, class F>
T reduce(const char* what, uint32_t mask, T value, F, const Site& at) {
  collective(
      what, mask,
      [](void* const(&record)[32]) {
        T* total = nullptr;
        for (void* p : record) {
          T* value_of_lane = static_cast<T*>(p);
          if (!total)
            total = value_of_lane;
          else if (value_of_lane)
            *total = F{}(*total, *value_of_lane);
        }
        for (void* p : record)
          if (p) *static_cast<T*>(p) = *total;
      },
      &value, at);
  return value;
}

struct Min {
  template <class T>
  T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};
struct Max {
  template <class T>
  T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

}  // namespace rmt::emulator

// The last parameter of what kernels call: where the call stands.
#define RMT_SITE rmt::emulator::Site at = rmt::emulator::Site::current()

// --- barriers of the block ---

inline void __syncthreads(RMT_SITE) { rmt::emulator::barrier("__syncthreads", false, at); }
inline int __syncthreads_count(int p, RMT_SITE) {
  return rmt::emulator::barrier("__syncthreads_count", p != 0, at);
}
inline int __syncthreads_or(int p, RMT_SITE) {
  return rmt::emulator::barrier("__syncthreads_or", p != 0, at) > 0;
}
inline int __syncthreads_and(int p, RMT_SITE) {
  return rmt::emulator::barrier("__syncthreads_and", p == 0, at) == 0;
}

// --- collectives of a warp ---

inline void __syncwarp(unsigned mask = ~0u, RMT_SITE) {
  rmt::emulator::collective(
      "__syncwarp", mask, [](void* const(&)[32]) {}, nullptr, at);
}

// Within segments of `width` lanes; a source outside the segment means the lane's own value (xor
// may reach back into an earlier one).
template <rmt::emulator::Shuffled T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32, RMT_SITE) {
  const int lane = rmt::emulator::lane_index();
  return rmt::emulator::shuffle("__shfl_sync", mask, value,
                                (lane & -width) + (source & (width - 1)), width, at);
}
template <rmt::emulator::Shuffled T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, RMT_SITE) {
  const unsigned lane = rmt::emulator::lane_index(), in_segment = lane & (width - 1);
  return rmt::emulator::shuffle("__shfl_up_sync", mask, value,
                                in_segment >= delta ? lane - delta : lane, width, at);
}
template <rmt::emulator::Shuffled T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, RMT_SITE) {
  const unsigned lane = rmt::emulator::lane_index(), in_segment = lane & (width - 1);
  return rmt::emulator::shuffle("__shfl_down_sync", mask, value,
                                delta < width - in_segment ? lane + delta : lane, width, at);
}
template <rmt::emulator::Shuffled T>
T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, RMT_SITE) {
  const int lane = rmt::emulator::lane_index(), source = (lane ^ bits) & 31;
  return rmt::emulator::shuffle("__shfl_xor_sync", mask, value,
                                source <= (lane | (width - 1)) ? source : lane, width, at);
}

inline unsigned __ballot_sync(unsigned mask, int p, RMT_SITE) {
  return rmt::emulator::reduce("__ballot_sync", mask, p ? 1u << rmt::emulator::lane_index() : 0u,
                               std::bit_or<>{}, at);
}
inline int __any_sync(unsigned mask, int p, RMT_SITE) {
  return rmt::emulator::reduce("__any_sync", mask, int(p != 0), std::bit_or<>{}, at);
}
inline int __all_sync(unsigned mask, int p, RMT_SITE) {
  return rmt::emulator::reduce("__all_sync", mask, int(p != 0), std::bit_and<>{}, at);
}

template <class T>
requires std::same_as<T, int> || std::same_as<T, unsigned> T __reduce_add_sync(unsigned mask,
                                                                               T value, RMT_SITE) {
  return T(rmt::emulator::reduce("__reduce_add_sync", mask, unsigned(value), std::plus<>{}, at));
}
template <class T>
requires std::same_as<T, int> || std::same_as<T, unsigned> T __reduce_min_sync(unsigned mask,
                                                                               T value, RMT_SITE) {
  return rmt::emulator::reduce("__reduce_min_sync", mask, value, rmt::emulator::Min{}, at);
}
template <class T>
requires std::same_as<T, int> || std::same_as<T, unsigned> T __reduce_max_sync(unsigned mask,
                                                                               T value, RMT_SITE) {
  return rmt::emulator::reduce("__reduce_max_sync", mask, value, rmt::emulator::Max{}, at);
}

#undef RMT_SITE

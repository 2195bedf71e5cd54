// What the machine knows of the block that runs: each thread, where it waits, and who waits with
// it; and the report of a block that cannot go on (report.cpp).
#pragma once
#include <string>

#include "core/cuda/emulator/fibers.h"
#include "core/cuda/emulator/machine.h"
#include "core/cuda/emulator/schedule.h"
#include "core/error.h"

namespace rmt::emulator {

struct Thread {
  uint3 index;             // threadIdx
  Fiber* fiber = nullptr;  // null: not begun, or exited
  const char* what;        // the barrier or collective that it waits in, or waited in last
  Site at;                 // where in the kernel that stands
  void* record;            // what it brings to a warp collective
};

// Lanes of a warp that wait in one warp collective.
struct Group {
  const char* what;
  Set mask, arrived;
  Finish finish;
  Site at;
};

struct Warp {
  Set live = 0;        // lanes that exist and have not exited
  Set in_barrier = 0;  // lanes that wait in the block's barrier
  int groups = 0;
  Group group[32];
};

struct Block {
  int count = 0;  // of threads
  int live = 0;   // threads that have not exited
  Thread threads[kMaxThreads];
  Thread* current = threads;  // the one that runs
  Warp warps[kMaxWarps];
};

// Unwinds the fiber that found an error.
struct Stop : Error {
  using Error::Error;
};

// The headline, and below it where each thread of the block is, threads in one place together:
//
//     divergent barrier
//       40 threads in __syncthreads at file:12: (0, 0, 0) (1, 0, 0) (2, 0, 0) (3, 0, 0) ...
//       24 threads in __syncthreads at file:14: (40, 0, 0) (41, 0, 0) ...
std::string block_report(const std::string& headline, const Block& block, const Schedule& schedule);

std::string in_words(dim3 v);          // "(1, 2, 3)"
std::string in_words(const Site& at);  // "file:line"
std::string in_words(Set mask);        // "0x0000ffff"

}  // namespace rmt::emulator

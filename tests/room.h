// The processes that this test program is one of: all that mpirun has started, or it alone.
#pragma once
#include "core/processes/start.h"

namespace rmt::test {

inline Processes& room() {
  static const std::unique_ptr<Processes> processes = start_processes();
  return *processes;
}

// The same with tensors on GPUs, by NCCL where it is linked.
inline Processes& room_of_gpus() {
  static const std::unique_ptr<Processes> gpus = connect_gpus(room());
  return gpus ? *gpus : room();
}

}  // namespace rmt::test

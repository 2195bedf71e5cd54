// The processes that this test program is one of: all that mpirun has started, or it alone.
#pragma once
#include "core/processes/start.h"

namespace rmt::test {

inline Processes& room() {
  static const std::unique_ptr<Processes> processes = start_processes();
  return *processes;
}

}  // namespace rmt::test

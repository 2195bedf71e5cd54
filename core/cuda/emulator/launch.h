// A kernel to run: what streams.cpp hands to machine.cpp.
#pragma once
#include <functional>
#include <string>

#include "core/cuda/emulator/language.h"

namespace rmt::emulator {

struct Work {
  std::string kernel;  // its name
  dim3 grid, block;
  size_t shared;               // bytes of dynamic shared memory
  std::function<void()> body;  // one call of the kernel
};

// Runs the kernel's blocks, one after the other. Throws Error for what goes wrong in one of them.
void run(const Work& work);

}  // namespace rmt::emulator

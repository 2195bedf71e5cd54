// What the tests of the emulated device share beside that: its settings kept, places in a file.
#pragma once
#include "tests/core/cuda/array.h"

namespace rmt::test {

using emulator::Order;
using emulator::settings;

constexpr unsigned kAll = 0xffffffffu;

// Settings as they were, at the end of the scope.
struct Restore {
  emulator::Settings before = settings();
  ~Restore() { settings() = before; }
};

// "file:line" of the file that calls.
inline std::string here(int line, const char* file = __builtin_FILE()) {
  return std::string(file) + ":" + std::to_string(line);
}

}  // namespace rmt::test

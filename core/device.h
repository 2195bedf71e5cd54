// Where a tensor's numbers are. A process computes on one GPU at most; cuda/device.h chooses which.
// In a build without the CUDA toolkit `cuda` is an emulated device (core/cuda/emulator/emulator.h):
// every kernel runs there too, one thread after the other, for tests and debuggers.
#pragma once
#include <cstdint>
#include <ostream>

namespace rmt {

enum class Device : uint8_t { cpu, cuda };

inline const char* name_of(Device d) { return d == Device::cpu ? "cpu" : "cuda"; }
inline std::ostream& operator<<(std::ostream& out, Device d) { return out << name_of(d); }

}  // namespace rmt

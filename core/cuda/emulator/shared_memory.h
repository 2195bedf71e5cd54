// The shared memory of the block that runs: one arena, in which the launch's dynamic part and each
// static array lie with a gap behind them. Every block finds it fresh, as NaN.
//
//     | gap | dynamic part | gap | static array | gap | static array | gap | not used ...
#pragma once
#include <string>
#include <vector>

#include "core/cuda/emulator/guard.h"
#include "core/cuda/emulator/runtime_api.h"

namespace rmt::emulator {

class SharedMemory {
 public:
  void begin_block(size_t dynamic_bytes);
  // The array that belongs to `key`, made by the first thread that asks for it.
  void* array(const void* key, size_t bytes);
  void* dynamic() { return arrays_[1].p; }
  // Do the n bytes from p on lie inside one array?
  bool contains(const void* p, size_t n) const;
  // What was written outside the arrays, or "".
  std::string damage();

 private:
  struct Array {
    const void* key;  // null: not a static array
    char* p;
    size_t bytes;
    char* end;  // of the gap behind it
  };
  void* add(const void* key, size_t bytes, size_t align);

  alignas(128) char arena_[kMaxShared + kStaticShared + 128 * kGap];
  size_t used_ = 0, static_bytes_ = 0, dynamic_ = 0;
  // An empty one, whose gap lies before the dynamic part; the dynamic part; the static arrays in
  // the order of their first use.
  std::vector<Array> arrays_;
};

}  // namespace rmt::emulator

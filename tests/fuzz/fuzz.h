// Fuzzing: any bytes give a result or an rmt::Error that names the file. Nothing else escapes: no
// signal, no other exception, no memory without bound. A target is FUZZ(name) { ... }, a function
// of `const uint8_t* data, size_t size`. `make fuzz TARGET=name` makes of it a program that
// libFuzzer feeds; in the tests it is run over tests/fuzz/corpus/name/ (replay_test.cpp), which
// holds what libFuzzer found worth keeping.
#pragma once
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "core/error.h"
#include "tests/memory_file.h"

namespace rmt::fuzz {

using test::MemoryFile;
using Target = void (*)(const uint8_t* data, size_t size);

#ifdef RMT_FUZZ
#define FUZZ(name)                                                    \
  static void run_##name(const uint8_t* data, size_t size);           \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* d, size_t n) { \
    run_##name(d, n);                                                 \
    return 0;                                                         \
  }                                                                   \
  static void run_##name([[maybe_unused]] const uint8_t* data, [[maybe_unused]] size_t size)
#else
inline std::map<std::string, Target>& targets() {
  static std::map<std::string, Target> all;
  return all;
}
#define FUZZ(name)                                            \
  static void run_##name(const uint8_t* data, size_t size);   \
  [[maybe_unused]] static const bool added_##name =           \
      rmt::fuzz::targets().emplace(#name, run_##name).second; \
  static void run_##name([[maybe_unused]] const uint8_t* data, [[maybe_unused]] size_t size)
#endif

// Runs f; an Error is as good as a result when it begins with the name of what is wrong. True when
// there was a result.
template <class F>
bool result_or_error(const std::string& name, const F& f) {
  try {
    f();
    return true;
  } catch (const Error& e) {
    if (std::string(e.what()).starts_with(name) && std::string(e.what()).size() > name.size() + 2)
      return false;
    std::cerr << "an error that does not begin with " << name << ": " << e.what() << std::endl;
    std::abort();
  }
}

}  // namespace rmt::fuzz

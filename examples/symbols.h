// The names of this program's own functions, found by their addresses: nm reads them from the
// program's file.
#pragma once
#include <cxxabi.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>

#include "core/error.h"

// By its address one sees where in memory the program lies.
extern "C" inline void rmt_symbols_anchor() {}

namespace rmt {

// A function's name and parameters as C++ writes them.
inline std::string demangled(const std::string& symbol) {
  int status = 0;
  char* text = abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status);
  const std::string name = status == 0 ? text : symbol;
  std::free(text);
  return name;
}

class Symbols {
 public:
  Symbols() {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    FILE* nm = popen(("nm --defined-only '" + self + "'").c_str(), "r");
    CHECK(nm, "cannot run nm, which belongs to the compiler's binutils");
    std::string text;
    char buffer[1 << 16];
    while (const size_t n = std::fread(buffer, 1, sizeof buffer, nm)) text.append(buffer, n);
    pclose(nm);
    std::istringstream lines(text);  // "000000000041a2b0 T name"
    uint64_t at = 0, anchor = 0;
    std::string type, name;
    while (lines >> std::hex >> at >> type >> name) {
      if (name == "rmt_symbols_anchor") anchor = at;
      names_[at] = name;
    }
    CHECK(anchor, self, ": nm finds no symbols in it; it must not be stripped");
    shift_ = reinterpret_cast<uintptr_t>(&rmt_symbols_anchor) - anchor;
  }
  // The mangled name of a function, or "".
  std::string name_of(const void* function) const {
    const auto at = names_.find(reinterpret_cast<uintptr_t>(function) - shift_);
    return at == names_.end() ? "" : at->second;
  }

 private:
  std::map<uint64_t, std::string> names_;
  uint64_t shift_ = 0;
};

}  // namespace rmt
